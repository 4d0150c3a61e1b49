"""What import-linter cannot see: who may touch bytes, the clock, the network and the disk."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "py_esp_ota"
SOURCES = sorted(PACKAGE.rglob("*.py"))

BYTE_TOOLS = {"struct", "zlib", "binascii", "hashlib"}
MAY_USE_BYTE_TOOLS = {
    "firmware.py",  # the forge
    "elf.py",  # the forge for programs: as the forge of images, it may not ask the judge
    "flashing.py",  # the forge of files that carry a flash
    "packed.py",  # makes of bytes a text that can be pasted
    "detached.py",  # the forge of signatures beside files
    "cli/evidence.py",  # knows the files of a pack by their hashes
    "cli/sweep_files.py",  # names them
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
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


@cache
def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@cache
def calls(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in nodes(tree) if isinstance(node, ast.Call)}


@cache
def sources() -> dict[str, ast.AST]:
    return {name_of(path): ast.parse(path.read_text()) for path in SOURCES}


def offenders(wrong: Callable[[str, ast.AST], object]) -> dict[str, object]:
    """The files in which something is wrong, and what: one look at all, as a test for each costs more than the look."""
    return {name: found for name, tree in sources().items() if (found := wrong(name, tree))}


def test_only_the_forge_and_two_hashers_take_bytes_apart():
    def wrong(name, tree):
        taken = {call for call in calls(tree) if call.endswith(("int.from_bytes", ".to_bytes_le"))}
        return set() if name in MAY_USE_BYTE_TOOLS else imports(tree) & BYTE_TOOLS | taken

    assert offenders(wrong) == {}


def test_only_adapters_and_doors_touch_the_world():
    def wrong(name, tree):
        asked = calls(tree) & {"open", "datetime.now", "datetime.datetime.now", "asyncio.to_thread"}
        files = {call for call in calls(tree) if call.endswith((".read_bytes", ".write_bytes", ".write_text"))}
        return set() if name.startswith(DOORS) else imports(tree) & WORLD | asked | files

    assert offenders(wrong) == {}


def test_the_cloud_asks_the_core_for_one_thing():
    def wrong(name, tree):
        names = {
            alias.name
            for node in nodes(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "py_esp_ota._core"
            for alias in node.names
        }
        return name.startswith("cloud/") and names - {"inspect_image", "ImageInfo", "Fault", "AppDesc"}

    assert offenders(wrong) == {}


def test_a_revision_of_the_tables_is_history():
    """It knows none of today's code: what it made once, it makes for ever."""

    def wrong(name, tree):
        return name.startswith("cloud/migrations/") and (
            imports(tree) - sys.stdlib_module_names - {"alembic", "sqlalchemy"}
        )

    assert offenders(wrong) == {}


def test_words_and_bytes_know_nobody_above():
    low = {
        "brief.py",
        "errors.py",
        "ports.py",
        "sdkconfig.py",
        "strict_json.py",
        "firmware.py",
        "flash_timing.py",
        "flashing.py",
        "signing.py",
    }

    def wrong(name, tree):
        ours = {
            node.module
            for node in nodes(tree)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("py_esp_ota")
        }
        return name in low and ours - {"py_esp_ota.extras", "py_esp_ota.brief"}  # a sentence each, which know nobody

    assert offenders(wrong) == {}


def test_files_stay_small():
    files = [*SOURCES, *sorted((ROOT / "rust").rglob("*.rs"))]
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > 500} == {}


def test_the_sources_were_found():
    assert {path.name for path in SOURCES} >= {"device.py", "lab.py", "ports.py"}
