"""What of a device has to go where, so that it boots under the old table and, from one moment on, under the new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from py_esp_ota._core import BootTable, OtaSelectEntry, Partition, boot_order, read_otadata, select_boot_partition
from py_esp_ota.field.migrate.facts import Facts, Refusal
from py_esp_ota.field.migrate.steps import SECTOR
from py_esp_ota.idf.rollback import OtaImgState, Rewrite, applied

APP, DATA, OTADATA, NVS, NVS_KEYS = 0, 1, 0, 2, 4
_FACTORY = -1
_BLANK = OtaSelectEntry.from_bytes(b"\xff" * 32)

Region = tuple[int, int]
Entries = tuple[OtaSelectEntry, OtaSelectEntry]


@dataclass(frozen=True, slots=True)
class Bridge:
    """How the app gets over: it runs from ``old`` until the table changes, and from ``new`` after that.

    ``write`` is the otadata entry by which the tables choose these two; ``None``: they do so already. ``moved`` is the
    new table's otadata when that is another one: then ``write`` goes there, and ``stay`` is what the old one needs.
    """

    old: Partition
    new: Partition
    write: Rewrite | None
    moved: Partition | None = None
    stay: Rewrite | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of one row of the new table that is no app.

    ``source`` is where its content comes from, ``None`` for what stays or is new; ``length`` bytes are its content, and
    what is behind them is erased. ``scratch`` is where it waits until the table has changed, ``early``: not after that.
    """

    row: Partition
    source: int | None
    length: int
    early: bool
    scratch: int | None = None

    @property
    def behind(self) -> Region:
        """What is to be blank behind the content."""
        return self.row.offset + self.length, self.row.offset + self.row.size


def region(row: Partition, length: int | None = None) -> Region:
    """Where a row begins and ends."""
    return row.offset, row.offset + (row.size if length is None else length)


def apart(one: Region, taken: Iterable[Region]) -> bool:
    """Whether a region touches none of the others."""
    return all(one[1] <= start or end <= one[0] for start, end in taken)


