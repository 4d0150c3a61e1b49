"""Boot-slot selection: the decision matrices, tables with gaps and duplicates, and the order of the walk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota._core import (
    BootTable,
    LogLine,
    OtaSelectEntry,
    Partition,
    active_otadata,
    boot_order,
    ota_slot,
    select_boot_partition,
    verify_partition_table,
)
from py_esp_ota.errors import EspErr

APP, DATA = 0, 1
FACTORY, TEST = -1, -2
PENDING, ABORTED = 1, 4
STATES = {"N": 0, "P": PENDING, "V": 2, "I": 3, "A": ABORTED, "U": 0xFFFFFFFF}
BLANK = OtaSelectEntry.from_bytes(b"\xff" * 32)


def row(type_: int, subtype: int, offset: int, size: int = 0x10000, label: str = "") -> Partition:
    return Partition(label, type_, subtype, offset, size)


def table(*, factory: bool, slots: int = 2) -> BootTable:
    rows = [row(DATA, 0, 0xD000, 0x2000)]
    rows += [row(APP, 0, 0x10000)] if factory else []
    rows += [row(APP, 0x10 + slot, 0x20000 + slot * 0x10000) for slot in range(slots)]
    return BootTable(rows)


def entry(letter: str, ota_seq: int) -> OtaSelectEntry:
    if letter == "B":
        return BLANK
    if letter == "C":
        return OtaSelectEntry(ota_seq, STATES["U"], crc=0)
    return OtaSelectEntry(ota_seq, STATES[letter])


def boot(boot_table: BootTable, entries: list[OtaSelectEntry], *, rollback: bool) -> str:
    """One boot with all images good: the app, ``*`` when otadata is healed, and the rewritten entries."""
    writes = ""
    for index, found in enumerate(entries):
        if rollback and found.ota_state == PENDING:
            entries[index] = found.with_state(ABORTED)
            writes += f" {index}>A"
    selection = select_boot_partition(boot_table, *entries)
    if rollback and selection.active >= 0 and entries[selection.active].ota_state == STATES["N"]:
        writes += f" {selection.active}>P"
    order = boot_order(selection.index, boot_table.app_count)
    booted = next(index for index in order if boot_table.partition(index))
    return ("F" if booted == FACTORY else str(booted)) + "*" * selection.self_heal + writes


#: Rollback bootloader, table with factory. Rows: entry 0 (seq 1). Columns: entry 1 (seq 2). B blank, C bad CRC.
MATRIX = """
      B       C       N           P           V       U       I       A
