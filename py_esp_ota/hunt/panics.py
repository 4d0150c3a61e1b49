"""Of an app that panics again and again: why nothing takes it back."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import ota_slot
from py_esp_ota.hunt.evidence import Evidence, apps, entries
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.features import features
from py_esp_ota.idf.rollback import OtaImgState


def panics(taken_back: Callable[[Evidence, BootReport], bool]) -> Callable[[Evidence], str]:
    """It panics, and ``taken_back`` says of its latest boot that nothing takes it back."""

    def holds(evidence: Evidence) -> str:
        after = evidence.offered or evidence.plain
        last, crashes = after.boots[-1], evidence.wreck.crashes
        if last.app_desc is None or crashes is None or crashes(last.app_desc) is None:
            return ""
        return f"{last!r} boots again and again, and panics" if taken_back(evidence, last) else ""

    return holds


def is_confirmed(evidence: Evidence, last: BootReport) -> bool:
    """It has said that it works."""
    return evidence.wreck.config.bootloader_app_rollback_enable and last.state == OtaImgState.VALID.name


def is_unasked(evidence: Evidence, _last: BootReport) -> bool:
    """Nobody asks whether it works."""
    return not evidence.wreck.config.bootloader_app_rollback_enable


def is_named_twice(evidence: Evidence, last: BootReport) -> bool:
    """Before v6.0, an app that chose it again while it waited for its reboot has given it the other entry, too."""
    if features(evidence.wreck.config.idf_version).reselects_in_place or last.partition is None:
        return False
    slots = sum(row.ota_slot is not None for row in apps(evidence))
    named = {entry.crc_ok and ota_slot(entry.ota_seq, slots) == last.partition.ota_slot for entry in entries(evidence)}
    return named == {True}


def is_unnamed(evidence: Evidence, last: BootReport) -> bool:
    """No entry counts, and one at least was lost."""
    return _names_nobody(evidence, last) and not all(entry.crc_ok for entry in entries(evidence))


def is_given_up(evidence: Evidence, last: BootReport) -> bool:
    """No entry counts, for both were given up: before v6.0, when both had come to name one slot that went."""
    before = not features(evidence.wreck.config.idf_version).reselects_in_place
    return before and _names_nobody(evidence, last) and all(entry.crc_ok for entry in entries(evidence))


def _names_nobody(evidence: Evidence, last: BootReport) -> bool:
    rollback = evidence.wreck.config.bootloader_app_rollback_enable
    return rollback and last.partition is not None and not any(entry.valid for entry in entries(evidence))
