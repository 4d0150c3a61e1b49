"""What import-linter cannot see: who may touch bytes, the clock, the network and the disk."""

from __future__ import annotations

import sys
from collections.abc import Callable

from sources import ROOT, SOURCES, Source, sources

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


def offenders(wrong: Callable[[str, Source], object]) -> dict[str, object]:
    """The files in which something is wrong, and what: one look at all, as a test for each costs more than the look."""
    return {name: found for name, source in sources().items() if (found := wrong(name, source))}


def test_only_the_forge_and_two_hashers_take_bytes_apart():
    def wrong(name, source):
        taken = {call for call in source.calls if call.endswith(("int.from_bytes", ".to_bytes_le"))}
        return set() if name in MAY_USE_BYTE_TOOLS else source.imports & BYTE_TOOLS | taken

    assert offenders(wrong) == {}


def test_only_adapters_and_doors_touch_the_world():
    def wrong(name, source):
        asked = source.calls & {"open", "datetime.now", "datetime.datetime.now", "asyncio.to_thread"}
        files = {call for call in source.calls if call.endswith((".read_bytes", ".write_bytes", ".write_text"))}
        return set() if name.startswith(DOORS) else source.imports & WORLD | asked | files

    assert offenders(wrong) == {}


def test_the_cloud_asks_the_core_for_one_thing():
    def wrong(name, source):
        names = {name for module, name in source.taken if module == "py_esp_ota._core"}
        return name.startswith("cloud/") and names - {"inspect_image", "ImageInfo", "Fault", "AppDesc"}

    assert offenders(wrong) == {}


def test_a_revision_of_the_tables_is_history():
    """It knows none of today's code: what it made once, it makes for ever."""

    def wrong(name, source):
        return name.startswith("cloud/migrations/") and (
            source.imports - sys.stdlib_module_names - {"alembic", "sqlalchemy"}
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

    def wrong(name, source):
        ours = {module for module, _ in source.taken if module.startswith("py_esp_ota")}
        return name in low and ours - {"py_esp_ota.extras", "py_esp_ota.brief"}  # a sentence each, which know nobody

    assert offenders(wrong) == {}


def test_files_stay_small():
    files = [*SOURCES, *sorted((ROOT / "rust").rglob("*.rs"))]
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > 500} == {}


def test_the_sources_were_found():
    assert {path.name for path in SOURCES} >= {"device.py", "lab.py", "ports.py"}
