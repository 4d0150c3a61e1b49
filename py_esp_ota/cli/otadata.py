"""``esp-ota otadata``: which slot the bootloader is told to boot; read it, switch it, erase it, set a state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from py_esp_ota._core import (
    BootTable,
    Flash,
    OtaSelectEntry,
    Partition,
    PartitionTable,
    active_otadata,
    ota_slot,
    read_otadata,
    select_boot_partition,
    write_otadata,
)
from py_esp_ota.cli.complete import labels
from py_esp_ota.cli.files import Unusable, print_json, write_output
from py_esp_ota.cli.inputs import FlashInput, open_flash
from py_esp_ota.cli.output import say
from py_esp_ota.errors import FlashError, OtaError
from py_esp_ota.idf import rollback
from py_esp_ota.idf.app_update import otatool
from py_esp_ota.idf.rollback import OtaImgState

_SECTOR = 0x1000
_SIZE = 2 * _SECTOR
_DATA, _DATA_OTA, _OTA_0 = 0x01, 0x00, 0x10
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Bench:
    """otadata wherever it lies: in a flash, or alone in a file of two sectors."""

    flash: Flash
    offset: int
    slots: list[Partition]
    table: PartitionTable
    save: Callable[[], None]

    @property
    def entries(self) -> rollback.Entries:
        return read_otadata(self.flash, self.offset)

    def write(self, index: int, entry: OtaSelectEntry) -> None:
        write_otadata(self.flash, self.offset, index, entry)
        self.save()


def _open(files: tuple[str, ...], slots: int | None) -> _Bench:
    given = open_flash(files)
    if given.merged and given.start == 0 and given.length == _SIZE and not _has_table(given):
        if slots is None:
            raise Unusable(f"{given.path} is otadata alone; say with --slots how many OTA slots the table has")
        rows = [Partition(f"ota_{n}", 0, _OTA_0 + n, 0x10000 * (n + 1), 0x10000) for n in range(slots)]
        rows.insert(0, Partition("otadata", _DATA, _DATA_OTA, 0, _SIZE))
        table = PartitionTable(rows)
        return _Bench(given.flash, 0, rows[1:], table, lambda: write_output(given.path, given.flash.read(0, _SIZE)))
    table = given.table()
    found = table.find(type=_DATA, subtype=_DATA_OTA)
    if found is None:
        raise Unusable(f"{given.path}: the partition table has no data/ota partition")
    if found.size < _SIZE:
        raise Unusable(f"{given.path}: {found.label} has 0x{found.size:x} bytes, two sectors are needed")
    try:
        read_otadata(given.flash, found.offset)
    except FlashError as error:
        raise Unusable(f"{given.path}: {found.label}: {error}") from error
    return _Bench(given.flash, found.offset, otatool.ota_partitions(table), table, given.save)


def _has_table(given: FlashInput) -> bool:
    try:
        given.table()
    except Unusable:
        return False
    return True


def _options(function: _F) -> _F:
    function = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)
    function = click.option("--slots", type=click.IntRange(1, 16), help="OTA slots, for a file with otadata alone.")(
        function
    )
    return click.argument(
        "files", nargs=-1, required=True, type=click.Path(), metavar="FLASH|BUILD_DIR|OFFSET FILE..."
    )(function)


@click.group("otadata")
def command() -> None:
    """Read and change which slot the bootloader is told to boot, with otatool.py's rules."""


@command.command("read")
@_options
def read(files: tuple[str, ...], slots: int | None, as_json: bool) -> None:
    """Both entries, the one that counts, and what a bootloader makes of them."""
    _show(_open(files, slots), as_json)


@command.command("switch")
@_options
@click.option("--slot", type=click.IntRange(0, 15), help="The slot by number.")
@click.option("--name", shell_complete=labels(type=0), help="The slot by its partition's name.")
@click.option("--like-app", is_flag=True, help="Write what esp_ota_set_boot_partition would: a state that is tried.")
@click.option("--no-rollback", is_flag=True, help="With --like-app: an app built without rollback.")
def switch(
    files: tuple[str, ...],
    slots: int | None,
    as_json: bool,
    slot: int | None,
    name: str | None,
    like_app: bool,
    no_rollback: bool,
) -> None:
    """Select a slot. Exit 1 when the entry keeps a state that no bootloader selects, so that nothing changes."""
    bench = _open(files, slots)
    number = _slot(bench, slot, name)
    if like_app:
        try:
            rewrite = rollback.select(bench.entries, number, len(bench.slots), rollback=not no_rollback)
        except OtaError as error:
            raise click.ClickException(str(error)) from error
        effective = True
    else:
        decided = otatool.switch_ota_partition(bench.entries, number, len(bench.slots))
        rewrite, effective = decided.rewrite, decided.effective
    bench.write(rewrite.index, rewrite.entry)
    _show(bench, as_json)
    if not effective:
        state = rollback.state_name(rewrite.entry.ota_state)
        say(f"otadata[{rewrite.index}] keeps its state {state}: no bootloader selects it", err=True)
        sys.exit(1)


