"""What import-linter cannot see: who may touch bytes, the clock, the network and the disk."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "py_esp_ota"
SOURCES = sorted(PACKAGE.rglob("*.py"))

BYTE_TOOLS = {"struct", "zlib", "binascii", "hashlib"}
MAY_USE_BYTE_TOOLS = {
    "firmware.py",  # the forge
    "elf.py",  # the forge for programs: as the forge of images, it may not ask the judge
    "flashing.py",  # the forge of files that carry a flash
    "packed.py",  # makes of bytes a text that can be pasted
    "signing.py",  # the forge of signatures: it makes blocks byte by byte, as the judge must not help it to
    "cloud/images.py",  # names a stored image by its hash
    "silicon/words.py",  # words, hashes and CRC of a CPU that is a second opinion on the core: it may not ask the core
    "cli/cloud/firmware.py",  # knows an image that a cloud has by its hash
    "cli/fuzz_corpus.py",  # names a file by its hash
    "cli/corpus.py",  # checks a fetched file by its hash
    "adapters/roms.py",  # the same
}
WORLD = {"socket", "threading", "random", "secrets", "time", "subprocess", "tempfile", "ssl", "concurrent"}
DOORS = ("adapters/", "cli/")


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@cache
def calls(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.fixture(params=SOURCES, ids=name_of)
def source(request: pytest.FixtureRequest) -> tuple[str, ast.AST]:
    path: Path = request.param
    return name_of(path), parsed(path)


def test_only_the_forge_and_two_hashers_take_bytes_apart(source):
    name, tree = source
    if name not in MAY_USE_BYTE_TOOLS:
        assert not imports(tree) & BYTE_TOOLS
        assert not {call for call in calls(tree) if call.endswith(("int.from_bytes", ".to_bytes_le"))}


def test_only_adapters_and_doors_touch_the_world(source):
    name, tree = source
    if not name.startswith(DOORS):
        assert not imports(tree) & WORLD
        assert not calls(tree) & {"open", "datetime.now", "datetime.datetime.now", "asyncio.to_thread"}
        assert not {call for call in calls(tree) if call.endswith((".read_bytes", ".write_bytes", ".write_text"))}


def test_the_cloud_asks_the_core_for_one_thing(source):
    name, tree = source
    if name.startswith("cloud/"):
        names = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "py_esp_ota._core"
            for alias in node.names
        }
        assert names <= {"inspect_image", "ImageInfo", "Fault", "AppDesc"}


def test_a_revision_of_the_tables_is_history(source):
    """It knows none of today's code: what it made once, it makes for ever."""
    name, tree = source
    if name.startswith("cloud/migrations/"):
        assert imports(tree) - sys.stdlib_module_names <= {"alembic", "sqlalchemy"}


def test_words_and_bytes_know_nobody_above(source):
    name, tree = source
    ours = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("py_esp_ota")
    }
    if name in {
        "errors.py",
        "ports.py",
        "sdkconfig.py",
        "strict_json.py",
        "firmware.py",
        "flash_timing.py",
        "flashing.py",
        "signing.py",
    }:
        assert ours <= {"py_esp_ota.extras"}  # one sentence, which knows nobody


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "rust").rglob("*.rs"))], ids=lambda path: path.name)
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 500


def test_the_sources_were_found():
    assert {path.name for path in SOURCES} >= {"device.py", "lab.py", "ports.py"}
