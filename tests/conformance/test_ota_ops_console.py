"""What ``esp_ota_ops`` prints, line by line: its own tag, and the verifier's and the eFuses' lines it causes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, ROLLBACK, Board, app, slots, table
from test_ota_ops_anti_rollback import ANTI, versions

from py_esp_ota._core import AppDesc, EFuse, ImageHeader, Partition
from py_esp_ota.errors import EspError, OtaError
from py_esp_ota.firmware import bootloader
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log

PRIMARY = "I (0) esp_image: Bootloader offsets for PRIMARY: 0x0, Secondary: 0x0"
STAGED = "I (0) esp_image: Bootloader offsets for PRIMARY: 0x0, Secondary: 0x30000"
FINAL = "I (0) esp_ota_ops: Staging partition - <ota_1>. Final partition - <bootloader>."
UNSET = "I (0) esp_image: Bootloader offset for RECOVERY: has not been set yet"


def loaders(start: int = 0) -> list[Partition]:
    rows = slots(2, factory=True)
    return [Partition("bootloader", 2, 0, start, 0x8000 - start), *rows]


def ops_of(chip: str = "esp32c3", config=PLAIN, **fuses: object) -> OtaOps:
    start = 0x2000 if chip in {"esp32c5", "esp32p4"} else 0
    board = Board(table(*loaders(start)), config=config, chip=chip)
    board.chip.efuse = EFuse(chip, **fuses)
    return board.ops("factory")


def without_segments(lines: list[str]) -> list[str]:
    return [line for line in lines if "esp_image: segment" not in line]


def test_an_update_of_the_bootloader_says_where_bootloaders_may_lie():
    ops = ops_of()
    image = bootloader()
    handle = ops.begin(ops.table.find(label="bootloader"), 0)
    assert ops.log.lines == [PRIMARY]
    ops.write(handle, image)
    ops.end(handle)
    assert without_segments(ops.log.lines) == [PRIMARY, PRIMARY]
    handle = ops.begin(ops.table.find(label="ota_1"), 0)
    ops.set_final_partition(handle, ops.table.find(label="bootloader"), finalize_with_copy=True)
    ops.write(handle, image)
    ops.end(handle)
    assert without_segments(ops.log.lines)[2:] == [
        FINAL,
        STAGED,
        "I (0) esp_ota_ops: Copy from <ota_1> staging partition to <bootloader>...",
        PRIMARY,
    ]


def test_a_refused_bootloader_puts_the_offset_back_and_an_aborted_one_does_not():
    ops = ops_of()
    handle = ops.resume(ops.table.find(label="bootloader"), 0, 0)
    ops.write(handle, b"\xe9" + bytes(31))
    with pytest.raises(OtaError):
        ops.end(handle)
    assert without_segments(ops.log.lines)[-2:] == ["E (0) esp_ota_ops: New image failed verification", PRIMARY]
    handle = ops.begin(ops.table.find(label="bootloader"), 0)
    with pytest.raises(OtaError):
        ops.end(handle)  # nothing was written
    assert ops.log.lines[-2:] == [PRIMARY, PRIMARY]
    ops.log.lines.clear()
    ops.abort(ops.begin(ops.table.find(label="bootloader"), 0))
    assert ops.log.lines == [PRIMARY]


@pytest.mark.parametrize(
    ("chip", "version", "sector", "recovery"),
    [
        ("esp32c5", (6, 2, 0), 0, [UNSET]),
        ("esp32c5", (6, 2, 0), 0x3F0, ["I (0) esp_image: Bootloader offset for RECOVERY: 0x3f0000"]),
        ("esp32c5", (6, 2, 0), 0xFFF, ["I (0) esp_image: Bootloader offset for RECOVERY: is disabled"]),
        ("esp32c5", (5, 5, 1), 0, [UNSET]),
        ("esp32c5", (5, 5, 0), 0, []),
        ("esp32p4", (6, 1, 0), 0, [UNSET]),
        ("esp32p4", (6, 0, 1), 0, []),
        ("esp32p4", (5, 5, 5), 0, [UNSET]),
        ("esp32p4", (5, 5, 4), 0, []),
    ],
)
def test_chips_with_a_recovery_bootloader_say_where_that_lies(chip, version, sector, recovery):
    ops = ops_of(chip, replace(PLAIN, idf_version=version), recovery_bootloader_sector=sector)
    ops.begin(ops.table.find(label="bootloader"), 0)
    first = "I (0) esp_image: Bootloader offsets for PRIMARY: 0x2000, Secondary: 0x2000"
    assert ops.log.lines == [first, *recovery]


def test_choosing_the_factory_app_without_otadata_says_nothing():
    board = Board(table(("factory", 0, 0x00, 0x10000, 0x10000)), config=PLAIN)
    ops = board.ops("factory")
    with pytest.raises(OtaError, match="ESP_ERR_NOT_FOUND"):
        ops.set_boot_partition_skip_validate(board["factory"])
    assert ops.log.lines == []


@pytest.mark.parametrize(
    ("running", "burnt", "size", "line"),
    [
        (2, 0, None, "I (0) efuse: Anti-rollback is set. eFuse field is updated(2)."),
        (2, 2, None, None),
        (
            1,
            2,
            None,
            "E (0) efuse: Anti-rollback is not set. secure_version of app is lower that eFuse field(2).",
        ),
        (17, 0, None, "E (0) efuse: Max secure version is 16. Given 17 version can not be written."),
        (3, 0, 2, "E (0) efuse: Max secure version is 2. Given 3 version can not be written."),
        (2, 5, 2, None),  # bits beyond the configured field are not read
        (1, 5, 2, "E (0) efuse: Anti-rollback is not set. secure_version of app is lower that eFuse field(2)."),
    ],
)
def test_confirming_tells_what_became_of_the_efuse(running, burnt, size, line):
    config = replace(ANTI, bootloader_app_sec_ver_size_efuse_field=size)
    ops = versions(running, 0, e0="1/NEW", burnt=burnt, config=config).ops("ota_0")
    try:
        ops.mark_app_valid_cancel_rollback()
    except EspError:
        assert line is not None
        assert line.startswith("E")
    assert ops.log.lines == ([] if line is None else [line])


def test_the_lines_of_a_build_with_debug_output():
    board = Board(slots(2, factory=True), "1/VALID", "2/NEW", config=ROLLBACK)
    ops = OtaOps(board.chip, board["factory"], ROLLBACK, Log(lambda: 0, debug=True))

    def said(call, *arguments) -> list[str]:
        ops.log.lines.clear()
        call(*arguments)
        return [line.replace(" (0) esp_ota_ops", "") for line in ops.log.lines if "esp_ota_ops" in line]

    assert said(ops.get_boot_partition) == ["D: found ota app max = 2", "D: finding ota_17 app..."]
    assert said(ops.mark_app_valid_cancel_rollback) == ["D: OTA[current] partition is marked as VALID"]
    assert said(ops.mark_app_invalid_rollback) == [
        "D: OTA[current] partition is marked as INVALID",
        "I: Rollback to previously worked partition.",
    ]
    found = ["D: Invalid otadata[1]", "D: Find invalid ota_17 app"]
    assert said(ops.get_last_invalid_partition) == found
    board.flash_app("ota_1", b"\0")
    assert said(ops.get_last_invalid_partition) == [*found, "D: Last invalid partition has corrupted app"]
    board.flash_app("ota_1")
    monitored = ["D: Monitoring the first boot of the app is enabled."]
    assert said(ops.set_boot_partition, board["ota_1"]) == monitored
    assert said(ops.begin, board["ota_1"], 0) == ["D: finding last_boot_app_partition ota_16 app..."]
    assert said(ops.write, 1, b"") == ["D: write data size is 0"]
    for index in (0, 1):
        board.put(index, b"")
    assert said(ops.get_boot_partition) == ["D: found ota app max = 2", "D: finding factory app..."]
    assert said(ops.get_last_invalid_partition) == ["D: Invalid otadata[-1]"]
    desc = bytearray(app("ota_0")[0x20:0x120])
    desc[181] = 0
    old = ImageHeader.from_bytes(app("ota_0")[:24]), AppDesc.from_bytes(bytes(desc))
    assert said(ops.check_image_validity, 0, *old) == [
        "D: Older image format and hence no SPI flash mode info is available"
    ]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (lambda rows: rows[:96], ["No MD5 found in partition table", "load_partitions returned 0x105"]),
        (
            lambda rows: rows[:4] + b"\0\0\2\0" + rows[8:],
            ["Partition table MD5 mismatch", "load_partitions returned 0x103"],
        ),
    ],
)
def test_a_table_that_the_app_refuses_says_why(change, lines):
    board = Board(slots(2), config=PLAIN)
    rows = change(board.table.to_bytes())
    board.chip.flash.erase(0x8000, 0x1000)
    board.chip.flash.program(0x8000, rows)
    ops = OtaOps(board.chip, board["ota_0"], PLAIN, Log(lambda: 0))
    assert ops.log.lines == [f"E (0) partition: {line}" for line in lines]
