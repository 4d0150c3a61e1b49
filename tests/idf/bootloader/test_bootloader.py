"""The bootloader's console, its reasons, and what it makes of a chip that cannot boot."""

import json
import struct

import pytest
from board import PLAIN, SECTOR, Board, app, slots, table
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota import firmware
from py_esp_ota._core import Flash, Partition, Target
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, FlashError, PowerLoss
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.bootloader import run as bootloader_run
from py_esp_ota.idf.bootloader.start import boot, state_of
from py_esp_ota.sdkconfig import Sdkconfig


def untimed(report):
    """Log lines without their time stamps."""
    return [line[0] + line[line.index(")") + 1 :] for line in report.log]


def tail(report, count):
    return untimed(report)[-count:]


# --------------------------------------------------------------------------------------------------- a normal boot


def test_the_console_of_a_normal_boot():
    board = Board("two_ota", "1/VALID", "2/VALID")
    lines = untimed(board.boot())
    assert lines[:18] == [
        "I boot: ESP-IDF v6.1 2nd stage bootloader",
        "I boot: chip revision: v0.4",
        "I boot: efuse block revision: v0.0",
        "I boot.esp32c3: SPI Speed      : 80MHz",
        "I boot.esp32c3: SPI Mode       : DIO",
        "I boot.esp32c3: SPI Flash Size : 4MB",
        "I boot: Enabling RNG early entropy source...",
        "I boot: Partition Table:",
        "I boot: ## Label            Usage          Type ST Offset   Length",
        "I boot:  0 nvs              WiFi data        01 02 00009000 00004000",
        "I boot:  1 otadata          OTA data         01 00 0000d000 00002000",
        "I boot:  2 phy_init         RF data          01 01 0000f000 00001000",
        "I boot:  3 factory          factory app      00 00 00010000 00100000",
        "I boot:  4 ota_0            OTA app          00 10 00110000 00100000",
        "I boot:  5 ota_1            OTA app          00 11 00210000 00100000",
        "I boot: End of partition table",
        "I esp_image: segment 0: paddr=00210020 vaddr=3c000020 size=00100h (   256) map",
        "I esp_image: segment 1: paddr=00210128 vaddr=3fc88000 size=00020h (    32) load",
    ]
    assert lines[20:] == [
        "I boot: Loaded app from partition at offset 0x210000",
        "I boot: Disabling RNG early entropy source...",
    ]


def test_the_reasons_of_a_normal_boot():
    assert Board("two_ota", "1/VALID", "2/VALID").boot().why == (
        "bootloader_utility_get_selected_boot_partition: otadata[1] is active (seq 2, VALID) -> ota_1",
        "bootloader_utility_load_boot_image: ota_1 loaded",
    )


def test_the_report_as_json():
    board = Board("two_ota", "1/VALID", "2/VALID")
    report = board.boot()
    assert json.loads(json.dumps(report.to_dict())) == {
        "ok": True,
        "partition": "ota_1",
        "offset": 0x210000,
        "state": "VALID",
        "resets": 0,
        "otadata_writes": [],
        "efuse_changes": {},
        "why": list(report.why),
        "log": list(report.log),
        "console": list(report.console),
    }
    assert (report.app_desc.project_name, report.app_desc.version) == ("bench", "ota_1")


def test_the_report_of_a_dead_chip_as_json():
    report = boot(Chip(), Sdkconfig())
    assert report.to_dict() | {"why": [], "log": [], "console": []} == {
        "ok": False,
        "partition": None,
        "offset": None,
        "state": "",
        "resets": 0,
        "otadata_writes": [],
        "efuse_changes": {},
        "why": [],
        "log": [],
        "console": [],
    }
    assert report.app_desc is None


@pytest.mark.parametrize("chip", Target.names())
def test_every_chip_boots(chip):
    report = Board("two_ota_large", chip=chip).boot()
    assert report.ok
    assert report.partition.label == "ota_0"


