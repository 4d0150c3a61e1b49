"""The files of split: whatever a flash's labels say, each part has one of its own, inside the folder."""

from __future__ import annotations

import json
import struct

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, merge

APP = Firmware("lamp", "1.0.0").to_bytes()
DOTS = [".", "..", "...", "../../../etc/x", "/etc/passwd", "a/b", "a_b", "a\\b"]
CASES = ["ota_0", "OTA_0", "Ota_0", "ota_0-1", "CON", "unknown-0x9000", "UNKNOWN-0X9000"]
TAKEN = ["bootloader", "partition_table", "flasher_args.json"]
ODD = ["", "\x1b[31m", "\n", "\x9b31m", "größe", "ſ", "\u202etxt", "sixteen-letters!"]
HOSTILE = [label.encode() for label in [*DOTS, *CASES, *TAKEN, *ODD]]


#: What a table may hold: 16 bytes of UTF-8.
LABELS = st.sampled_from(HOSTILE) | st.text(max_size=16).map(lambda text: text.encode("utf-8", "ignore")[:16]).map(
    lambda label: label.decode("utf-8", "ignore").encode()
)


def flash_with(labels) -> bytes:
    """A flash with a row of one sector for each label; the sector says which."""
    rows, parts = b"", {0: bootloader(), 0x9000: b"between", 0x10000: APP}
    for number, label in enumerate(labels):
        offset = 0x100000 + number * 0x1000
        rows += b"\xaa\x50" + struct.pack("<BBII16sI", 1, 0x40, offset, 0x1000, label[:16], 0)
        parts[offset] = b"part %d" % number
    return merge({**parts, 0x8000: rows + b"\xff" * 32})


def taken_apart(labels, folder):
    flash = folder / "flash.bin"
    flash.write_bytes(flash_with(labels))
    done = CliRunner().invoke(main, ["split", str(flash), "-o", str(folder / "out" / "parts"), "--json"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in folder.iterdir()) == ["flash.bin", "out"]
    assert [path.name for path in (folder / "out").iterdir()] == ["parts"]
    return json.loads(done.stdout)


def holds(labels, folder):
    listed = taken_apart(labels, folder)
    parts = folder / "out" / "parts"
    names = [row["file"] for row in listed]
    assert len({name.lower() for name in [*names, "flasher_args.json"]}) == len(names) + 1
    assert all(name.isascii() and name.isprintable() for name in names)
    there = {path.relative_to(parts).as_posix() for path in parts.rglob("*") if path.is_file()}
    assert there == {*names, "flasher_args.json"}
    by_offset = {row["offset"]: parts / row["file"] for row in listed}
    for number in range(len(labels)):
        assert by_offset[0x100000 + number * 0x1000].read_bytes() == b"part %d" % number
    again = CliRunner().invoke(main, ["merge-bin", str(parts), "-o", str(folder / "out" / "again.bin")])
    assert again.exit_code == 0, again.output
    flash = (folder / "flash.bin").read_bytes()
    assert (folder / "out" / "again.bin").read_bytes() == flash[: len(flash.rstrip(b"\xff"))]


def test_every_hostile_label_at_once(tmp_path):
    holds(HOSTILE, tmp_path)


def test_dots_alone_are_apart(tmp_path):
    names = [row["file"] for row in taken_apart([b".", b".."], tmp_path)]
    assert names[-2:] == ["partition.bin", "partition-1.bin"]


@given(st.lists(LABELS, min_size=1, max_size=12))
def test_any_labels(tmp_path_factory, labels):
    holds(labels, tmp_path_factory.mktemp("split"))
