"""ELFs made into images, beside esptool's elf2image; and what is no program."""

from __future__ import annotations

import random
import sys
from contextlib import suppress

import pytest
from click.testing import CliRunner
from own_firmware import APPS, elf, program

from py_esp_ota import EspErr, Flash, inspect_image, verify_image
from py_esp_ota.cli import main
from py_esp_ota.elf import Symbols, elf_sha256, from_elf
from py_esp_ota.firmware import merge, rehashed

HEADERS = {
    "esp32c3": ["--min-rev", "3", "--min-rev-full", "3", "--max-rev-full", "199"],
    "esp32c6": ["--min-rev-full", "0", "--max-rev-full", "99"],
}


@pytest.fixture
def esptools(esptool, tmp_path):
    """What esptool makes of it, run as a program of its own."""

    def image(program, chip="esp32c3"):
        (tmp_path / "app.elf").write_bytes(program)
        common = ["--use-segments", "--flash-mode", "dio", "--flash-freq", "80m", "--flash-size", "4MB"]
        files = ["-o", str(tmp_path / "app.bin"), str(tmp_path / "app.elf")]
        esptool("--chip", chip, "elf2image", *common, *HEADERS[chip], *files)
        made = bytearray((tmp_path / "app.bin").read_bytes())
        made[3] |= 0xF  # an ESP32-C6's ROM takes 80 MHz for something else, so esptool writes 40 there
        return rehashed(bytes(made))

    return image


@pytest.mark.parametrize("options", ["", "-Wl,--defsym=pad_code=1"], ids=["dense", "padded"])
@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("chip", HEADERS)
def test_an_app_becomes_the_image_that_esptool_makes(esptools, app, options, chip):
    linked = elf(app, chip=chip, options=options)
    made, theirs = from_elf(linked, chip=chip), esptools(linked, chip)
    ours, judged = inspect_image(made), inspect_image(theirs)
    assert [(s.load_addr, s.length, s.kind) for s in ours.segments] == [
        (s.load_addr, s.length, s.kind) for s in judged.segments
    ]
    assert ours.err == judged.err == EspErr.ESP_OK
    # With program headers esptool does not look for the descriptor; with sections it writes the hash of the ELF.
    assert made[0xB0:0xD0] == elf_sha256(linked)
    assert made[:0xB0] + made[0xD0:-33] == theirs[:0xB0] + theirs[0xD0:-33]


def test_random_programs_become_the_images_that_esptool_makes(esptools):
    rng = random.Random(3)
    for _ in range(12):
        page = rng.randrange(4)
        flash = [
            (0x3C000000 + 4 * rng.randrange(8, 0x4000), rng.randbytes(4 * rng.randrange(1, 200))),
            (0x42000000 + 0x10000 * page + 4 * rng.randrange(8, 0x4000), rng.randbytes(4 * rng.randrange(1, 3000))),
        ]
        ram = [
            (0x3FC88000, rng.randbytes(rng.choice([4, 7, 8, 12, 0x8000, 4 * rng.randrange(1, 0x5000)]))),
            (0x40380000, rng.randbytes(4 * rng.randrange(1, 200))),
            (0x50000000, rng.randbytes(4 * rng.randrange(1, 200))),
        ]
        linked = program(*rng.sample(flash, rng.randrange(1, 3)), *rng.sample(ram, rng.randrange(4)))
        assert from_elf(linked) == esptools(linked)


@pytest.mark.parametrize("room", [4, 8, 12, 0xFFF0])
def test_a_narrow_gap_is_filled_as_esptool_fills_it(esptools, room):
    """The constants end 16 bytes before a page of the file does: a header of 8, ``room``, a header of 8, the code."""
    linked = program((0x3C000020, bytes(0xFFF0 - 0x20)), (0x42010000 + room, b"code"), (0x3FC88000, b"data" * 100))
    assert from_elf(linked) == esptools(linked)


