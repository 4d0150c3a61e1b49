"""How long flash takes, part by part, and the commands that ESP-IDF's driver makes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.flash_timing import (
    BLOCK,
    DEFAULT,
    FLASH_TIMINGS,
    PAGE,
    PATIENCE,
    SECTOR,
    FlashTiming,
    Times,
    bus_bytes_per_second,
    erase_commands,
    flash_timing,
    program_commands,
)


@dataclass(frozen=True)
class Op:
    kind: str
    address: int
    length: int


def erases(address: int, sectors: int) -> list[Op]:
    return [Op("erase", address + number * SECTOR, SECTOR) for number in range(sectors)]


SECTORS = st.integers(0, 40)
PLACES = st.integers(0, 1023).map(lambda number: number * SECTOR)


@given(PLACES, SECTORS)
def test_a_region_is_erased_whole_and_by_blocks_where_one_begins_and_ends_in_it(address: int, sectors: int) -> None:
    """``esp_flash_erase_region``: a block only from its first byte on, and never beyond the region."""
    commands = list(erase_commands(address, sectors * SECTOR))
    assert sum(size for _, size in commands) == sectors * SECTOR
    at = address
    for where, size in commands:
        assert where == at
        fits = where % BLOCK == 0 and address + sectors * SECTOR - where >= BLOCK
        assert size == (BLOCK if fits else SECTOR)
        at += size


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_a_write_is_programmed_by_64_bytes_and_never_across_a_page(address: int, length: int) -> None:
    commands = list(program_commands(address, length))
    assert sum(size for _, size in commands) == length
    assert all(0 < size <= 64 and where // PAGE == (where + size - 1) // PAGE for where, size in commands)
    assert len(list(program_commands(0, PAGE))) == 4


def test_the_time_of_a_recording_is_that_of_the_calls_it_is_of() -> None:
    """64 KiB erased at once and four sectors behind them, then a page: operation by operation, and as calls."""
    operations = [*erases(0x110000, 20), Op("program", 0x110000, PAGE)]
    for worst in (False, True):
        times = DEFAULT.times(worst=worst)
        durations = DEFAULT.durations(operations, worst=worst)
        expected = times.block64_erase + 4 * times.sector_erase + 4 * times.program(64)
        assert sum(durations) == pytest.approx(expected)
        calls = DEFAULT.seconds(programs=[(0x110000, PAGE)], erases=[(0x110000, 20 * SECTOR)], worst=worst)
        assert calls == pytest.approx(expected)
        assert durations[0] == durations[15] == pytest.approx(times.block64_erase / 16)
        assert durations[16] == times.sector_erase


@pytest.mark.parametrize(
    "operations",
    [
        erases(0x11000, 16),  # a block's size, but no block
        erases(0x10000, 15),
        [*erases(0x10000, 8), Op("program", 0, 32), *erases(0x18000, 8)],
    ],
)
def test_sectors_that_are_no_block_take_the_time_of_sectors(operations: list[Op]) -> None:
    found = DEFAULT.durations(operations)
    assert {time for time, op in zip(found, operations, strict=True) if op.kind == "erase"} == {0.045}


def test_figures_of_the_data_sheets() -> None:
    """W25Q32JV: 45 ms a sector and at most 400; an ESP32-C3's own die says 32 and 384 in its SFDP table."""
    winbond, inside = flash_timing("w25q32jv"), flash_timing("ESP32-C3FH4")
    assert (winbond.typical.sector_erase, winbond.times(worst=True).sector_erase) == (0.045, 0.4)
    assert (winbond.typical.block64_erase, winbond.times(worst=True).block64_erase) == (0.15, 2.0)
    # Words 10 and 11 of the table that such chips answer, taken apart as JESD216 says.
    erase, program = 0x00A53215, 0xC113A384
    unit = {0: 1, 1: 16, 2: 128, 3: 1000}
    typical = [((erase >> at & 0x1F) + 1) * unit[erase >> at + 5 & 3] / 1000 for at in (4, 11, 18)]
    page = ((program >> 8 & 0x1F) + 1) * (64 if program >> 13 & 1 else 8) / 1e6
    assert [inside.typical.sector_erase, inside.typical.block32_erase, inside.typical.block64_erase] == typical
    assert inside.typical.page_program == pytest.approx(page)
    longest = inside.times(worst=True)
    assert longest.sector_erase == pytest.approx(typical[0] * 2 * ((erase & 0xF) + 1))
    assert longest.page_program == pytest.approx(page * 2 * ((program & 0xF) + 1))


@pytest.mark.parametrize("part", FLASH_TIMINGS.values(), ids=FLASH_TIMINGS)
def test_a_part_is_no_nonsense(part: FlashTiming) -> None:
    """A block is quicker than its sectors, the worst is slower than the typical, and the driver waits for it."""

    def facts(times: Times) -> tuple[float, ...]:
        return times.page_program, times.sector_erase, times.block64_erase

    assert part.typical.block64_erase < 16 * part.typical.sector_erase
    assert part.typical.page_program < part.typical.sector_erase < part.typical.block64_erase
    for usual, longest, limit in zip(facts(part.typical), facts(part.times(worst=True)), facts(PATIENCE), strict=True):
        assert usual < longest <= limit
    assert part.sheet
    assert part.vendor


def test_what_a_part_without_a_known_maximum_may_take_at_worst() -> None:
    part = flash_timing("GD25Q32C")
    assert part.maximum is None
    assert part.seconds(erases=[(0, SECTOR)], worst=True) == 0.6


def test_reading_takes_the_time_of_the_bus() -> None:
    """DIO at 80 MHz: 32 bytes in 8 + 16 + 4 + 128 clocks."""
    assert bus_bytes_per_second(2, 80) == pytest.approx(32 * 80e6 / 156)
    assert bus_bytes_per_second(4, 80) > bus_bytes_per_second(2, 80) > bus_bytes_per_second(2, 40)
    assert DEFAULT.seconds(reads=1 << 20) == pytest.approx((1 << 20) / DEFAULT.read_bytes_per_second)


def test_a_program_of_few_bytes_takes_the_first_one_and_the_further_ones() -> None:
    assert DEFAULT.typical.program(64) == pytest.approx(30e-6 + 63 * 2.5e-6)
    assert flash_timing("GD25Q32C").typical.program(64) == pytest.approx(0.6e-3 / 4)


@dataclass(frozen=True)
class Counted:
    read_bytes: int = 0
    program_bytes: int = 0
    program_pieces: int = 0
    erases: int = 0
    block_erases: int = 0


@pytest.mark.parametrize("name", ["W25Q32JV", "GD25Q32C"])
def test_counters_take_the_time_of_the_calls_that_they_count(name: str) -> None:
    part = flash_timing(name)
    now = Counted(read_bytes=1000, program_bytes=PAGE + 32, program_pieces=5, erases=18, block_erases=1)
    calls = part.seconds(reads=1000, programs=[(0, PAGE), (0x1000, 32)], erases=[(0, BLOCK), (0x20000, 2 * SECTOR)])
    assert part.between(Counted(), now) == pytest.approx(calls)
    assert part.between(now, now) == 0


def test_a_part_nobody_knows() -> None:
    with pytest.raises(ValueError, match=r"no times are known of flash W99; of W25Q32JV, .* they are"):
        flash_timing("W99")
