"""Deep sleep: what is skipped on waking, and what RTC memory remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, ROLLBACK, Board, entry, slots, table
from test_bootloader import untimed

from py_esp_ota._core import RtcRetain
from py_esp_ota.chip import Held, ResetReason
from py_esp_ota.firmware import image

SKIP = {"bootloader_skip_validate_in_deep_sleep": True}


def asleep(bench: Board) -> Board:
    bench.chip.reset_reason = ResetReason.DEEPSLEEP
    return bench


def record(bench: Board) -> RtcRetain | None:
    return RtcRetain.from_bytes(bench.chip.rtc)


def test_without_the_option_waking_is_a_reset_like_any_other():
    bench = asleep(Board(slots(2), "1/VALID", "2/PENDING_VERIFY"))
    assert bench.booted() == "ota_0"
    assert bench.otadata == ("1/VALID", "2/ABORTED")
    assert record(bench) is None


def test_edge_case_36_fast_boot_neither_reads_nor_writes_otadata():
    bench = Board(slots(2), "1/VALID", "2/NEW", config=replace(ROLLBACK, **SKIP))
    assert bench.booted() == "ota_1"
    slot = bench["ota_1"]
    assert record(bench) == RtcRetain(offset=slot.offset, size=slot.size, reboot_counter=1)
    bench.put(0, entry("9/VALID"))  # a choice that waits for a real reset
    report = asleep(bench).boot()
    assert report.partition.offset == slot.offset
    assert report.app_desc.version == "ota_1"
    assert untimed(report)[-2:] == [
        f"I boot: Fast booting app from partition at offset 0x{slot.offset:x}",
        "I boot: Disabling RNG early entropy source...",
    ]
    assert bench.otadata == ("9/VALID", "2/PENDING_VERIFY")
    assert record(bench).reboot_counter == 2
    bench.chip.reset_reason = ResetReason.SW
    assert bench.booted() == "ota_0"
    assert bench.otadata == ("9/VALID", "2/ABORTED")
    assert record(bench).reboot_counter == 3


def test_fast_boot_does_not_validate():
    bench = Board(slots(2), "1/VALID", config=replace(PLAIN, **SKIP))
    bench.boot()
    broken = bytearray(bench["ota_0"].read(bench.chip.flash, 0, 0x4000))
    broken[0x800] ^= 0xFF
    bench.flash_app("ota_0", bytes(broken))
    assert asleep(bench).boot().ok
    bench.chip.reset_reason = ResetReason.SW
    assert bench.boot().partition.label == "ota_1"


@pytest.mark.parametrize("rtc", [bytes(16), b"\xff" * 16, bytes(range(16))])
def test_a_record_that_is_not_valid_is_the_usual_way(rtc):
    bench = asleep(Board(slots(2), "1/VALID", config=replace(PLAIN, **SKIP)))
    bench.chip.rtc = rtc
    report = bench.boot()
    assert report.partition.label == "ota_0"
    lines = untimed(report)
    assert "E boot: Fast booting is not successful" in lines
    assert "I boot: Try to load an app as usual with all validations" in lines


def test_power_off_forgets_the_record():
    bench = Board(slots(2), "1/VALID", config=replace(PLAIN, **SKIP))
    bench.boot()
    bench.boot()
    assert record(bench).reboot_counter == 1
    bench.chip.reset_reason = ResetReason.SW
    bench.boot()
    assert record(bench).reboot_counter == 2


def test_the_counter_stays_at_its_end():
    bench = Board(slots(2), "1/VALID", config=replace(PLAIN, bootloader_reserve_rtc_mem=True))
    bench.chip.rtc = RtcRetain(reboot_counter=0xFFFF).to_bytes()
    bench.chip.reset_reason = ResetReason.SW
    bench.boot()
    assert record(bench) == RtcRetain(reboot_counter=0xFFFF)


def test_the_test_app_does_not_touch_the_record():
    config = replace(PLAIN, bootloader_app_test=True, **SKIP)
    bench = Board(slots(2, factory=True, test=True), "1/VALID", config=config)
    bench.boot()
    before = bench.chip.rtc
    bench.chip.reset_reason = ResetReason.SW
    bench.chip.pins[18] = Held(0)
    assert bench.boot().partition.label == "test"
    assert bench.chip.rtc == before
    assert asleep(bench).boot().partition.offset == bench["ota_0"].offset


def test_a_factory_reset_is_remembered():
    config = replace(PLAIN, bootloader_factory_reset=True, bootloader_reserve_rtc_mem=True)
    bench = Board(slots(2, factory=True), "1/VALID", config=config)
    bench.chip.pins[4] = Held(0)
    bench.boot()
    assert record(bench).factory_reset_state


@pytest.mark.parametrize(
    ("entries", "factory", "woken"),
    [(("1/VALID", "2/NEW"), False, "ota_1"), (("-", "-"), True, "factory"), (("-", "-"), False, None)],
)
def test_a_chip_without_rtc_fast_memory_asks_otadata(entries, factory, woken):
    bench = Board(slots(2, factory=factory), *entries, config=replace(ROLLBACK, **SKIP), chip="esp32c2")
    report = asleep(bench).boot()
    fast = any("Fast booting app from" in line for line in report.log)
    assert fast is (woken is not None)
    assert report.app_desc.version == (woken or "ota_0")
    if fast:
        assert bench.otadata == entries
    assert bench.chip.rtc == bytes(16)


def small_otadata(size: int) -> Board:
    rows = table(
        ("otadata", 1, 0, 0xD000, size), ("factory", 0, 0, 0x10000, 0x10000), ("ota_0", 0, 0x10, 0x20000, 0x10000)
    )
    return asleep(Board(rows, "1/VALID", config=replace(PLAIN, **SKIP), chip="esp32c2"))


def test_a_chip_without_rtc_fast_memory_reads_no_otadata_of_one_sector():
    report = small_otadata(0x1000).boot()
    lines = untimed(report)
    assert report.app_desc.version == "factory"
    assert "E boot: ota_info partition size 4096 is too small (minimum 8192 bytes)" in lines
    assert "I boot: Fast booting app from partition at offset 0x10000" in lines
    # A row of no bytes is not looked at, and nothing is said of it.
    report = small_otadata(0).boot()
    assert report.app_desc.version == "factory"
    assert not any("too small" in line for line in report.log)


def test_without_ota_rows_a_remainder_by_zero_is_no_slot():
    """On RISC-V it is the number itself: no slot has it, and the number before the first one is factory's."""
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("factory", 0, 0, 0x10000, 0x10000))
    for seq, fast in ((1, False), (0, True)):
        bench = asleep(Board(rows, f"{seq}/VALID", config=replace(PLAIN, **SKIP), chip="esp32c2"))
        report = bench.boot()
        assert report.app_desc.version == "factory"
        assert any("Fast booting app from" in line for line in report.log) is fast


