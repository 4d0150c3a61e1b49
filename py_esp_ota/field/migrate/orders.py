"""Every order of steps that could change the table: which there are for a device, and why the others are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from py_esp_ota._core import Partition
from py_esp_ota.field.migrate.board import Board
from py_esp_ota.field.migrate.facts import Facts, Refusal
from py_esp_ota.field.migrate.layout import (
    APP,
    DATA,
    OTADATA,
    Bridge,
    Move,
    apart,
    bridge,
    free,
    is_encrypted,
    moves_of,
    needed,
    region,
)
from py_esp_ota.field.migrate.making import (
    FLASH,
    PARTITION,
    behind,
    blank,
    copy_app,
    copy_data,
    entry,
    fresh_otadata,
    otadata,
    reboot,
    registered,
    table_at,
)
from py_esp_ota.field.migrate.making import (
    primary as primary_step,
)
from py_esp_ota.field.migrate.steps import SECTOR, Stage, Step, holds, is_done

_BOOTLOADER, _RECOVERY = 2, 2


@dataclass(frozen=True, slots=True)
class Change:
    """What shall become of a device: ``rows`` and their bytes ``table``; both as they are when the table stays.

    ``loader`` is a new bootloader, ``b""`` for none, built to look for its table at ``loader_table``.
    """

    rows: tuple[Partition, ...]
    table: bytes
    loader: bytes = b""
    loader_table: int = 0x8000


@dataclass(frozen=True, slots=True)
class Held:
    """What a flash has to hold at an address: as the cache shows it, or, ``plain``, as it lies there."""

    at: int
    data: bytes
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One order: its stages, and what the flash holds when they are through.

    ``loaders`` are the bootloaders that may start meanwhile, and where each looks for its table. ``app_table`` is where
    the app that does it looks for its own, ``runs`` where it lies in the end.
    """

    name: str
    text: str
    stages: tuple[Stage, ...]
    loaders: Mapping[bytes, int]
    app_table: int
    runs: int
    final: tuple[Held, ...]
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return tuple(step for stage in self.stages for step in stage.steps)


@dataclass(frozen=True, slots=True)
class Way:
    """What all orders of one change have in common."""

    facts: Facts
    change: Change
    bridge: Bridge
    moves: tuple[Move, ...]
    lost: tuple[str, ...]

    def early(self) -> list[Step]:
        """What is done before anything changes that the bootloader looks at."""
        facts, way = self.facts, self.bridge
        steps: list[Step] = []
        if way.new.offset != way.old.offset:
            steps.append(copy_app(facts, way.old, way.new, FLASH))
        if way.moved is not None:
            steps += fresh_otadata(facts, way)
        elif way.write is not None and way.old.offset == facts.running.offset:
            steps.append(entry(facts, way))
        for move in self.moves:
            if move.source is not None and (move.early or move.scratch is not None):
                to = move.row.offset if move.scratch is None else move.scratch
                steps.append(copy_data(facts, move, move.source, to))
            if move.early:
                steps += behind(move)
        return steps

    def late(self) -> list[Step]:
        """What is done once the new table is in force."""
        steps: list[Step] = []
        for move in self.moves:
            if not move.early:
                if move.scratch is not None:
                    steps.append(copy_data(self.facts, move, move.scratch, move.row.offset))
                steps += behind(move)
        return steps

    def over(self) -> tuple[Stage, ...]:
        """The app goes to the slot from which it can do the rest, when it is not there."""
        facts, way = self.facts, self.bridge
        if way.old.offset == facts.running.offset:
            return ()
        entry = way.stay if way.stay is not None else way.write
        steps = [copy_app(facts, facts.running, way.old, PARTITION)]
        if entry is not None and facts.otadata is not None:
            steps.append(otadata(facts, facts.otadata.offset, entry))
        return (
            Stage(
                f"run from {way.old.label}",
                (*steps, reboot(f"the app runs from {way.old.label} now")),
                lambda board: board.running.offset == way.old.offset or board.table != facts.table,
                f"runs_at(0x{way.old.offset:x}) || runs_at(0x{way.new.offset:x})",
            ),
        )

    def kept(self) -> Iterator[Held]:
        """Where the data that goes on has to be in the end."""
        flash = self.facts.dump.flash
        for move in self.moves:
            if move.source is not None:
                plain = not is_encrypted(move.row)
                read = flash.read if plain else flash.mmap
                yield Held(move.row.offset, read(move.source, move.length), plain)


