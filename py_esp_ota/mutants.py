"""Bugs on purpose, each a value that can be switched on: what a test suite is measured against.

::

    with MUTANTS["forgets-aborted"].on():
        ...  # a bootloader that gives an unconfirmed app one boot after another

A suite that is content with a mutant would be content with that bug in a real device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any

from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.idf.rollback import OtaImgState, Rewrite

_IDF = "py_esp_ota.idf"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug. ``place`` is ``module:attribute``, and ``make`` turns what stands there into what is wrong.

    Bugs are switched on for a whole process; two of the same place do not add up.
    """

    name: str
    text: str
    place: str
    make: Callable[[Any], Any]

    @contextmanager
    def on(self) -> Iterator[None]:
        """The bug is there inside the ``with`` block, and gone behind it."""
        module, _, path = self.place.partition(":")
        *owners, name = path.split(".")
        owner: Any = import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        right = vars(owner)[name]
        setattr(owner, name, self.make(right))
        try:
            yield
        finally:
            setattr(owner, name, right)


def _instead(value: Any) -> Callable[[Any], Any]:
    return lambda _right: value


def _then(more: Callable[..., Any]) -> Callable[[Any], Any]:
    """The right thing, and ``more`` of its result and its arguments."""

    def make(right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def wrong(*args: Any, **options: Any) -> Any:
            return more(right(*args, **options), *args)

        return wrong

    return make


def _first(wrong: Callable[..., tuple[Any, ...]]) -> Callable[[Any], Any]:
    """The right thing, done with the arguments that ``wrong`` makes of them."""

    def make(right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def done(*args: Any, **options: Any) -> Any:
            return right(*wrong(*args), **options)

        return done

    return make


# --------------------------------------------------------------------------------------------------------- small bugs


def _other_entry(rewrite: Rewrite | None, *_args: Any) -> Rewrite | None:
    return None if rewrite is None else Rewrite(1 - rewrite.index, rewrite.entry)


def _active_entry(rewrite: Rewrite, entries: tuple[OtaSelectEntry, OtaSelectEntry], *_args: Any) -> Rewrite:
    valid = [index for index, entry in enumerate(entries) if entry.valid]
    return Rewrite(max(valid, key=lambda index: entries[index].ota_seq, default=rewrite.index), rewrite.entry)


def _bad_crc(rewrite: Rewrite, *_args: Any) -> Rewrite:
    return Rewrite(rewrite.index, OtaSelectEntry(rewrite.entry.ota_seq, rewrite.entry.ota_state, crc=0x600D))


def _selectable(table: Any, *entries: OtaSelectEntry) -> tuple[Any, ...]:
    bad = {OtaImgState.INVALID, OtaImgState.ABORTED}
    return (table, *(e.with_state(OtaImgState.VALID) if e.ota_state in bad else e for e in entries))


def _only_lowest(table: Any, *entries: OtaSelectEntry) -> tuple[Any, ...]:
    lowest = min((entry.ota_seq for entry in entries if entry.valid), default=0)
    blank = OtaSelectEntry.from_bytes(b"\xff" * 32)
    return (table, *(entry if entry.ota_seq == lowest else blank for entry in entries))


def _good_crc(table: Any, *entries: OtaSelectEntry) -> tuple[Any, ...]:
    return (table, *(OtaSelectEntry(entry.ota_seq, entry.ota_state) for entry in entries))


def _write_without_erase(otadata: Any, rewrite: Rewrite) -> None:
    otadata._partitions.write(otadata._partition(), rewrite.index * 0x1000, rewrite.entry.to_bytes())  # noqa: SLF001


def _write_after_erasing_both(otadata: Any, rewrite: Rewrite) -> None:
    otadata.erase()
    _write_without_erase(otadata, rewrite)


def _erase_running(handle: int, ops: Any, *_args: Any) -> int:
    ops.chip.flash.erase(ops.get_running_partition().offset, 0x1000)
    return handle


def _choose_at_once(handle: int, ops: Any, partition: Any, *_args: Any) -> int:
    ops.set_boot_partition_skip_validate(partition)
    return handle


def _burn_on_trial(selected: tuple[int, bool], run: Any, table: Any) -> tuple[int, bool]:
    run.update_anti_rollback(table.partition(selected[0]))
    return selected


def _burn_too_much(ops: Any) -> None:
    burnt = ops.get_partition_description(ops.get_running_partition()).secure_version + 1
    ops.chip.efuse.burn_secure_version(burnt)


def _erase_then_set(right: Callable[..., None]) -> Callable[..., None]:
    def wrong(nvs: Any, namespace: str, key: str, value: Any) -> None:
        nvs.erase(namespace, key)
        right(nvs, namespace, key, value)

    return wrong


def _next_number(right: Callable[..., OtaSelectEntry]) -> Callable[..., OtaSelectEntry]:
    return lambda ota_seq, state: right(ota_seq + 1, state)


_MUTANTS = (
    Mutant("forgets-pending", "a new app is not marked as on trial", f"{_IDF}.rollback:AFTER_SELECTION", _instead({})),
    Mutant("forgets-aborted", "an unconfirmed app boots again", f"{_IDF}.rollback:BEFORE_SELECTION", _instead({})),
    Mutant(
        "tries-for-ever",
        "an unconfirmed app is new again at the next boot",
        f"{_IDF}.rollback:BEFORE_SELECTION",
        _instead({OtaImgState.PENDING_VERIFY: OtaImgState.NEW}),
    ),
    Mutant(
        "confirms-unasked",
        "the bootloader confirms what it starts",
        f"{_IDF}.rollback:AFTER_SELECTION",
        _instead({OtaImgState.NEW: OtaImgState.VALID}),
    ),
    Mutant(
        "born-valid",
        "a chosen app needs no trial",
        f"{_IDF}.rollback:SET_BOOT",
        _instead({True: OtaImgState.VALID, False: OtaImgState.UNDEFINED}),
    ),
    Mutant("never-confirms", "mark_app_valid writes nothing", f"{_IDF}.rollback:confirm", _instead(lambda *_: None)),
    Mutant(
        "confirms-the-other", "mark_app_valid takes the other entry", f"{_IDF}.rollback:confirm", _then(_other_entry)
    ),
    Mutant(
        "rejects-nothing",
        "mark_app_invalid confirms",
        f"{_IDF}.rollback:reject",
        _then(lambda rewrite, *_: Rewrite(rewrite.index, rewrite.entry.with_state(OtaImgState.VALID))),
    ),
    Mutant(
        "boots-rejected", "INVALID and ABORTED are chosen too", f"{_IDF}.bootloader.select:choose", _first(_selectable)
    ),
    Mutant(
        "lowest-number-wins",
        "the older of two entries is active",
        f"{_IDF}.bootloader.select:choose",
        _first(_only_lowest),
    ),
    Mutant(
        "ignores-crc", "an entry counts whatever its CRC says", f"{_IDF}.bootloader.select:choose", _first(_good_crc)
    ),
    Mutant("rewrites-the-active-entry", "the old entry is not kept", f"{_IDF}.rollback:select", _then(_active_entry)),
    Mutant("writes-a-bad-crc", "the entry's CRC is wrong", f"{_IDF}.rollback:select", _then(_bad_crc)),
    Mutant(
        "number-stands-still",
        "ota_seq is always the slot's first",
        f"{_IDF}.rollback:rewrite_target",
        _then(lambda target, _first_entry, _second_entry, slot, *_: (target[0], slot + 1)),
    ),
    Mutant(
        "no-erase",
        "an entry is programmed over the old one",
        f"{_IDF}.app_update.otadata:OtaData.write",
        _instead(_write_without_erase),
    ),
    Mutant(
        "erases-both-entries",
        "the whole of otadata is erased before one entry is written",
        f"{_IDF}.app_update.otadata:OtaData.write",
        _instead(_write_after_erasing_both),
    ),
    Mutant(
        "erases-the-wrong-slot",
        "begin erases where the app runs",
        f"{_IDF}.app_update.ota_ops:OtaUpdates.begin",
        _then(_erase_running),
    ),
    Mutant(
        "chooses-before-writing",
        "begin chooses the slot",
        f"{_IDF}.app_update.ota_ops:OtaUpdates.begin",
        _then(_choose_at_once),
    ),
    Mutant(
        "forgets-who-runs",
        "the next slot is always the first",
        f"{_IDF}.app_update.boot:OtaBoot.get_next_update_partition",
        _instead(lambda ops, _start=None: ops.table.find(type=0, subtype=0x10)),
    ),
    Mutant(
        "resumes-a-sector-late",
        "resume leaves a gap",
        f"{_IDF}.app_update.ota_ops:OtaUpdates.resume",
        _first(lambda ops, partition, erase, offset: (ops, partition, erase, offset + 0x1000)),
    ),
    Mutant(
        "burns-on-trial",
        "the eFuse rises before the app confirms",
        f"{_IDF}.bootloader.start:get_selected_boot_partition",
        _then(_burn_on_trial),
    ),
    Mutant(
        "burns-too-much",
        "the eFuse rises above the app",
        f"{_IDF}.app_update.states:OtaStates._set_anti_rollback",
        _instead(_burn_too_much),
    ),
    Mutant(
        "never-burns",
        "the eFuse stays",
        f"{_IDF}.app_update.states:OtaStates._set_anti_rollback",
        _instead(lambda _ops: None),
    ),
    Mutant(
        "heals-the-wrong-slot",
        "blank otadata is healed for the slot behind",
        f"{_IDF}.bootloader.start:OtaSelectEntry",
        _next_number,
    ),
    Mutant("settings-erased-first", "a value is erased before it is set", f"{_IDF}.nvs:FlashNvs.set", _erase_then_set),
    Mutant(
        "accepts-any-image",
        "no image is verified by the app",
        f"{_IDF}.app_update.app:OtaApp._image_validate",
        _instead(lambda _ops, _partition: None),
    ),
    Mutant(
        "no-way-back",
        "a slot that does not boot is the end",
        f"{_IDF}.bootloader.start:boot_order",
        _then(lambda order, *_: order[:1]),
    ),
)

MUTANTS: Mapping[str, Mutant] = {mutant.name: mutant for mutant in _MUTANTS}
