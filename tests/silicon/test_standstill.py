"""Endless loops are found out, and nothing else is taken for one."""

from __future__ import annotations

import struct
import time

import pytest
from board import Board

from py_esp_ota.chip import ResetReason
from py_esp_ota.firmware import image
from py_esp_ota.silicon.bare import BareChip

_RESET = [0x40000337, 0x090300E7]  # lui t1, 0x40000; jalr 0x90(t1): software_reset
_CYCLES_PER_S = 160_000_000


@pytest.fixture(scope="module")
def bare():
    return BareChip()


def ran(bare, *code):
    board = Board("two_ota")
    words = struct.pack(f"<{len(code)}I", *code)
    board.flash_app("ota_0", image([(0x40380000, words), (0x3FC88000, bytes(16))], entry_addr=0x40380000))
    began = time.perf_counter()
    ended = bare.run(board.chip, board["ota_0"], seconds=60)
    return ended, time.perf_counter() - began


def lui(register, value):
    return value << 12 | register << 7 | 0x37


def test_a_loop_that_does_nothing_lasts_until_the_watchdog_and_takes_no_time_here(bare):
    ended, took = ran(bare, 0x0000006F)  # j .
    assert (ended.reset, round(ended.seconds, 3)) == (ResetReason.RTCWDT_RTC, 9.0)
    assert took < 2


def test_a_long_loop_that_ends_is_executed_to_its_end(bare):
    """addi t0, t0, -1; bnez t0."""
    ended, _ = ran(bare, lui(5, 0x2000), 0xFFF28293, 0xFE029EE3, *_RESET)
    assert ended.reset == ResetReason.SW
    assert ended.seconds == pytest.approx(2 * 0x2000000 / _CYCLES_PER_S, rel=0.01)


def test_a_loop_whose_state_is_all_in_memory_is_none(bare):
    """lw t2; addi t2, t2, -1; sw t2; beqz t2, out; li t2, 0; j."""
    loop = [0x00032383, 0xFFF38393, 0x00732023, 0x00038663, 0x00000393, 0xFEDFF06F]
    ended, _ = ran(bare, lui(6, 0x3FC88), lui(7, 0x800), 0x00732023, *loop, *_RESET)
    assert ended.reset == ResetReason.SW
    assert ended.seconds == pytest.approx(6 * 0x800000 / _CYCLES_PER_S, rel=0.01)


def test_a_loop_that_feeds_the_watchdog_is_none_and_followed_for_a_while(bare, monkeypatch):
    """lui t1, 0x60008; lui t2, 0x80000; sw t2, 0xa4(t1); j: nothing protects the register in this chip."""
    monkeypatch.setattr("py_esp_ota.silicon.bare._EFFORT", 100_000)
    ended, took = ran(bare, lui(6, 0x60008), lui(7, 0x80000), 0x0A732223, 0xFFDFF06F)
    assert (ended.reset, ended.why.split(";")[1]) == (
        None,
        " it calls ROM and registers so much that it was followed no longer",
    )
    assert took < 10


@pytest.mark.parametrize("before", range(4))
def test_a_loop_that_looks_at_a_clock_is_none(bare, before):
    """sw t2, RTC_CNTL_TIME_UPDATE; lw t3, RTC_CNTL_TIME_LOW0; srli t3, t3, 14; beqz t3: 2^14 ticks of 136 kHz."""
    loop = [0x00732623, 0x01032E03, 0x00EE5E13, 0xFE0E0AE3]
    ended, _ = ran(bare, lui(6, 0x60008), lui(7, 0x80000), *[0x00000013] * before, *loop, *_RESET)
    assert ended.reset == ResetReason.SW
    assert ended.seconds == pytest.approx((1 << 14) / 136_000, rel=0.01)


def test_a_delay_longer_than_the_watchdog_waits_does_not_come_to_its_end(bare):
    """lui a0, 20 s; ets_delay_us; feed; and what would be a reset by software."""
    delay = [lui(10, 20_000_000 >> 12), 0x400002B7, 0x050280E7]  # lui t0, 0x40000; jalr 0x50(t0)
    feed = [lui(6, 0x60008), lui(7, 0x80000), 0x0A732223]
    ended, _ = ran(bare, *delay, *feed, *_RESET)
    assert (ended.reset, round(ended.seconds, 3)) == (ResetReason.RTCWDT_RTC, 9.0)
    short = [lui(10, 5_000_000 >> 12), *delay[1:], *feed]
    ended, _ = ran(bare, *short, *short, *_RESET)
    assert (ended.reset, round(ended.seconds)) == (ResetReason.SW, 10)


def test_the_reason_of_an_earlier_reset_is_forgotten(bare):
    assert ran(bare, 0x0000006F)[0].reset == ResetReason.RTCWDT_RTC
    assert ran(bare, *_RESET)[0].reset == ResetReason.SW
