"""What a verb must not destroy: another file by a slip of the hand, what lies around a part, half of a result."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import files, main
from py_esp_ota.cli.files import Unusable
from py_esp_ota.firmware import Firmware, bootloader, merge

TABLE = PartitionTable.builtin("two_ota")
APP = Firmware("lamp", "1.0.0").to_bytes()
OTADATA = firmware.ota_select_entry(1, 2).ljust(0x1000, b"\xff") + firmware.ota_select_entry(2, 0).ljust(
    0x1000, b"\xff"
)
FLASH = merge({0: bootloader(), 0x8000: TABLE.to_bytes(), 0xD000: OTADATA, 0x10000: APP, 0x110000: APP})


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in {
        "flash": FLASH,
        "app": APP,
        "otadata": OTADATA,
        "text": b"a letter to somebody\n" * 400,
        "part": b"hello",
        "blank": b"\xff" * 0x4000,
    }.items():
        Path(name).write_bytes(data)
    return tmp_path


# ------------------------------------------------------------------------------------------------------------- nvs


@pytest.mark.parametrize(
    "words",
    [
        ("list", "otadata"),
        ("stats", "otadata"),
        ("get", "otadata", "app", "key"),
        ("set", "otadata", "app", "key", "u8", "1"),
        ("erase", "otadata", "app"),
    ],
)
def test_what_is_not_nvs_is_told_and_stays(room, words):
    done = run("nvs", *words)
    assert (done.exit_code, done.output) == (1, "Error: otadata: nvs is not NVS: none of its pages begins as one\n")
    assert Path("otadata").read_bytes() == OTADATA


def test_a_partition_of_a_flash_that_holds_something_else(room):
    Path("flash").write_bytes(FLASH[:0x9000] + b"x" * 0x4000 + FLASH[0xD000:])
    before = Path("flash").read_bytes()
    done = run("nvs", "set", "flash", "app", "key", "u8", "1")
    assert (done.exit_code, "is not NVS" in done.output) == (1, True)
    assert Path("flash").read_bytes() == before


def test_a_blank_partition_is_nvs_and_so_is_a_damaged_one(room):
    assert run("nvs", "set", "blank", "app", "key", "u8", "1").exit_code == 0
    data = bytearray(Path("blank").read_bytes())
    data[0x1000:0x1020] = bytes(32)
    Path("blank").write_bytes(data)
    done = run("nvs", "get", "blank", "app", "key")
    assert (done.exit_code, done.output) == (0, "1\n")


# ------------------------------------------------------------------------------------------------------ no flash


@pytest.mark.parametrize(
    ("file", "says"), [("app", "app is an app, not a flash"), ("text", "text does not look like a flash")]
)
@pytest.mark.parametrize("words", [["erase-flash", "FILE"], ["write-flash", "FILE", "0x1000", "part"]])
def test_what_is_no_flash_is_neither_erased_nor_written_into(room, file, says, words):
    words = [file if word == "FILE" else word for word in words]
    before = Path(file).read_bytes()
    done = run(*words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert says in done.output
    assert "--force" in done.output
    assert Path(file).read_bytes() == before
    assert run(*words, "--force").exit_code == 0
    assert Path(file).read_bytes() != before


@pytest.mark.parametrize("what", ["flash", "blank", "sized", "late", "moved"])
def test_what_looks_like_a_flash_needs_no_force(room, what):
    made = {
        "sized": b"data".ljust(1 << 20, b"\xff"),
        "late": merge({0: bootloader(chip="esp32"), 0x7000: TABLE.to_bytes()}),
        "moved": merge({0: bootloader(), 0xA000: TABLE.to_bytes()}),
    }
    if what in made:
        Path(what).write_bytes(made[what])
    before = Path(what).read_bytes()
    assert run("write-flash", what, "0x3000", "part").exit_code == 0
    Path(what).write_bytes(before)
    assert run("erase-flash", what).exit_code == 0
    assert set(Path(what).read_bytes()) == {0xFF}


def test_what_lies_around_an_unaligned_part_stays(room):
    assert run("write-flash", "flash", "0x10010", "part").exit_code == 0
    assert Path("flash").read_bytes() == FLASH[:0x10010] + b"hello" + FLASH[0x10015:]


# ---------------------------------------------------------------------------------------------- all of it, or nothing


@pytest.mark.parametrize("there", [False, True])
def test_a_split_that_fails_leaves_no_folder(room, monkeypatch, there):
    if there:
        Path("new").mkdir()
    write, names = files.write_output, []

    def failing(path, data, **options):
        names.append(path.name)
        if len(names) == 3:
            raise Unusable("the disk is full")
        write(path, data, **options)

    monkeypatch.setattr(files, "write_output", failing)
    folder = Path("new") if there else Path("new/and/deep")
    done = run("split", "flash", "-o", folder)
    assert (done.exit_code, done.output) == (2, "Error: the disk is full\n")
    assert Path("new").exists() == there
    assert not there or not list(folder.iterdir())


def test_a_flash_for_no_known_chip_is_not_split_halfway(room):
    Path("flash").write_bytes(FLASH[:12] + b"\x77\x77" + FLASH[14:])
    done = run("split", "flash", "-o", "parts", "--chip", "esp32c3")
    assert Path("parts").exists() == (done.exit_code == 0)


@pytest.mark.parametrize("verb", [["boot"], ["run", "--timeout", "0.01"]])
@pytest.mark.parametrize("name", ["fuses", "flash"])
def test_neither_file_is_written_when_one_cannot_be(room, verb, name):
    assert run("efuse", "new", "fuses", "--chip", "esp32c3").exit_code == 0
    Path("flash").write_bytes(FLASH.replace(OTADATA, firmware.ota_select_entry(1, 0).ljust(0x2000, b"\xff")))
    before = {file: Path(file).read_bytes() for file in ("flash", "fuses")}
    Path(name).chmod(0o444)
    done = run(verb[0], "flash", *verb[1:], "--efuse", "fuses", "--write")
    assert (done.exit_code, done.output) == (2, f"Error: {name} is read-only\n")
    assert {file: Path(file).read_bytes() for file in ("flash", "fuses")} == before