def test_a_record_of_no_bytes_is_tried_all_the_same():
    bench = asleep(Board(slots(2), "1/VALID", config=replace(PLAIN, **SKIP)))
    bench.chip.rtc = RtcRetain(offset=bench["ota_1"].offset, size=0).to_bytes()
    report = bench.boot()
    assert report.app_desc.version == "ota_0"
    lines = untimed(report)
    at = lines.index("E boot: Fast booting is not successful")
    assert lines[at - 1].startswith("E esp_image: Image length ")
    assert lines[at - 1].endswith(" doesn't fit in partition length 0")


def test_waking_an_app_whose_segment_wraps_is_an_assertion_and_a_reset():
    bench = Board(slots(2), "1/VALID", config=replace(PLAIN, **SKIP))
    bench.boot()
    bench.flash_app("ota_0", image([(0x3C000020, bytes(256)), (0x7FFFFFFC, bytes(8))]))
    report = asleep(bench).boot()
    assert not report.ok
    assert report.resets == 1  # and the next start, which is no waking, ends there again
    assert not any("Fast booting is not successful" in line for line in report.log)


@pytest.mark.parametrize(
    ("options", "reason", "boots"),
    [
        ({}, ResetReason.POWERON, False),
        ({"bootloader_skip_validate_on_power_on": True}, ResetReason.POWERON, True),
        ({"bootloader_skip_validate_on_power_on": True}, ResetReason.SW, False),
        ({"bootloader_skip_validate_always": True}, ResetReason.SW, True),
    ],
)
def test_when_the_sums_are_not_taken(options, reason, boots):
    bench = Board(slots(1), "1/VALID", config=replace(PLAIN, **options))
    broken = bytearray(bench["ota_0"].read(bench.chip.flash, 0, 0x4000))
    broken[0x800] ^= 0xFF
    bench.flash_app("ota_0", bytes(broken))
    bench.chip.reset_reason = reason
    assert bench.boot().ok is boots


def test_a_second_run_that_only_repeats_the_first_is_not_told():
    """A build that does not validate at power-on does so after the next reset, which an empty flash cannot tell."""
    config = replace(PLAIN, bootloader_skip_validate_on_power_on=True)
    bench = Board("two_ota", "1/VALID", without=("factory", "ota_0", "ota_1"), config=config)
    report = bench.boot()
    assert (report.ok, report.resets) == (False, 0)
    assert sum("2nd stage bootloader" in line for line in report.log) == 1
    assert report.why[-1] == "bootloader_reset: the chip resets and finds the same again, for ever"