def free(size: int, taken: Sequence[Region], flash_size: int) -> int | None:
    """The last place of ``size`` bytes, in whole sectors, that touches nothing; ``None`` when there is none."""
    size = -(-size // SECTOR) * SECTOR
    ends = sorted({flash_size, *(start // SECTOR * SECTOR for start, _ in taken)}, reverse=True)
    return next((end - size for end in ends if end >= size and apart((end - size, end), taken)), None)


def chosen(rows: Sequence[Partition], entries: Entries | None) -> Partition | None:
    """The partition that a bootloader with this table tries first."""
    table = BootTable(rows)
    start = _FACTORY
    if table.ota_info is not None and entries is not None:
        start = select_boot_partition(table, *entries).index
    order = boot_order(start, table.app_count)
    return next((row for index in order if (row := table.partition(index)) is not None and row.size), None)


# ------------------------------------------------------------------------------------------------------------- bridges


def bridge(facts: Facts, rows: Sequence[Partition]) -> Bridge:
    """The cheapest way over. Raises ``Refusal`` naming what is in the way."""
    olds = [row for row in facts.rows if row.type == APP and row.size >= facts.image]
    news = [row for row in rows if row.type == APP and row.size >= facts.image]
    if not news:
        largest = max((row.size for row in rows if row.type == APP), default=0)
        raise Refusal(
            f"no slot of the new table takes the app that runs, 0x{facts.image:x} bytes: the largest has 0x{largest:x}"
        )
    found = [
        bridge
        for old in olds
        for new in news
        if _disjoint(facts, rows, old, new) and (bridge := _crossing(facts, rows, old, new)) is not None
    ]
    if not found:
        raise Refusal(_no_way(facts, rows, olds, news))
    return min(found, key=lambda way: _cost(facts, way))


def _cost(facts: Facts, way: Bridge) -> tuple[int, int, int]:
    copies = (way.old.offset != facts.running.offset) + (way.new.offset != way.old.offset)
    return copies, way.write is not None, way.moved is not None


def _disjoint(facts: Facts, rows: Sequence[Partition], old: Partition, new: Partition) -> bool:
    """Whether the app can lie in both places at once, and its copies hurt nothing that is still needed."""
    places = region(old, facts.image), region(new, facts.image)
    if old.offset != facts.running.offset and not apart(places[0], [region(facts.running, facts.image)]):
        return False
    if old.offset == new.offset:
        return True
    return apart(places[1], [places[0], *needed(facts, rows)])


def needed(facts: Facts, rows: Sequence[Partition]) -> list[Region]:
    """What the old table's device still needs: all up to the table, otadata, and data that the new table keeps."""
    kept = [source for row in rows if (source := source_of(facts, row)) is not None]
    data = [row for row in facts.rows if (row.type, row.subtype) == (DATA, OTADATA)]
    return [(0, facts.table_offset + SECTOR), *map(region, [*kept, *data])]


def is_encrypted(row: Partition) -> bool:
    """``is_partition_encrypted`` where flash encryption is on: NVS keys are, whatever their flags say."""
    return row.type == APP or row.encrypted or (row.type, row.subtype) in {(DATA, OTADATA), (DATA, NVS_KEYS)}


def source_of(facts: Facts, row: Partition) -> Partition | None:
    """The old row that a new data row goes on with: of the same kind and name."""
    if row.type == APP or (row.type, row.subtype) == (DATA, OTADATA):
        return None
    same = (row.type, row.subtype, row.label)
    return next((old for old in facts.rows if (old.type, old.subtype, old.label) == same), None)


def _crossing(facts: Facts, rows: Sequence[Partition], old: Partition, new: Partition) -> Bridge | None:
    """Otadata by which the old table chooses ``old`` and the new one ``new``; ``None`` when no number does."""
    here = facts.otadata
    there = next((row for row in rows if (row.type, row.subtype) == (DATA, OTADATA)), None)
    if here is None or there is None or facts.entries is None:
        return _apart_otadata(facts, rows, (old, new), there)
    if here.offset != there.offset:
        return _apart_otadata(facts, rows, (old, new), there)
    for write in _rewrites(facts.entries, _slots(facts.rows) * _slots(rows)):
        after = facts.entries if write is None else applied(facts.entries, write)
        if _is(chosen(facts.rows, after), old) and _is(chosen(rows, after), new):
            return Bridge(old, new, write)
    return None


def _apart_otadata(
    facts: Facts, rows: Sequence[Partition], ways: tuple[Partition, Partition], there: Partition | None
) -> Bridge | None:
    """The same where each table has its own otadata, or none."""
    old, new = ways
    stay = _first(facts.rows, facts.entries, old)
    if stay is False:
        return None
    if there is None:
        return Bridge(old, new, None, stay=stay) if _is(chosen(rows, None), new) else None
    apps = [region(old, facts.image), region(new, facts.image)]
    if not apart(region(there), [*needed(facts, rows), *apps]):
        # In data that goes on, as where NVS shrinks to make room, nothing is written: whom does it choose as it is?
        table = (facts.table_offset, facts.table_offset + SECTOR)
        fixed = [table, *apps, *(region(row) for row in (facts.otadata,) if row is not None)]
        found = read_otadata(facts.dump.flash, there.offset)
        return (
            Bridge(old, new, None, stay=stay) if apart(region(there), fixed) and _is(chosen(rows, found), new) else None
        )
    fresh = _first(rows, (_BLANK, _BLANK), new)
    return None if fresh is False else Bridge(old, new, fresh, moved=there, stay=stay)


def _first(rows: Sequence[Partition], entries: Entries | None, wanted: Partition) -> Rewrite | Literal[False] | None:
    """What has to be written so that a table chooses ``wanted``: nothing, an entry, or ``False``: it cannot."""
    if _is(chosen(rows, entries), wanted):
        return None
    for write in _rewrites(entries, _slots(rows)) if entries is not None else ():
        if write is not None and entries is not None and _is(chosen(rows, applied(entries, write)), wanted):
            return write
    return False


def _rewrites(entries: Entries, count: int) -> Iterator[Rewrite | None]:
    """None, and then every next number in the entry that is not active, as ``esp_rewrite_ota_data`` writes it."""
    yield None
    seqs = [entry.ota_seq if entry.valid else 0 for entry in entries]
    index = 1 if seqs[0] > seqs[1] or (seqs[0] and seqs[0] == seqs[1]) else 0
    for seq in range(max(seqs) + 1, max(seqs) + 1 + max(count, 1)):
        yield Rewrite(index, OtaSelectEntry(seq, OtaImgState.VALID))


def _slots(rows: Sequence[Partition]) -> int:
    return max(sum(row.ota_slot is not None for row in rows), 1)


def _is(found: Partition | None, wanted: Partition) -> bool:
    return found is not None and found.offset == wanted.offset


def _no_way(facts: Facts, rows: Sequence[Partition], olds: Sequence[Partition], news: Sequence[Partition]) -> str:
    """Why there is no bridge, by the first thing that is in the way of all."""
    running, size = facts.running, facts.image
    if not any(_disjoint(facts, rows, old, new) for old in olds for new in news):
        return (
            f"the app that runs in {running.label} (0x{running.offset:x}, 0x{size:x} bytes) overlaps each place that "
            "the new table has for it, and there is no room for a second copy that both tables reach"
        )
    return (
        "no otadata makes the old table and the new one both choose a copy of the app that runs: "
        "give the new table its otadata where it is now, or a place that nothing needs yet"
    )


# ---------------------------------------------------------------------------------------------------------------- data


def moves_of(facts: Facts, rows: Sequence[Partition], way: Bridge) -> tuple[list[Move], list[str]]:
    """What becomes of the new table's data rows, and what is lost. Raises ``Refusal`` without room to wait."""
    taken = [*needed(facts, rows), region(way.old, facts.image), region(way.new, facts.image)]
    if way.moved is not None:
        taken.append(region(way.moved))
    moves: list[Move] = []
    lost: list[str] = []
    for row in rows:
        if row.type == APP or (row.type, row.subtype) == (DATA, OTADATA):
            continue
        source = source_of(facts, row)
        length = 0 if source is None else min(source.size, row.size)
        lost += _lost_by(facts, row, source)
        if source is None or source.offset == row.offset:
            tail = row.offset + length, row.offset + row.size
            if tail[0] < tail[1]:
                moves.append(Move(row, None, length, apart(tail, taken)))
        else:
            early = apart(region(row), taken)
            moves.append(Move(row, source.offset, length, early))
    return [_waiting(facts, rows, move, taken) for move in moves], [*lost, *_gone(facts, rows, way)]


def _waiting(facts: Facts, rows: Sequence[Partition], move: Move, taken: Sequence[Region]) -> Move:
    """A move that cannot be made before the table changes, with a place where its content waits."""
    if move.early or move.source is None:
        return move
    new = [region(row) for row in rows if row.type != APP]
    scratch = free(move.length, [*taken, *new], facts.dump.flash.size)
    if scratch is None:
        raise Refusal(
            f"{move.row.label} moves from 0x{move.source:x} to 0x{move.row.offset:x}, over what is needed, and no "
            f"0x{move.length:x} bytes are free for a copy that waits"
        )
    return Move(move.row, move.source, move.length, early=False, scratch=scratch)


def _lost_by(facts: Facts, row: Partition, source: Partition | None) -> Iterator[str]:
    """What another size costs."""
    if source is None or source.size == row.size:
        return
    grown = f"{row.label} changes from 0x{source.size:x} to 0x{row.size:x} bytes"
    if (row.type, row.subtype) == (DATA, NVS):
        if row.size < source.size:
            cut = source.offset + row.size, source.offset + source.size
            pages = sum(not facts.dump.flash.is_erased(at, SECTOR) for at in range(*cut, SECTOR))
            if pages:
                yield f"{grown}: {pages} of its pages are written and lie behind the new end, the keys in them are lost"
    else:
        yield f"{grown}: its bytes are kept, but what is in it was made for the old size; it may have to be formatted"


def _gone(facts: Facts, rows: Sequence[Partition], way: Bridge) -> Iterator[str]:
    """Partitions with content that the new table has no longer, and apps that lie where no slot begins any more."""
    flash = facts.dump.flash
    begins = {row.offset for row in rows if row.type == APP}
    kept = {(row.type, row.subtype, row.label) for row in rows}
    for row in facts.rows:
        end = min(row.offset + row.size, flash.size)
        if row.offset >= end or flash.is_erased(row.offset, end - row.offset):
            continue
        if row.type == APP:
            covered = row.offset in {way.old.offset, facts.running.offset}
            if row.offset not in begins and not covered:
                yield f"the app in {row.label} (0x{row.offset:x}): no slot of the new table begins there"
        elif (row.type, row.subtype, row.label) not in kept and (row.type, row.subtype) != (DATA, OTADATA):
            yield f"{row.label}: the new table has no such partition"