def orders(facts: Facts, change: Change) -> tuple[list[Order], dict[str, str]]:
    """The orders there are, the plainest first, and of every other one why it is none.

    Raises ``Refusal`` when nothing could.
    """
    missing: dict[str, str] = {}
    found: list[Order] = []
    tables = change.table != facts.table
    register = _register(facts, change) if tables and not change.loader else "it changes more than data partitions"
    if isinstance(register, Order):
        found.append(register)
    else:
        missing["register"] = register
    way = bridge(facts, change.rows)
    moves, lost = moves_of(facts, change.rows, way)
    common = Way(facts, change, way, tuple(moves), tuple(lost))
    elsewhere = bool(change.loader) and change.loader_table != facts.table_offset
    if not elsewhere:
        found.append(_in_place(common))
    if not tables:
        return found, {}
    if not elsewhere:
        missing["move"] = missing["there-and-back"] = (
            "it needs a bootloader built with another CONFIG_PARTITION_TABLE_OFFSET (--bootloader, --table-offset)"
        )
        if not facts.has_recovery:
            missing["there-and-back"] = _no_recovery(facts)
        return found, missing
    for name, made in (("move", _move), ("there-and-back", _there_and_back), ("in-place", _in_place_old)):
        try:
            found.append(made(common))
        except Refusal as refusal:
            missing[name] = str(refusal)
    return found, missing


def _no_recovery(facts: Facts) -> str:
    if not facts.loader:
        return "there is no bootloader in the dump that could be kept as the recovery bootloader"
    return f"the ROM of {facts.dump.target.name} knows no recovery bootloader"


# --------------------------------------------------------------------------------------------------------------- orders


def _register(facts: Facts, change: Change) -> Order | str:
    """The table stays as it is, and the app registers what it adds; or why that does not do."""
    old = {(row.label, row.type, row.subtype, row.offset, row.size) for row in facts.rows}
    new = {(row.label, row.type, row.subtype, row.offset, row.size) for row in change.rows}
    added = [row for row in change.rows if (row.label, row.type, row.subtype, row.offset, row.size) not in old]
    if not old <= new or not added:
        return "it changes or removes partitions that the table has"
    if any(row.type == APP or (row.type, row.subtype) == (DATA, OTADATA) for row in added):
        return "the bootloader has to see an app or otadata partition in its table"
    if any(not apart(region(row), [region(facts.running, facts.image)]) for row in added):
        return "a new partition overlaps the app that runs"
    steps = tuple(step for row in added for step in (blank(row.label, row.offset, row.size), registered(row)))
    return Order(
        name="register",
        text="leave the table as it is, and let the app register the new partitions each time it starts",
        stages=(Stage("register", steps, lambda board: all(is_done(board, step) for step in steps), "finished()"),),
        loaders=facts.loaders,
        app_table=facts.table_offset,
        runs=facts.running.offset,
        final=(Held(facts.table_offset, facts.table),),
        notes=("the table in flash stays the old one: tools that read it do not see the new partitions",),
    )


def _in_place(way: Way) -> Order:
    """The table is written where it is."""
    facts, change = way.facts, way.change
    loader, loaders = _loader_stage(way) if change.loader else ((), facts.loaders)
    tables = change.table != facts.table
    stages = (*loader, *way.over(), *(_write_table(way) if tables else ()), *_finish(way, facts.table_offset))
    final = [Held(facts.table_offset, change.table), *way.kept()]
    if change.loader:
        final.append(Held(facts.dump.target.bootloader_offset, change.loader))
    text = "write the table in its place, last of all" if tables else "write the bootloader in its place"
    return Order("in-place", text, stages, loaders, facts.table_offset, _runs(way), tuple(final), way.lost)


def _in_place_old(way: Way) -> Order:
    """The table in its place under the bootloader that is there, for comparison."""
    facts = way.facts
    change = Change(way.change.rows, way.change.table)
    return _in_place(Way(facts, change, way.bridge, way.moves, way.lost))


