"""The how-to pages: every command runs in a shell, every piece of Python alone, and prints what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import own_firmware
import pytest
from pages import ROOT, blocks, needs_ports, pattern, python

from py_esp_ota.cli.corpus import MICROPYTHON, fetch
from py_esp_ota.cli.files import Unusable

HOWTO = sorted((ROOT / "docs/howto").glob("*.md"))
TUTORIALS = sorted((ROOT / "docs/tutorial").glob("*.md"))
LESSONS = sorted((ROOT / "docs/lessons").glob("*.md"))
PAGES = [*HOWTO, *TUTORIALS, *LESSONS]
FORGED = (
    "build/lamp.bin",
    "lamp.bin",
    "old.bin",
    "new.bin",
    "damaged.bin",
    "flash.bin",
    "fuses.json",
    "sdkconfig",
    "key.pem",
)
REAL = ("micropython.bin", "real.bin")
#: Programs that not everybody has. Without one, the command says so.
EMULATORS = {"qemu": "qemu-system-riscv32", "esp-emu": "esp-emu"}


def needs(page):
    """Skip the test of a page that needs what is not here."""
    text = page.read_text()
    if "make apps" in text:
        compiled()
    if "--real" in text:
        pytest.importorskip("unicorn")
        try:
            fetch(MICROPYTHON)
        except Unusable as reason:
            pytest.skip(str(reason))
    if "$ esp-rainmaker-cli" in text and shutil.which("esp-rainmaker-cli") is None:
        pytest.skip("esp-rainmaker-cli is not on PATH; pip install it into a venv of its own")
    if "esp-ota serve" in text:
        needs_ports(text)


def compiled():
    """The apps of examples/firmware, which one page compiles with a compiler that not everybody has."""
    folder = Path("target/firmware")
    folder.mkdir(parents=True)
    for app in own_firmware.APPS:
        (folder / f"{app}.elf").write_bytes(own_firmware.elf(app))


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.sockets] * ("esp-ota serve" in page.read_text())) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_a_page_keeps_its_word(page, quick_reader):
    reader = quick_reader
    needs(page)
    for block in blocks(page.read_text()):
        if block.file is not None:
            Path(block.file).write_text(block.text)
        elif block.language == "python":
            output = python(block, reader)
            assert re.fullmatch(pattern(block.output.splitlines()), output), (block.text, output)
        elif block.language == "console":
            for command, expected, lines in block.commands():
                code, output = reader.run(command)
                assert code == expected, (command, output)
                assert re.fullmatch(pattern(lines), output), (command, output)
        elif block.language == "sh":
            for command in block.text.splitlines():
                code, output = reader.run(command)
                name, program = next(each for each in EMULATORS.items() if f"--emulator {each[0]} " in f"{command} ")
                if shutil.which(program) is None:
                    assert code == 2, (command, output)
                    assert f"{name} needs {program} on PATH" in output, output
                else:
                    assert code in {0, 1} or "it is not Espressif's QEMU" in output, (command, output)


def test_every_page_is_listed_and_does_something():
    index = (HOWTO[0].parent / "README.md").read_text()
    pages = [page for page in HOWTO if page.name != "README.md"]
    assert set(re.findall(r"\]\((.+?)\)", index)) == {page.name for page in pages}
    assert all(blocks(page.read_text()) for page in pages)


def test_the_readme_begins_with_the_tutorial():
    assert all(f"docs/tutorial/{page.name}" in (ROOT / "README.md").read_text() for page in TUTORIALS)
    assert TUTORIALS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_that_names_samples_begins_with_making_them(page):
    shown = [block for block in blocks(page.read_text()) if block.language in {"console", "python"}]
    text = "".join(block.text for block in shown)
    for names, call in {FORGED: "$ esp-ota samples .\n", REAL: "$ esp-ota samples . --real\n"}.items():
        named = {name for name in names if re.search(rf"(?<![/\w-]){re.escape(name)}\b", text)}
        assert not named or call in text, named
        assert not named or text.index("$ esp-ota samples .") < min(map(text.index, named))
