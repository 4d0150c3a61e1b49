"""A new image boots on trial, once; it stays when it has confirmed itself, and goes when it has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from py_esp_ota._core import OtaSelectEntry, ota_slot
from py_esp_ota.hunt.kinds import table
from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sweep.life import Past, left_on

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage
    from py_esp_ota.idf.bootloader.start import BootReport

_PENDING = OtaImgState.PENDING_VERIFY.name
_TRIES_ALL = "bootloader_utility_load_boot_image tries every slot in turn when otadata names none"
_TRIES_ON = "bootloader_utility_load_boot_image tries other slots, rejected or not, when the named one does not boot"
_ONE_NUMBER = (
    "esp_rewrite_ota_data counts on from the entry that counts, whoever runs: a slot that a glitch passed over and an "
    "update overwrote has two entries of one number, and the bootloader takes the first, which is VALID"
)
_HEALS = "set_actual_ota_seq makes a VALID entry for the slot that boots when otadata is blank"


def _at_boot(_stage: Stage, board: Board, report: BootReport) -> Broken | None:
    if not board.config.bootloader_app_rollback_enable or report.partition is None or report.app_desc is None:
        return None
    version, label = report.app_desc.version, report.partition.label
    if report.partition.ota_slot is None or version in board.memory.confirming:
        return None
    begun = any(write.entry.ota_state == OtaImgState.PENDING_VERIFY for write in report.otadata_writes)
    if report.state != _PENDING and not begun:  # two entries may name one slot, and the first one gives the state
        why = f"{version} in {label} boots as {report.state or 'nothing'}, and never confirmed itself"
        return Broken(why, _as_the_chip(board, report))
    boots = board.device.boots
    before = boots[-2] if len(boots) > 1 else None
    if before is not None and (before.partition, before.state) == (report.partition, _PENDING) and not begun:
        return Broken(f"{version} in {label} boots once more on trial, and never confirmed itself")
    return None


def _as_the_chip(board: Board, report: BootReport) -> str:
    """Each slot is tried where no entry counts or its slot does not boot, and who boots is believed for good."""
    entries_made = (
        boot for boot in board.device.boots if any(line.startswith("set_actual_ota_seq") for line in boot.why)
    )
    if any((boot.partition, boot.app_desc) == (report.partition, report.app_desc) for boot in entries_made):
        return _HEALS
    left = left_on(board.device.flash, board.config, Past()).otadata
    labels = {row.ota_slot: row.label for row in table(board.world.table) if row.ota_slot is not None}
    counted = [entry for entry in left if entry.valid]
    named = {labels[ota_slot(entry.ota_seq, len(labels))] for entry in counted}
    if board.memory.passed_over and new_beside_old(counted) and report.partition and report.partition.label in named:
        return _ONE_NUMBER
    if not named or any("new enough" in line for line in report.why):
        return _TRIES_ALL
    passed_over = any(f"{label} is not bootable" in line for label in named for line in report.why)
    return _TRIES_ON if passed_over else ""


def new_beside_old(entries: Sequence[OtaSelectEntry]) -> bool:
    """Whether there are two of one number, the first VALID, and the other one still to be tried."""
    states = [entry.ota_state for entry in entries]
    return len({entry.ota_seq for entry in entries}) == 1 and states == [OtaImgState.VALID, OtaImgState.NEW]


PROMISE = Promise(
    "trial",
    "a new image has one boot to confirm itself",
    "bootloader_utility_get_selected_boot_partition",
    "makes NEW PENDING_VERIFY at the first boot and ABORTED at the next",
    at_boot=_at_boot,
)
