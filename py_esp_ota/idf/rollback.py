"""The life of one otadata entry: its states, and who may move it from one to the next.

::

    set_boot_partition          bootloader            app
    ------------------          ----------            ---
        NEW  ──── selected ───▶ PENDING_VERIFY ─────▶ VALID      mark_app_valid_cancel_rollback
                                     │      └───────▶ INVALID    mark_app_invalid_rollback
                                     └── reset ─────▶ ABORTED    (nobody confirmed it)
        UNDEFINED               without rollback nothing above happens: the entry just stays

Everything here is a table or a pure function: it says what to write, ``bootloader`` and ``ota_ops`` write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from py_esp_ota._core import OtaSelectEntry, active_otadata, ota_slot, rewrite_target

BLANK_SEQ = 0xFFFFFFFF


class OtaImgState(IntEnum):
    """``esp_ota_img_states_t`` (components/bootloader_support/include/esp_flash_partitions.h)."""

    NEW = 0
    PENDING_VERIFY = 1
    VALID = 2
    INVALID = 3
    ABORTED = 4
    UNDEFINED = 0xFFFFFFFF


#: What a rollback bootloader makes of a state it finds, before it chooses. An entry absent here stays as it is.
BEFORE_SELECTION: Mapping[int, OtaImgState] = {OtaImgState.PENDING_VERIFY: OtaImgState.ABORTED}

#: What a rollback bootloader makes of the state of the entry it chose.
AFTER_SELECTION: Mapping[int, OtaImgState] = {OtaImgState.NEW: OtaImgState.PENDING_VERIFY}

#: What ``esp_ota_set_boot_partition`` writes, by whether the *app* was built with rollback.
SET_BOOT: Mapping[bool, OtaImgState] = {True: OtaImgState.NEW, False: OtaImgState.UNDEFINED}

#: States no bootloader ever selects. Any other number, known or not, is selectable.
NEVER_SELECTED: frozenset[int] = frozenset({OtaImgState.INVALID, OtaImgState.ABORTED})

Entries = tuple[OtaSelectEntry, OtaSelectEntry]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A decision: otadata entry ``index`` shall become ``entry``."""

    index: int
    entry: OtaSelectEntry


def as_state(ota_state: int) -> OtaImgState | int:
    """The state as a name where it has one; any other word stays the number it is."""
    try:
        return OtaImgState(ota_state)
    except ValueError:
        return ota_state


def state_name(ota_state: int) -> str:
    """How reports write a state: ``VALID``, or ``0x00000077`` for a word that is no state."""
    state = as_state(ota_state)
    return state.name if isinstance(state, OtaImgState) else f"0x{state:08x}"


def entry_words(entry: OtaSelectEntry) -> tuple[str, str, str]:
    """An entry as a person reads it: sequence, state, and whether the CRC fits."""
    if entry.ota_seq == BLANK_SEQ:
        return "blank", "", ""
    return str(entry.ota_seq), state_name(entry.ota_state), "fits" if entry.crc_ok else "does not fit"


def unconfirmed(entries: Entries) -> list[Rewrite]:
    """``bootloader_utility_get_selected_boot_partition``, first half: who had a trial boot and did not use it.

    Neither the sequence number nor the CRC is looked at, so a corrupt entry is rewritten too, CRC as read.
    """
    return [
        Rewrite(index, entry.with_state(BEFORE_SELECTION[entry.ota_state]))
        for index, entry in enumerate(entries)
        if entry.ota_state in BEFORE_SELECTION
    ]


def trial(entries: Entries, active: int) -> Rewrite | None:
    """``bootloader_utility_get_selected_boot_partition``, last step: a NEW app gets one boot to confirm itself."""
    if active < 0 or entries[active].ota_state not in AFTER_SELECTION:
        return None
    return Rewrite(active, entries[active].with_state(AFTER_SELECTION[entries[active].ota_state]))


def select(entries: Entries, slot: int, app_count: int, *, rollback: bool, in_place: bool = True) -> Rewrite:
    """``esp_rewrite_ota_data`` (components/app_update/esp_ota_ops.c): what makes ``slot`` the one to boot.

    Choosing the slot that is active already rewrites its own entry, so that a VALID app has to prove itself again. Not
    ``in_place``, as before v6.0, the other entry gets the same number, and the first of the two wins.
    """
    index, ota_seq = rewrite_target(*entries, slot, app_count)
    if not in_place and index == active_otadata(*entries):
        index = 1 - index
    return Rewrite(index, OtaSelectEntry(ota_seq, SET_BOOT[rollback], seq_label=entries[index].seq_label))


def confirm(entries: Entries, active: int) -> Rewrite | None:
    """``esp_ota_mark_app_valid_cancel_rollback``: the active entry becomes VALID; ``None`` when it is already."""
    if entries[active].ota_state == OtaImgState.VALID:
        return None
    return Rewrite(active, entries[active].with_state(OtaImgState.VALID))


def reject(entries: Entries, active: int) -> Rewrite:
    """``esp_ota_mark_app_invalid_rollback``: the active entry becomes INVALID."""
    return Rewrite(active, entries[active].with_state(OtaImgState.INVALID))


def applied(entries: Entries, rewrite: Rewrite) -> Entries:
    """The entries as they are once ``rewrite`` is done."""
    return (rewrite.entry, entries[1]) if rewrite.index == 0 else (entries[0], rewrite.entry)


def state_of_slot(entries: Entries, slot: int, app_count: int) -> int | None:
    """``esp_ota_get_state_partition``: the state of the first entry with a good CRC that names ``slot``.

    Which entry is active does not matter, nor whether it may be selected.
    """
    for entry in entries:
        if entry.crc_ok and ota_slot(entry.ota_seq, app_count) == slot:
            return entry.ota_state
    return None


def last_invalid(entries: Entries) -> OtaSelectEntry | None:
    """``esp_ota_get_last_invalid_partition``: the rejected entry, of two the one with the *smaller* sequence number."""
    rejected = [e for e in entries if e.ota_seq != BLANK_SEQ and e.crc_ok and e.ota_state in NEVER_SELECTED]
    return min(rejected, key=lambda entry: entry.ota_seq, default=None)