B     F       F       1 1>P       F 1>A       1       1       F       F
C     F       F       1 1>P       F 1>A       1       1       F       F
N     0 0>P   0 0>P   1 1>P       0 1>A 0>P   1       1       0 0>P   0 0>P
P     F 0>A   F 0>A   1 0>A 1>P   F 0>A 1>A   1 0>A   1 0>A   F 0>A   F 0>A
V     0       0       1 1>P       0 1>A       1       1       0       0
U     0       0       1 1>P       0 1>A       1       1       0       0
I     F       F       1 1>P       F 1>A       1       1       F       F
A     F       F       1 1>P       F 1>A       1       1       F       F
"""


def cells() -> dict[tuple[str, str], str]:
    lines = MATRIX.strip().splitlines()
    second = lines[0].split()
    split = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[1:]]
    return {(cols[0], letter): cell for cols in split for letter, cell in zip(second, cols[1:], strict=True)}


CELLS = cells()


@pytest.mark.parametrize("first", "BCNPVUIA")
@pytest.mark.parametrize("second", "BCNPVUIA")
def test_decision_matrix(first, second):
    def like_valid(letter: str) -> str:
        return "V" if letter in "NPU" else letter

    def without_factory(cell: str) -> str:
        return "0*" if first == second == "B" else cell.replace("F", "0")

    def entries() -> list[OtaSelectEntry]:
        return [entry(first, 1), entry(second, 2)]

    cell, plain = CELLS[first, second], CELLS[like_valid(first), like_valid(second)]
    assert boot(table(factory=True), entries(), rollback=True) == cell
    assert boot(table(factory=False), entries(), rollback=True) == without_factory(cell)
    assert boot(table(factory=True), entries(), rollback=False) == plain
    assert boot(table(factory=False), entries(), rollback=False) == without_factory(plain)


@pytest.mark.parametrize(
    ("first", "second", "index", "self_heal"),
    [
        (BLANK, BLANK, 0, True),
        (OtaSelectEntry(1, ABORTED, crc=0), BLANK, 0, True),
        (OtaSelectEntry(0xFFFFFFFF, 2), BLANK, 0, True),
        (OtaSelectEntry(1, ABORTED), BLANK, 0, False),
        (OtaSelectEntry(1, 0xFFFFFFFF, crc=0), BLANK, FACTORY, False),
    ],
)
def test_only_blank_or_broken_entries_are_healed(first, second, index, self_heal):
    selection = select_boot_partition(table(factory=False), first, second)
    assert (selection.index, selection.active, selection.self_heal) == (index, -1, self_heal)


@pytest.mark.parametrize(
    ("factory", "first", "level", "text"),
    [
        (True, "B", "I", "Defaulting to factory image"),
        (False, "B", "I", "No factory image, trying OTA 0"),
        (True, "C", "E", "ota data partition invalid, falling back to factory"),
        (False, "C", "E", "ota data partition invalid and no factory, will try all partitions"),
        (True, "V", "", ""),
    ],
)
def test_a_default_is_printed(factory, first, level, text):
    log: list[LogLine] = select_boot_partition(table(factory=factory), entry(first, 1), BLANK).log
    assert [(line.level, line.tag, line.text) for line in log] == ([(level, "boot", text)] if text else [])


ENTRIES = st.builds(
    OtaSelectEntry,
    st.integers(0, 40) | st.integers(0, 0xFFFFFFFF),
    st.sampled_from(sorted(STATES.values())) | st.integers(0, 0xFFFFFFFF),
    crc=st.none() | st.none() | st.just(0),
)


@given(ENTRIES, ENTRIES, st.booleans(), st.integers(0, 16))
def test_any_entries_select_something_the_walk_can_start_from(first, second, factory, slots):
    selection = select_boot_partition(table(factory=factory, slots=slots), first, second)
    active = active_otadata(first, second)
    if slots and active >= 0:
        expected = ota_slot((first, second)[active].ota_seq, slots)
        assert (selection.active, selection.index, selection.self_heal) == (active, expected, False)
    else:
        assert selection.active == -1
        assert selection.index in {FACTORY, 0}
    order = boot_order(selection.index, slots)
    assert order[0] == selection.index
    assert set(order) >= {*range(slots), FACTORY, TEST}
    assert len(set(order)) == len(order)


# --------------------------------------------------------------------------------------------------------------- table


def test_a_gap_counts_but_cannot_be_reached():
    gap = BootTable([row(APP, 0x10, 0x10000), row(APP, 0x12, 0x20000)])
    assert gap.app_count == 2
    assert gap.partition(0).offset == 0x10000
    assert gap.partition(1) is None
    assert gap.partition(2) is None


def test_the_last_duplicate_wins_and_all_are_counted():
    rows = [(APP, 0x10), (APP, 0x11), (APP, 0x11), (APP, 0), (APP, 0), (DATA, 0), (DATA, 0), (APP, 0x20), (APP, 0x20)]
    twice = BootTable([row(*kind, 0x10000 * place) for place, kind in enumerate(rows, 1)])
    assert twice.app_count == 3
    found = [
        twice.partition(1),
        twice.factory,
        twice.ota_info,
        twice.test,
        twice.partition(FACTORY),
        twice.partition(TEST),
    ]
    assert [partition.offset for partition in found] == [0x30000, 0x50000, 0x70000, 0x90000, 0x50000, 0x90000]
    assert twice.partition(2) is None


def test_sixteen_slots_are_all_there_are():
    full = BootTable([row(APP, subtype, 0x10000) for subtype in range(0x10, 0x20)] * 2)
    assert full.app_count == 32
    assert [full.partition(index) is None for index in (0, 15, 16, 31, -3)] == [False, False, True, True, True]


def test_an_empty_table_has_nothing():
    empty = BootTable([])
    assert (empty.factory, empty.test, empty.ota_info, empty.app_count, empty.usages()) == (None, None, None, 0, [])
    assert select_boot_partition(empty, entry("V", 1), BLANK).index == 0


def test_address_0_is_absent_to_the_bootloader_but_still_a_candidate():
    zero = BootTable([row(APP, 0, 0), row(APP, 0x20, 0), row(DATA, 0, 0)])
    assert (zero.factory, zero.test, zero.ota_info) == (None, None, None)
    assert zero.partition(FACTORY) is not None
    assert zero.partition(TEST) is not None
    assert select_boot_partition(zero, BLANK, BLANK).index == 0


def test_the_usage_column():
    rows = {
        (0, 0x00): "factory app",
        (0, 0x1F): "OTA app",
        (0, 0x20): "test app",
        (0, 0x31): "Unknown app",
        (1, 0x00): "OTA data",
        (1, 0x01): "RF data",
        (1, 0x02): "WiFi data",
        (1, 0x03): "Unknown data",
        (1, 0x04): "NVS keys",
        (1, 0x05): "efuse",
        (1, 0x82): "Unknown data",
        (2, 0x00): "primary bootloader",
        (2, 0x01): "ota bootloader",
        (2, 0x02): "recovery bootloader",
        (3, 0x00): "primary partition_table",
        (3, 0x01): "ota partition_table",
        (3, 0x02): "unknown",
        (0x40, 0x00): "unknown",
    }
    assert BootTable([row(*kind, 0x10000) for kind in rows]).usages() == list(rows.values())


def test_a_table_is_made_of_partitions():
    for rows in ([1], "text", None, [None]):
        with pytest.raises(TypeError):
            BootTable(rows)


# --------------------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize(
    ("start", "app_count", "order"),
    [
        (0, 2, [0, FACTORY, 1, TEST]),
        (2, 4, [2, 1, 0, FACTORY, 3, TEST]),
        (FACTORY, 3, [FACTORY, 0, 1, 2, TEST]),
        (FACTORY, 0, [FACTORY, TEST]),
        (0, 0, [0, FACTORY, TEST]),
        (TEST, 4, [TEST]),
    ],
)
def test_the_walk_goes_down_then_up_and_ends_with_the_test_app(start, app_count, order):
    assert boot_order(start, app_count) == order


@pytest.mark.parametrize(("start", "app_count"), [(-3, 2), (-99, 2), (1 << 31, 2), (0, -1), (0, 1 << 31), (1 << 20, 0)])
def test_no_table_leads_to_such_a_walk(start, app_count):
    with pytest.raises(ValueError):
        boot_order(start, app_count)


# ----------------------------------------------------------------------------------------------------- lines and faults


def test_console_lines_are_values():
    first, again = (select_boot_partition(table(factory=True), BLANK, BLANK).log[0] for _ in range(2))
    other = select_boot_partition(table(factory=False), BLANK, BLANK).log[0]
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert repr(first) == 'LogLine("I", "boot", "Defaulting to factory image")'


def test_faults_are_values_with_five_facts():
    first, again = (verify_partition_table(b"\xff" * 0xC00, 0x400000).fault for _ in range(2))
    other = verify_partition_table(b"\0" * 0xC00, 0x400000).fault
    assert first is not None
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert str(first) == f"{first.field} at 0x{first.offset:x}: found {first.found}, expected {first.expected}"
    assert repr(first).startswith(f"Fault({first.err.name}, ")
    assert first.err is EspErr.ESP_ERR_INVALID_STATE
