"""A number in a file or on the command line costs no more memory than the largest flash has."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from py_esp_ota import firmware
from py_esp_ota.cli import files
from py_esp_ota.firmware import LARGEST_FLASH, Firmware, bootloader, merge

APP, NEWER = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "2.0.0"))
MEMORY = 2 << 30


def row(kind: int, subtype: int, offset: int, size: int, label: bytes) -> bytes:
    return b"\xaa\x50" + struct.pack("<BBII16sI", kind, subtype, offset, size, label, 0)


def flash(*rows: bytes) -> bytes:
    return merge({0: bootloader(), 0x8000: b"".join(rows) + b"\xff" * 32, 0x10000: APP})


@pytest.fixture
def esp_ota(keeper):
    """A process that may have so much address space."""
    return lambda *words, memory=MEMORY: keeper.run(words, memory)


def build(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    (folder / "flasher_args.json").write_text(json.dumps({"flash_files": files}))
    (folder / "tiny").write_bytes(b"x")
    with (folder / "big").open("wb") as file:
        file.truncate(LARGEST_FLASH)
    return folder


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("app").write_bytes(APP)
    Path("newer").write_bytes(NEWER)
    Path("tiny").write_bytes(b"x")
    build(tmp_path / "far", {"0xffffffff": "tiny"})
    build(tmp_path / "edge", {"0x7ffffff": "tiny", "0x8000000": "tiny"})
    build(tmp_path / "much", {hex(offset << 4): "big" for offset in range(64)})
    Path("otadata").write_bytes(flash(*(row(1, 0, 0, LARGEST_FLASH, b"o%d" % n) for n in range(90))))
    huge = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000000,0x70000000\n"
    Path("huge.csv").write_text(huge)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["merge-bin", "far", "-o", "out"],
        ["merge-bin", "edge", "-o", "out"],
        ["merge-bin", "much", "-o", "out"],
        ["merge-bin", "-o", "out", "0xffffffff", "tiny"],
        ["merge-bin", "-o", "out", "-t", "0xfffffff0", "0xffffffff", "tiny"],
        ["merge-bin", "-o", "out", "0", "tiny", "4095M", "tiny"],
        ["boot", "far"],
        ["boot", "0", "app", "0xffffffff", "tiny"],
        ["image-info", "far"],
        ["otadata", "read", "far"],
        ["run", "far"],
        ["split", "far", "-o", "out"],
        ["split", "otadata", "-o", "out"],
        ["write-flash", "out", "--flash-size", "1MB", "0xffffffff", "tiny"],
        ["sweep", "app", "newer", "--partitions", "huge.csv"],
        ["image-info", "/dev/zero"],
        ["nvs", "list", "/dev/zero"],
        ["boot", "/dev/zero"],
        ["nvs", "generate", "/dev/zero", "0x3000", "out"],
    ],
    ids=" ".join,
)
def test_it_is_refused_in_one_line_before_it_costs_anything(words, room, esp_ota):
    done = esp_ota(*words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert not (room / "out").exists()


def test_a_table_for_more_than_the_largest_flash_is_told_what_that_is(room, esp_ota):
    done = esp_ota("sweep", "app", "newer", "--partitions", "huge.csv")
    assert done.stderr == "Error: the partition table needs 0x80000000 bytes of flash, there are 0x8000000\n"


def test_a_table_that_names_the_same_bytes_again_and_again_is_looked_at_one_by_one(room, esp_ota):
    size = 32 << 20
    apps = flash(*(row(0, 16 + n % 16, 0x10000, size - 0x10000, b"a") for n in range(24)))
    Path("apps").write_bytes(apps + bytes(size - len(apps)))
    done = esp_ota("image-info", "apps", "--json", memory=600 << 20)
    assert len(json.loads(done.stdout)["images"]) == 25


def test_an_app_row_without_a_byte_at_the_end_of_the_flash(room, esp_ota):
    Path("end").write_bytes(flash(row(0, 16, 0x400000, 0, b"end"), row(0, 17, 0x10000, 0x1000, b"app")))
    assert esp_ota("image-info", "end", "--json").returncode in {0, 1}


def test_merge_says_where_the_parts_end():
    with pytest.raises(ValueError, match="end at 0x8000001, beyond the largest flash, which has 0x8000000 bytes"):
        merge({LARGEST_FLASH: b"x"})
    with pytest.raises(ValueError, match="beyond the flash size 0x8000000"):
        merge({0: b"x"}, size=1 << 40)
    assert len(merge({LARGEST_FLASH - 1: b"x"})) == LARGEST_FLASH


def test_padding_to_less_than_the_target_offset_is_told(room, esp_ota):
    done = esp_ota("merge-bin", "-o", "out", "-t", "2M", "--pad-to-size", "1MB", "2M", "tiny")
    assert done.stderr == "Error: the target offset 0x200000 lies behind the end of a flash of 1MB\n"


def test_program_headers_that_all_name_the_same_bytes(room, esp_ota):
    size = 2 << 20
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, 0x42000000, 52, 0, 0, 52, 32, 60000, 0, 0, 0)
    one = struct.pack("<8I", 1, 0, 0x42000000, 0x42000000, size, size, 5, 4)
    Path("elf").write_bytes((header + one * 60000).ljust(size, b"\0"))
    done = esp_ota("elf2image", "elf", "-o", "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the largest flash" in done.stderr


def test_one_file_as_every_part_of_write_flash_is_not_read_twice_over(room, esp_ota):
    with Path("big").open("wb") as file:
        file.truncate(LARGEST_FLASH)
    words = [word for offset in range(64) for word in (hex(offset << 12), "big")]
    done = esp_ota("write-flash", "out", "--flash-size", "128MB", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_the_constant_is_the_flash_of_the_judge():
    from py_esp_ota import Flash

    assert Flash(LARGEST_FLASH).size == LARGEST_FLASH
    with pytest.raises(ValueError, match="size"):
        Flash(2 * LARGEST_FLASH)
    assert files.LARGEST_FLASH == firmware.LARGEST_FLASH == 0x8000000
