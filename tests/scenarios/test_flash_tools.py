"""The examples of ``otatool.py`` and ``parttool.py`` on a flash file, with our verbs, and their texts and order."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, merge

BINARY = Firmware("otatool", "1", chip="esp32").to_bytes()
SLOTS = """\
nvs,      data, nvs,     0x9000,  0x4000
otadata,  data, ota,     0xd000,  0x2000
factory,  app,  factory, 0x10000, 64K
ota_0,    app,  ota_0,   ,        64K
ota_1,    app,  ota_1,   ,        64K
"""
STORAGE = """\
nvs,      data, nvs,     0x9000,  0x6000
phy_init, data, phy,     0xf000,  0x1000
factory,  app,  factory, 0x10000, 64K
storage,  data, 0x82,    ,        64K
"""


def esp_ota(*words: object) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def flashed(path: Path, table: PartitionTable) -> Path:
    path.write_bytes(
        merge({0x1000: bootloader(chip="esp32", flash_size=0x100000), 0x8000: table.to_bytes(), 0x10000: BINARY}).ljust(
            0x100000, b"\xff"
        )
    )
    return path


def running_partition(flash: Path) -> str:
    """``get_running_partition.py``: reset the board, and read its console."""
    return json.loads(esp_ota("boot", flash, "--no-rollback", "--write", "--json"))["partition"]


@pytest.mark.parametrize("like_app", [False, True], ids=["as otatool", "as the app"])
def test_examples_otatool(tmp_path, like_app):
    """``examples/system/ota/otatool/otatool_example.py``."""
    flash = flashed(tmp_path / "flash.bin", PartitionTable.from_csv(SLOTS))
    binary = tmp_path / "otatool.bin"
    binary.write_bytes(BINARY)

    def switch(*slot: object) -> None:
        esp_ota("otadata", "switch", flash, *slot, *(["--like-app", "--no-rollback"] if like_app else []))

    # Writing factory firmware to ota_0 and ota_1
    for name in ("ota_0", "ota_1"):
        esp_ota("write-flash", flash, "--partition-name", name, binary)
        # Checking written firmware to ota_0 and ota_1 match factory firmware
        app = tmp_path / f"{name}.bin"
        esp_ota("read-flash", flash, "--partition-name", name, "--output", app)
        assert app.read_bytes()[: len(BINARY)] == BINARY
    # Switching to factory app
    esp_ota("otadata", "erase", flash)
    assert running_partition(flash) == "factory"
    # Switching to OTA slot 0, to OTA slot 1 (twice in a row), to OTA slot 0 (twice in a row)
    for slot, name in ((0, "ota_0"), (1, "ota_1"), (None, "ota_1"), (0, "ota_0"), (None, "ota_0")):
        switch(*(("--name", name) if slot is None else ("--slot", slot)))
        assert running_partition(flash) == name
    # Switching to factory app
    esp_ota("otadata", "erase", flash)
    assert running_partition(flash) == "factory"
    # Switching to OTA slot 1
    switch("--slot", 1)
    assert running_partition(flash) == "ota_1"


def test_examples_parttool(tmp_path):
    """``examples/storage/parttool/parttool_example.py``."""
    table = PartitionTable.from_csv(STORAGE)
    flash = flashed(tmp_path / "flash.bin", table)
    read, written = tmp_path / "read.bin", tmp_path / "write.bin"
    # Checking if device app binary matches built binary
    esp_ota("read-flash", flash, "--partition-type", "app", "--partition-subtype", "factory", "--output", read)
    assert read.read_bytes()[: len(BINARY)] == BINARY
    # Checking if device partition table matches partition table csv
    rows = {row["name"]: row for row in json.loads(esp_ota("partition-table", flash, "--json"))}
    assert list(rows) == [row.label for row in table]
    # Found data partition at offset 0x20000 with size 0x10000
    assert (rows["storage"]["offset"], rows["storage"]["size"]) == (0x20000, 0x10000)
    # Writing to data partition, reading it
    written.write_bytes(random.Random(1).randbytes(0x10000))
    esp_ota("write-flash", flash, "--partition-name", "storage", written)
    esp_ota("read-flash", flash, "--partition-name", "storage", "--output", read)
    assert read.read_bytes() == written.read_bytes()
    # Erasing data partition
    esp_ota("erase-region", flash, "--partition-name", "storage")
    esp_ota("read-flash", flash, "--partition-name", "storage", "--output", read)
    assert read.read_bytes() == b"\xff" * 0x10000
    assert running_partition(flash) == "factory"