def test_the_same_flash_prints_the_same_lines():
    assert Board("two_ota", "1/NEW").boot().log == Board("two_ota", "1/NEW").boot().log


def test_time_never_goes_back_and_an_erase_takes_a_while():
    def times(report):
        return [int(line[line.index("(") + 1 : line.index(")")]) for line in report.log]

    quiet, rewriting = times(Board("two_ota", "1/VALID").boot()), times(Board("two_ota", "1/NEW").boot())
    assert quiet == sorted(quiet)
    assert quiet[0] == 24
    assert rewriting[-1] - quiet[-1] >= 45


# -------------------------------------------------------------------------------------------------- trouble and heal


@pytest.mark.parametrize(
    ("factory", "entries", "line"),
    [
        (True, ("-", "-"), "I boot: Defaulting to factory image"),
        (False, ("-", "-"), "I boot: No factory image, trying OTA 0"),
        (True, ("1/VALID!", "-"), "E boot: ota data partition invalid, falling back to factory"),
        (False, ("1/VALID!", "-"), "E boot: ota data partition invalid and no factory, will try all partitions"),
    ],
)
def test_unusable_otadata_is_announced(factory, entries, line):
    printed = untimed(Board(slots(2, factory=factory), *entries).boot())
    assert printed[printed.index("I boot: End of partition table") + 1] == line


def test_healing_is_the_line_before_the_last():
    report = Board(slots(2)).boot()
    assert tail(report, 3) == [
        "I boot: Loaded app from partition at offset 0x10000",
        "I boot: Set actual ota_seq=1 in otadata[0]",
        "I boot: Disabling RNG early entropy source...",
    ]
    start = "both otadata entries are blank, INVALID or ABORTED, no factory -> ota_0 first"
    assert report.why == (
        f"bootloader_utility_get_selected_boot_partition: {start}",
        "bootloader_utility_load_boot_image: ota_0 loaded",
        "set_actual_ota_seq: otadata[0] = seq 1, VALID",
    )
    assert report.state == "VALID"


def test_a_broken_app_is_named_and_the_next_one_tried():
    board = Board(slots(2, factory=True), "2/NEW", without=("ota_1",))
    board.flash_app("ota_1", app("ota_1")[:-1] + bytes([app("ota_1")[-1] ^ 1]))
    report = board.boot()
    lines = untimed(report)
    failed = lines.index("E boot: OTA app partition slot 1 is not bootable")
    assert lines[failed - 1] == "E esp_image: Image hash failed - image is corrupt"
    assert lines[failed + 1].startswith("I esp_image: segment 0: paddr=00020020")
    assert report.partition.label == "ota_0"
    assert report.state == ""
    assert report.why[:2] == (
        "bootloader_utility_get_selected_boot_partition: otadata[0] is active (seq 2, NEW) -> ota_1",
        "bootloader_utility_get_selected_boot_partition: otadata[0] NEW -> PENDING_VERIFY (one boot to confirm itself)",
    )
    assert report.why[2].startswith(
        "bootloader_utility_load_boot_image: ota_1 is not bootable: ESP_ERR_IMAGE_INVALID, "
    )
    assert report.why[3] == "bootloader_utility_load_boot_image: ota_0 loaded"


def test_an_erased_slot_prints_no_segments():
    report = Board(slots(2, factory=True), without=("factory",)).boot()
    lines = untimed(report)
    failed = lines.index("E boot: Factory app partition is not bootable")
    assert lines[failed - 1] == "E esp_image: image at 0x10000 has invalid magic byte (nothing flashed here?)"


def test_an_app_that_needs_another_chip_revision_is_not_bootable():
    board = Board(slots(1, factory=True), "1/VALID")
    board.flash_app("ota_0", Firmware("bench", "ota_0", min_chip_rev_full=101).to_bytes())
    report = board.boot()
    assert report.partition.label == "factory"
    assert "E boot_comm: chip revision check failed. Required >= v1.1, found v0.4." in untimed(report)


