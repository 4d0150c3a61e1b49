"""``merge-bin`` beside esptool's, as a separate program: the same arguments, the same bytes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader

pytest.importorskip("esptool")


@pytest.mark.parametrize(
    ("chip", "start", "options"),
    [
        ("esp32c3", 0, []),
        ("esp32", 0x1000, []),
        ("esp32", 0x1000, ["--target-offset", "0x1000"]),
        ("esp32p4", 0x2000, ["--pad-to-size", "4MB"]),
        ("esp32c5", 0x2000, ["--target-offset", "0x2000", "--pad-to-size", "1MB"]),
    ],
)
def test_merge_bin(chip, start, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = {
        start: ("boot.bin", bootloader(chip=chip)),
        0x8000: ("table.bin", PartitionTable.builtin("two_ota").to_bytes()),
        0x10000: ("app.bin", Firmware("lamp", "1", chip=chip).to_bytes()),
    }
    words = []
    for offset, (name, data) in parts.items():
        (tmp_path / name).write_bytes(data)
        words += [f"0x{offset:x}", name]
    call = [sys.executable, "-m", "esptool", "--chip", chip, "merge-bin", "-o", "theirs.bin", *options, *words]
    subprocess.run(call, check=True, capture_output=True)
    done = CliRunner().invoke(main, ["merge-bin", "-o", "ours.bin", *options, *words])
    assert done.exit_code == 0, done.output
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("ours.bin", "theirs.bin"))
    assert len(ours) == len(theirs)
    assert ours == theirs