def test_the_descriptor_is_filled_in():
    made = inspect_image(from_elf(elf("confirm"), project_name="lamp", version="1.2.3", secure_version=5))
    assert made.err == EspErr.ESP_OK
    desc = made.app_desc
    assert (desc.project_name, desc.version, desc.secure_version) == ("lamp", "1.2.3", 5)
    assert desc.app_elf_sha256 == elf_sha256(elf("confirm"))


@pytest.mark.parametrize("app", APPS)
def test_every_image_passes_the_judge_as_bootloader_and_as_app(app):
    flash = Flash.from_bytes(merge({0x10000: from_elf(elf(app))}), size=0x400000)
    for build, mode in (("bootloader", "load"), ("app", "verify")):
        assert verify_image(flash, 0x10000, 0x100000, chip="esp32c3", build=build, mode=mode).err == EspErr.ESP_OK


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no ELF file"),
        (b"\xe9" + bytes(100), "no ELF file: Magic number does not match"),
        (program((0x40380000, bytes(4)), machine=0x5E), "EM_XTENSA with 32 bits, not 32-bit RISC-V"),
        (program((0x40380000, bytes(4)), kind=1), "ET_REL, not a linked program"),
        (program(), "nothing to load"),
        (
            program((0x3C000020, bytes(4)), (0x3C000100, bytes(4))),
            "0x3c000020 and 0x3c000100 share one page of the MMU",
        ),
        (program((0x40380000, bytes(400)))[:300], "does not lie in the file"),
    ],
    ids=["empty", "image", "xtensa", "object", "nothing", "page", "cut"],
)
def test_what_is_no_program_is_refused_by_name(data, words):
    with pytest.raises(ValueError, match=words):
        from_elf(data)


def test_a_chip_without_such_programs_is_refused():
    with pytest.raises(ValueError, match="images for esp32c2, esp32c3, esp32c6, esp32h2, not for 'esp32s3'"):
        from_elf(program((0x40380000, bytes(4))), chip="esp32s3")
    with pytest.raises(ValueError, match="has no esp_app_desc_t"):
        from_elf(program((0x40380000, bytes(4))), version="1.0.0")


def test_damaged_programs_are_refused_or_become_images():
    rng, linked = random.Random(1), elf("selftest")
    for _ in range(400):
        damaged = bytearray(linked)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.choice([rng.randrange(0xB4), rng.randrange(len(linked))])] = rng.randrange(256)
        cut = bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        for make in (from_elf, Symbols.from_elf):
            with suppress(ValueError):
                make(cut)


def test_addresses_have_names():
    symbols = Symbols.from_elf(elf("crash"))
    start = dict(zip((name for name, _ in symbols.names), symbols.starts, strict=True))
    assert symbols.at(start["broken_driver"]) == "broken_driver"
    assert symbols.at(start["app_main"] + 4) == "app_main+0x4"
    assert (symbols.at(0), symbols.at(0x50000000)) == ("", "")


def test_the_verb_makes_the_same_image_and_says_what_is_wrong(tmp_path):
    (tmp_path / "app.elf").write_bytes(elf("confirm"))
    call = ["elf2image", str(tmp_path / "app.elf"), "-o", str(tmp_path / "app.bin"), "--version", "1.2.3"]
    done = CliRunner().invoke(main, call)
    made = from_elf(elf("confirm"), version="1.2.3")
    assert (done.exit_code, (tmp_path / "app.bin").read_bytes()) == (0, made)
    assert done.output == f"Wrote {len(made)} bytes in 3 segments to {tmp_path / 'app.bin'}\n"
    refused = CliRunner().invoke(main, ["elf2image", str(tmp_path / "app.bin"), "-o", str(tmp_path / "again.bin")])
    assert (refused.exit_code, (tmp_path / "again.bin").exists()) == (2, False)
    assert refused.output == f"Error: {tmp_path / 'app.bin'}: no ELF file: Magic number does not match\n"


def test_without_the_extra_the_verb_names_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "elftools.elf.elffile", None)
    for name in ("py_esp_ota.elf", "py_esp_ota.cli.elf2image"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    done = CliRunner().invoke(main, ["elf2image", "app.elf", "-o", "app.bin"])
    assert done.exit_code == 2
    assert "pip install 'py_esp_ota[silicon]'" in done.output