def test_an_unconfirmed_app_is_explained():
    report = Board(slots(2), "1/VALID", "2/PENDING_VERIFY").boot()
    assert report.why[0] == (
        "bootloader_utility_get_selected_boot_partition: otadata[1] PENDING_VERIFY -> ABORTED (nobody confirmed it)"
    )
    assert report.partition.label == "ota_0"


@pytest.mark.parametrize(
    ("rows", "entries", "reason"),
    [
        (table(("factory", 0, 0, 0x10000, 0x10000)), (), "no otadata partition -> factory"),
        (slots(0, factory=True), ("1/VALID",), "no OTA slot in the table -> factory"),
        (slots(2, factory=True), ("1/INVALID",), "both otadata entries are blank, INVALID or ABORTED -> factory"),
        (slots(2, factory=True), ("1/NEW!",), "no otadata entry has a good CRC and a usable state -> factory"),
        (
            slots(2),
            ("1/NEW!",),
            "no otadata entry has a good CRC and a usable state, no factory -> every slot in turn",
        ),
    ],
)
def test_every_start_has_a_reason(rows, entries, reason):
    report = Board(rows, *entries, config=PLAIN).boot()
    assert report.why[0] == f"bootloader_utility_get_selected_boot_partition: {reason}"


def test_a_slot_the_table_does_not_have_is_explained():
    rows = table(
        ("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000), ("ota_2", 0, 0x12, 0x20000, 0x10000)
    )
    report = Board(rows, "2/VALID").boot()
    assert report.why[0].endswith("otadata[0] is active (seq 2, VALID) -> slot 1, which the table does not have")


# ------------------------------------------------------------------------------------------------- nothing to boot


def test_an_erased_chip_resets_for_ever():
    report = boot(Chip(), Sdkconfig())
    assert tail(report, 3) == [
        "E flash_parts: partition 0 invalid magic number 0xffff",
        "E boot: Failed to verify partition table",
        "E boot: load partition table error!",
    ]
    assert report.why[0].startswith("bootloader_utility_load_partition_table: the table at 0x8000 is refused: ")
    assert report.why[-1] == "bootloader_reset: the chip resets and finds the same again, for ever"


def test_a_table_beyond_the_flash_cannot_be_read():
    report = boot(Chip(), Sdkconfig(partition_table_offset=0x400000))
    assert tail(report, 2) == ["E boot: bootloader_mmap(0x400000, 0xc00) failed", "E boot: load partition table error!"]


def test_the_table_may_lie_elsewhere():
    board = Board(slots(2))
    board.chip.flash.erase(0x8000, SECTOR)
    board.chip.flash.program(0xC000, board.table.to_bytes())
    assert not board.boot().ok
    assert boot(board.chip, Sdkconfig(partition_table_offset=0xC000)).ok


def test_otadata_beyond_the_flash_cannot_be_read():
    rows = table(("otadata", 1, 0, 0x500000, 0x2000), ("factory", 0, 0, 0x10000, 0x10000))
    board = Board(rows)
    board.chip.flash.program(0, firmware.bootloader(flash_size=0x800000))
    report = board.boot()
    assert tail(report, 1) == ["E boot: bootloader_mmap(0x500000, 0x2000) failed"]
    assert not report.ok


def test_no_bootable_app_is_the_last_line():
    report = Board(slots(2, factory=True), without=("factory", "ota_0", "ota_1")).boot()
    assert tail(report, 3) == [
        "E esp_image: image at 0x30000 has invalid magic byte (nothing flashed here?)",
        "E boot: OTA app partition slot 1 is not bootable",
        "E boot: No bootable app partitions in the partition table",
    ]
    assert report.why[-2:] == (
        "bootloader_utility_load_boot_image: no bootable app partition",
        "bootloader_reset: the chip resets and finds the same again, for ever",
    )


def test_a_dead_chip_has_settled():
    """What a new app's entry becomes over the resets is followed to the end."""
    board = Board(slots(2), "1/VALID", "2/NEW", without=("ota_0", "ota_1"))
    report = board.boot()
    assert not report.ok
    assert board.otadata == ("1/VALID", "2/ABORTED")
    assert sum("2nd stage bootloader" in line for line in report.log) == 3
    settled = board.chip.flash.to_bytes()
    board.boot()
    assert board.chip.flash.to_bytes() == settled


# ------------------------------------------------------------------------------------------------- mapped segments


def test_on_a_shared_window_three_mapped_segments_stop_the_loader():
    chip = "esp32c6"
    image = firmware.image(
        [(0x42000020, firmware.app_desc("bench", "x")), (0x42010128, bytes(16)), (0x42020140, bytes(16))], chip=chip
    )
    board = Board(slots(2), "2/VALID", chip=chip)
    board.flash_app("ota_1", image)
    report = board.boot()
    assert not report.ok
    assert "unpack_load_app: assertion: 3 mapped segments, this chip needs exactly 2" in report.why


def test_a_new_app_that_stops_the_loader_is_rolled_back_over_the_resets():
    chip = "esp32c6"
    board = Board(slots(2), "1/VALID", "2/NEW", chip=chip)
    board.flash_app("ota_1", firmware.image([(0x42000020, firmware.app_desc("bench", "x"))], chip=chip))
    report = board.boot()
    assert (report.ok, report.partition.label) == (True, "ota_0")
    assert board.otadata == ("1/VALID", "2/ABORTED")
    assert "bootloader_reset: the chip resets; flash or eFuses have changed, so it tries again" in report.why


def test_on_separate_windows_a_second_segment_of_a_kind_is_an_error_line_only():
    desc = firmware.app_desc("bench", "ota_0")
    image = firmware.image(
        [(0x3C000020, desc), (0x3C010128, bytes(16)), (0x42010140, bytes(16)), (0x42020158, bytes(16))]
    )
    board = Board(slots(1), "1/VALID")
    board.flash_app("ota_0", image)
    report = board.boot()
    assert report.ok
    assert tail(report, 3) == [
        "I boot: Disabling RNG early entropy source...",
        "E boot: Image contains multiple DROM segments. Only the last one will be mapped.",
        "E boot: Image contains multiple IROM segments. Only the last one will be mapped.",
    ]


def test_lines_about_further_segments_come_in_the_order_of_the_segments():
    image = firmware.image(
        [(0x42000020, bytes(256)), (0x3C010128, bytes(8)), (0x42000138, bytes(8)), (0x3C010148, bytes(8))]
    )
    board = Board(slots(1), "1/VALID")
    board.flash_app("ota_0", image)
    assert tail(board.boot(), 2) == [
        "E boot: Image contains multiple IROM segments. Only the last one will be mapped.",
        "E boot: Image contains multiple DROM segments. Only the last one will be mapped.",
    ]


def test_an_app_without_a_descriptor_boots_nameless():
    board = Board(slots(1), "1/VALID")
    board.flash_app("ota_0", firmware.image([(0x3C000020, bytes(256)), (0x42010128, bytes(16))]))
    report = board.boot()
    assert report.ok
    assert report.app_desc is None


# ------------------------------------------------------------------------------------------------------ flash trouble


def test_a_flash_error_while_a_state_is_written_is_printed_and_ignored(monkeypatch):
    def broken(*_):
        raise FlashError(EspErr.ESP_ERR_FLASH_OP_FAIL)

    monkeypatch.setattr(bootloader_run, "write_otadata", broken)
    board = Board(slots(2), "1/VALID", "2/PENDING_VERIFY")
    report = board.boot()
    assert report.partition.label == "ota_0"
    assert "E boot: Error in write_otadata operation. err = 0x6001" in untimed(report)
    assert board.otadata == ("1/VALID", "2/PENDING_VERIFY")


def test_a_power_cut_ends_the_boot():
    board = Board(slots(2), "1/NEW")
    board.chip.flash.fault = "cut@1"
    with pytest.raises(PowerLoss):
        board.boot()
    with pytest.raises(PowerLoss):
        board.boot()
    board.chip.flash.power_on()
    assert board.booted() == "ota_0"


# -------------------------------------------------------------------------------------------------------- state_of


@pytest.mark.parametrize(
    ("label", "expected"), [("ota_0", "VALID"), ("ota_1", "NEW"), ("factory", ""), ("nvs", ""), ("otadata", "")]
)
def test_state_of_reads_the_flash(label, expected):
    board = Board(slots(2, factory=True), "1/VALID", "2/NEW")
    assert state_of(board.chip.flash, board[label], board.config) == expected


def test_state_of_of_a_slot_nobody_names():
    board = Board(slots(3), "1/VALID!", "2/NEW")
    assert state_of(board.chip.flash, board["ota_0"], board.config) == ""
    assert state_of(board.chip.flash, board["ota_2"], board.config) == ""


def test_state_of_without_otadata_or_table():
    rows = table(("ota_0", 0, 0x10, 0x10000, 0x10000))
    board = Board(rows)
    assert state_of(board.chip.flash, board["ota_0"], board.config) == ""
    assert state_of(Chip().flash, board["ota_0"], board.config) == ""
    assert state_of(board.chip.flash, board["ota_0"], Sdkconfig(partition_table_offset=0x400000)) == ""
    far = table(("otadata", 1, 0, 0x500000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000))
    assert state_of(Board(far).chip.flash, Partition("ota_0", 0, 0x10, 0x10000, 0x10000), Sdkconfig()) == ""


# ------------------------------------------------------------------------------------------------------- any bytes

ROW = st.builds(
    lambda kind, offset, size, label, flags: struct.pack("<2sBBII16sI", b"\xaaP", *kind, offset, size, label, flags),
    kind=st.sampled_from([(1, 0), (0, 0), (0, 0x10), (0, 0x11), (0, 0x1F), (0, 0x20), (1, 2), (2, 0), (0xFF, 0xFF)]),
    offset=st.sampled_from([0, 0x1000, 0x8000, 0xD000, 0xD123, 0x10000, 0x20000, 0x3FF000, 0x400000, 0xFFFFF000]),
    size=st.sampled_from([0, 1, 0x1000, 0x2000, 0x10000, 0x400000, 0xFFFFFFFF]),
    label=st.binary(min_size=16, max_size=16),
    flags=st.integers(0, 0xFFFFFFFF),
)
ENTRY = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.builds(
        firmware.ota_select_entry,
        st.sampled_from([0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]),
        st.sampled_from([0, 1, 2, 3, 4, 0x77, 0xFFFFFFFF]),
    ),
)
APP = bytearray(app("ota_0"))


@given(
    rows=st.lists(ROW, max_size=6),
    entries=st.tuples(ENTRY, ENTRY),
    flips=st.lists(st.tuples(st.integers(0, 0x140), st.integers(0, 255)), max_size=3),
    header=st.binary(max_size=32),
    rollback=st.booleans(),
)
def test_no_bytes_make_the_bootloader_raise(rows, entries, flips, header, rollback):
    image = bytearray(APP)
    for offset, value in flips:
        image[offset] = value
    parts = {
        0: header,
        0x8000: b"".join(rows),
        0xD000: entries[0],
        0xE000: entries[1],
        0x10000: bytes(image),
        0x20000: bytes(APP),
    }
    chip = Chip(flash=Flash.from_bytes(firmware.merge(parts), size=0x400000))
    report = boot(chip, Sdkconfig(bootloader_app_rollback_enable=rollback))
    assert report.ok == (report.partition is not None)
    assert report.why
    settled = boot(chip, Sdkconfig(bootloader_app_rollback_enable=rollback))
    if not report.ok:
        assert settled.log == report.log[-len(settled.log) :]