@command.command("erase")
@_options
def erase(files: tuple[str, ...], slots: int | None, as_json: bool) -> None:
    """Erase both entries: the factory app boots, or the first slot."""
    bench = _open(files, slots)
    bench.flash.erase(bench.offset, _SIZE)
    bench.save()
    _show(bench, as_json)


@command.command("set")
@_options
@click.option("--entry", type=click.IntRange(0, 1), help="The entry by number.")
@click.option("--slot", type=click.IntRange(0, 15), help="The entry that names this slot.")
@click.option("--name", shell_complete=labels(type=0), help="The entry that names this partition.")
@click.option("--state", required=True, help=f"{', '.join(OtaImgState.__members__)}, or a number.")
def set_state(
    files: tuple[str, ...],
    slots: int | None,
    as_json: bool,
    entry: int | None,
    slot: int | None,
    name: str | None,
    state: str,
) -> None:
    """Give an entry a state; its number stays."""
    bench = _open(files, slots)
    index = _entry(bench, slot, name) if entry is None else entry
    bench.write(index, bench.entries[index].with_state(_state(state)))
    _show(bench, as_json)


def _state(text: str) -> int:
    if text.upper() in OtaImgState.__members__:
        return OtaImgState[text.upper()]
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise click.BadParameter(f"{text!r} is no state: {', '.join(OtaImgState.__members__)}", param_hint="--state")
    return value


def _slot(bench: _Bench, slot: int | None, name: str | None) -> int:
    labels = [row.label for row in bench.slots]
    if (slot is None) == (name is None):
        raise click.UsageError("name the slot with --slot or with --name")
    if name is not None:
        if name not in labels:
            raise Unusable(f"no OTA slot is called {name!r}; there are {', '.join(labels) or 'none'}")
        return labels.index(name)
    if slot is None or slot >= len(labels):
        raise Unusable(f"slot {slot} does not exist; the table has {len(labels)} OTA slots")
    return slot


def _entry(bench: _Bench, slot: int | None, name: str | None) -> int:
    number = _slot(bench, slot, name)
    for index, entry in enumerate(bench.entries):
        if entry.crc_ok and ota_slot(entry.ota_seq, len(bench.slots)) == number:
            return index
    raise Unusable(f"no otadata entry names slot {number}")


def _facts(bench: _Bench) -> dict[str, object]:
    entries, count = bench.entries, len(bench.slots)
    active = active_otadata(*entries)
    rows = []
    for index, entry in enumerate(entries):
        names = entry.crc_ok and entry.ota_seq != rollback.BLANK_SEQ and count
        slot = ota_slot(entry.ota_seq, count) if names else None
        rows.append(
            {
                "index": index,
                "ota_seq": entry.ota_seq,
                "state": rollback.state_name(entry.ota_state),
                "crc": entry.crc,
                "crc_ok": entry.crc_ok,
                "blank": entry.to_bytes() == b"\xff" * 32,
                "slot": slot,
                "partition": bench.slots[slot].label if slot is not None else None,
                "active": index == active,
            }
        )
    boot = BootTable(list(bench.table))
    chosen = boot.partition(select_boot_partition(boot, *entries).index) if boot.app_count else boot.factory
    return {"entries": rows, "boots": chosen.label if chosen else None}


def _show(bench: _Bench, as_json: bool) -> None:
    facts = _facts(bench)
    if as_json:
        print_json(facts)
        return
    say("Entry  OTA_SEQ     State           CRC                  Slot")
    rows: Any = facts["entries"]
    for row in rows:
        mark = "*" if row["active"] else " "
        crc = f"0x{row['crc']:08x} ({'valid' if row['crc_ok'] else 'invalid'})"
        state = "(blank)" if row["blank"] else row["state"]
        say(f"{mark} {row['index']}    0x{row['ota_seq']:08x}  {state:<14}  {crc:<20} {row['partition'] or '-'}")
    say(f"The bootloader tries first: {facts['boots'] or 'every slot in turn'}")
