"""Any bytes and any text: an answer or a named error, and whatever is accepted goes round unchanged."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st
from partition_bytes import END, flash_with, md5_row, row

from py_esp_ota._core import Partition, PartitionTable, verify_partition_table
from py_esp_ota.errors import EspErr, PartitionTableError

U8 = st.integers(0, 0xFF)
U32 = st.integers(0, 0xFFFFFFFF)
EDGES = st.sampled_from([0, 1, 0xFFF, 0x1000, 0x8000, 0x9000, 0x3FF000, 0x400000, 0xFFFFF000, 0xFFFFFFFF])

ANY_ROW = st.builds(
    row,
    st.binary(max_size=16),
    U8,
    U8,
    U32 | EDGES,
    U32 | EDGES,
    flags=U32,
    magic=st.sampled_from([0x50AA, 0x50AA, 0x50AA, 0xEBEB, 0xFFFF, 0x1234]),
)
#: Bytes that look like a table until one looks closer.
TABLE_LIKE = st.lists(ANY_ROW | st.just(END) | st.binary(min_size=32, max_size=32), max_size=130).map(b"".join)


@st.composite
def tables_with_md5(draw: st.DrawFn) -> bytes:
    """Rows, a right MD5 row, and something after it."""
    rows = b"".join(draw(st.lists(ANY_ROW, max_size=20)))
    return rows + md5_row(rows) + draw(TABLE_LIKE)


def made(make: Callable[[], PartitionTable]) -> PartitionTable | PartitionTableError:
    """The table, or the one error there may be instead."""
    try:
        return make()
    except PartitionTableError as error:
        return error


SOME_BYTES = st.binary(max_size=200) | TABLE_LIKE | tables_with_md5()


@given(SOME_BYTES)
@example(b"")
def test_any_bytes_are_a_table_or_a_named_fault(data: bytes) -> None:
    table = made(lambda: PartitionTable.from_bytes(data))
    if isinstance(table, PartitionTableError):
        assert table.err in {EspErr.ESP_ERR_INVALID_STATE, EspErr.ESP_ERR_INVALID_SIZE}
        assert {"field", "offset", "found", "expected"} == set(table.fact)
        assert str(table)
        return
    table.to_csv()
    table.warnings()
    with contextlib.suppress(PartitionTableError):
        table.check(flash_size=0x400000)
    with contextlib.suppress(PartitionTableError):
        assert PartitionTable.from_bytes(table.to_bytes()).to_bytes() == table.to_bytes()


@given(SOME_BYTES, st.sampled_from([0, 1, 0x400000, 0xFFFFFFFF]))
@example(b"", 0)
def test_the_verifier_takes_any_bytes(data: bytes, flash_size: int) -> None:
    verdict = verify_partition_table(data, flash_size)
    accepted = verdict.err == EspErr.ESP_OK
    assert accepted == (verdict.fault is None) == (verdict.log == [])
    assert accepted or verdict.rows == []
    for part in verdict.rows:
        assert part.offset + part.size <= flash_size or part.type == 0xFF


@given(SOME_BYTES, st.booleans())
def test_the_loader_takes_any_bytes(data: bytes, md5: bool) -> None:
    flash = flash_with(data[:0x1000])
    loaded = made(lambda: PartitionTable.load(flash, md5=md5))
    if isinstance(loaded, PartitionTableError):
        assert md5
        assert loaded.err in {EspErr.ESP_ERR_NOT_FOUND, EspErr.ESP_ERR_INVALID_STATE}
    else:
        assert len(loaded) <= 128


TYPES = [
    "app",
    "data",
    "bootloader",
    "partition_table",
    "ota_0",
    "ota",
    "nvs",
    "primary",
    "N/A",
    "encrypted",
    "readonly",
]
NUMBERS = ["0x10", "4K", "-2M", "1MK", "0x9000", "9" * 50, "K"]
MARKS = ["", "$X", "#", "\n", "\r\n", ",", ":", "é", "\x00", "\u2028"]
WORDS = st.sampled_from([*TYPES, *NUMBERS, *MARKS])
SOME_TEXT = (
    st.text(max_size=200) | st.lists(WORDS, max_size=60).map(",".join) | st.lists(WORDS, max_size=60).map("".join)
)


@given(SOME_TEXT, U32 | EDGES, st.none() | U32 | EDGES, st.none() | U32 | EDGES)
@example("a,data,fat,0xFFFFF000,0xFFFFFFFF\nb,data,phy,,4K", 0x8000, None, None)
@example("a,data,fat,0xFFFFFFFF000,-" + "9" * 60, 0xFFFFFFFF, 0, 0)
def test_any_text_is_a_table_or_a_line_with_a_fault(
    text: str, table_offset: int, primary: int | None, recovery: int | None
) -> None:
    options = {"primary_bootloader_offset": primary, "recovery_bootloader_offset": recovery}
    table = made(lambda: PartitionTable.from_csv(text, table_offset=table_offset, **options))
    if isinstance(table, PartitionTable):
        table.check(table_offset=table_offset)
        return
    assert table.err == EspErr.ESP_ERR_INVALID_ARG
    line = re.match(r"line (\d+): ", str(table.fact["field"]))
    if line is None:
        assert table.fact["field"] == "--primary-bootloader-offset"
    else:
        assert int(line[1]) == table.fact["offset"]
        assert 1 <= int(line[1]) <= len(text.splitlines())


SIZES = st.sampled_from([0x1000, 0x2000, 0x3000, 0x10000, 0x100000])
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters=',#$"', exclude_categories=["C", "Z"]), min_size=1, max_size=4
)


@st.composite
def valid_tables(draw: st.DrawFn) -> PartitionTable:
    """Rows that obey every rule, in ascending order, here and there with a gap."""
    names = draw(st.lists(NAMES, max_size=12, unique=True))
    kinds = st.tuples(st.just(0), U8) | st.tuples(
        st.sampled_from([1, 0x40, 0xFE]), U8.filter(lambda s: s not in {0, 2, 0x90})
    )
    kinds_and_sizes = [draw(st.tuples(kinds, SIZES)) for _ in names]
    spans = [max(0x10000, size) * draw(st.integers(1, 3)) for _, size in kinds_and_sizes]
    starts = accumulate(spans, initial=0x10000)
    flags = [(draw(st.booleans()), kind != (1, 3) and draw(st.booleans())) for kind, _ in kinds_and_sizes]
    return PartitionTable(
        [
            Partition(name, *kind, start, size, encrypted=encrypted, readonly=readonly)
            for name, (kind, size), start, (encrypted, readonly) in zip(
                names, kinds_and_sizes, starts, flags, strict=False
            )
        ]
    )


@given(valid_tables())
def test_valid_tables_go_round(table: PartitionTable) -> None:
    table.check()
    data = table.to_bytes()
    assert PartitionTable.from_bytes(data) == table
    assert PartitionTable.from_csv(table.to_csv()) == table
    assert PartitionTable.from_csv(PartitionTable.from_bytes(data).to_csv()).to_bytes() == data
    assert verify_partition_table(data, 1 << 32).rows == list(table)
    loaded = PartitionTable.load(flash_with(data))
    assert [part.label for part in loaded] == [part.label for part in table]


@given(valid_tables())
def test_the_bytes_are_the_formats(table: PartitionTable) -> None:
    rows = b"".join(
        row(p.label, p.type, p.subtype, p.offset, p.size, flags=p.encrypted + 2 * p.readonly) for p in table
    )
    assert table.to_bytes() == (rows + md5_row(rows)).ljust(0xC00, b"\xff")