def _move(way: Way) -> Order:
    """The new table lies at another place, and the new bootloader that looks there makes it valid."""
    facts, change = way.facts, way.change
    _refuse_place(way, [region(row) for row in change.rows])
    backup, recovery = _backup(way) if facts.has_recovery else ((), None)
    primary = facts.dump.target.bootloader_offset
    steps = (
        *way.early(),
        table_at(facts, change.table, change.loader_table, "where the new bootloader looks for it"),
        *backup,
    )
    stage = Stage(
        "the new bootloader takes over",
        (*steps, primary_step(facts, change.loader, "the new bootloader")),
        lambda board: holds(board, primary, change.loader),
        _until(primary, "new_bootloader"),
    )
    final = (Held(change.loader_table, change.table), Held(primary, change.loader), *way.kept())
    return Order(
        name="move",
        text=f"write the table at 0x{change.loader_table:x}, then the bootloader that looks for it there",
        stages=(*way.over(), stage, *_finish(way, change.loader_table)),
        loaders={**facts.loaders, change.loader: change.loader_table},
        app_table=change.loader_table,
        runs=_runs(way),
        final=final,
        lost=way.lost,
        notes=(
            f"this app and all after it need CONFIG_PARTITION_TABLE_OFFSET=0x{change.loader_table:x}",
            *_recovery_notes(recovery),
        ),
    )


def _there_and_back(way: Way) -> Order:
    """Another bootloader with the new table elsewhere bridges the time in which the table is written in its place."""
    facts, change = way.facts, way.change
    if not facts.has_recovery:
        raise Refusal(_no_recovery(facts))
    _refuse_place(way, [region(row) for row in change.rows if row.type != APP])
    backup, recovery = _backup(way)
    here, primary = facts.table_offset, facts.dump.target.bootloader_offset
    steps = (
        *way.early(),
        table_at(facts, change.table, change.loader_table, "where the bridging bootloader looks for it"),
        *backup,
    )
    stages = (
        Stage(
            "the bridging bootloader takes over",
            (*steps, primary_step(facts, change.loader, "the bridging bootloader")),
            lambda board: not holds(board, here, facts.table) or holds(board, primary, change.loader),
            f"!{_until(here, 'old_table')} || {_until(primary, 'new_bootloader')}",
        ),
        Stage(
            "boot by it",
            (reboot("the device runs by the new table, at its other place"),),
            lambda board: (
                not holds(board, here, facts.table) or board.config.partition_table_offset == change.loader_table
            ),
        ),
        Stage(
            "write the table",
            (table_at(facts, change.table, here, "in its place, where nobody looks at the moment"),),
            lambda board: holds(board, here, change.table),
            _until(here, "new_table"),
        ),
        Stage(
            "the bootloader comes back",
            (primary_step(facts, facts.loader, "the old bootloader again"),),
            lambda board: holds(board, primary, facts.loader),
            _until(primary, "old_bootloader"),
        ),
    )
    return Order(
        name="there-and-back",
        text="let a bootloader that looks elsewhere bridge the time in which the table is written in its place",
        stages=(*way.over(), *stages, *_finish(way, here)),
        loaders={**facts.loaders, change.loader: change.loader_table},
        app_table=here,
        runs=_runs(way),
        final=(Held(here, change.table), Held(primary, facts.loader), *way.kept()),
        lost=way.lost,
        notes=tuple(_recovery_notes(recovery)),
    )


# --------------------------------------------------------------------------------------------------------------- stages


def _write_table(way: Way) -> tuple[Stage, ...]:
    facts, change = way.facts, way.change
    step = table_at(facts, change.table, facts.table_offset, "in its place")
    return (
        Stage(
            "write the table",
            (*way.early(), step),
            lambda board: holds(board, facts.table_offset, change.table),
            _until(facts.table_offset, "new_table"),
        ),
    )


def _finish(way: Way, offset: int) -> tuple[Stage, ...]:
    """Boot by the new table, and do what had to wait for it."""
    steps, table = tuple(way.late()), way.change.table

    def booted(board: Board) -> bool:
        return board.table == table and board.config.partition_table_offset == offset

    first = Stage("boot by the new table", (reboot("the device runs by the new table"),), booted)
    if way.change.table == way.facts.table:
        return ()
    if not steps:
        return (first,)
    return first, Stage(
        "what had to wait", steps, lambda board: all(is_done(board, step) for step in steps), "finished()"
    )


def _loader_stage(way: Way) -> tuple[tuple[Stage, ...], Mapping[bytes, int]]:
    """A new bootloader that looks for its table where the old one does."""
    facts, loader = way.facts, way.change.loader
    primary = facts.dump.target.bootloader_offset
    backup = _backup(way)[0] if facts.has_recovery else ()
    stage = Stage(
        "write the bootloader",
        (*backup, primary_step(facts, loader, "the new bootloader")),
        lambda board: holds(board, primary, loader),
        _until(primary, "new_bootloader"),
    )
    again = Stage(
        "boot by the new bootloader",
        (reboot("the device runs by the new bootloader"),),
        lambda board: board.loader == loader,
    )
    return (stage, again), {**facts.loaders, loader: facts.table_offset}


def _backup(way: Way) -> tuple[tuple[Step, ...], int]:
    """The bootloader that works, where ROM looks for it when the primary one is none. Raises ``Refusal``."""
    facts, change = way.facts, way.change
    burnt = facts.dump.efuse.recovery_bootloader_address
    named = next((row.offset for row in change.rows if (row.type, row.subtype) == (_BOOTLOADER, _RECOVERY)), None)
    taken = [*needed(facts, change.rows), region(way.bridge.old, facts.image), region(way.bridge.new, facts.image)]
    taken += [(change.loader_table, change.loader_table + SECTOR)]
    rows = [region(row) for row in change.rows if (row.type, row.subtype) != (_BOOTLOADER, _RECOVERY)]
    scratch = [(m.scratch, m.scratch + m.length) for m in way.moves if m.scratch is not None]
    size = -(-len(facts.loader) // SECTOR) * SECTOR
    at = burnt if burnt is not None else named
    if at is None:
        at = free(size, [*taken, *rows, *scratch], facts.dump.flash.size)
    if at is None:
        raise Refusal(f"the new table leaves no 0x{size:x} bytes for a recovery bootloader")
    if not apart((at, at + size), [*taken, *rows, *scratch]):
        raise Refusal(f"the recovery bootloader at 0x{at:x} overlaps what the device needs")
    write = Step(
        "write",
        f"copy the bootloader to 0x{at:x}",
        FLASH,
        at=at,
        length=len(facts.loader),
        data=facts.loader,
        encrypted=facts.encrypted,
    )
    burn = Step(
        "burn",
        f"burn 0x{at // SECTOR:x} into RECOVERY_BOOTLOADER_FLASH_SECTOR",
        "esp_efuse_set_recovery_bootloader_offset",
        at=at,
    )
    return ((write,) if burnt is not None else (write, burn)), at


def _recovery_notes(recovery: int | None) -> list[str]:
    if recovery is None:
        return []
    return [f"the eFuse RECOVERY_BOOTLOADER_FLASH_SECTOR can be burnt once: 0x{recovery:x} stays a bootloader's place"]


def _refuse_place(way: Way, rows: Sequence[tuple[int, int]]) -> None:
    """Raises ``Refusal`` for a second table, or a new bootloader, where something else is."""
    facts, change = way.facts, way.change
    place = change.loader_table, change.loader_table + SECTOR
    taken = [*needed(facts, change.rows), region(way.bridge.old, facts.image), region(way.bridge.new, facts.image)]
    if place[1] > facts.dump.flash.size or not apart(place, [*taken, *rows]):
        raise Refusal(f"the sector at 0x{place[0]:x}, where the bootloader looks for its table, is not free")
    end = facts.dump.target.bootloader_offset + len(change.loader)
    if end > facts.table_offset:
        raise Refusal(f"the new bootloader reaches to 0x{end:x}, over the table at 0x{facts.table_offset:x}")


def _until(at: int, name: str) -> str:
    return f"holds(0x{at:x}, {name}, sizeof {name})"


def _runs(way: Way) -> int:
    return way.bridge.new.offset
