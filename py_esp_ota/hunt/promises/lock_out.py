"""The eFuse of anti-rollback never asks for more than an app that has confirmed itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.confirmed import no_room
from py_esp_ota.hunt.promises.promise import Broken, Look, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage
    from py_esp_ota.idf.bootloader.start import BootReport

_BELIEVED = (
    "update_anti_rollback believes an entry that is VALID, which set_actual_ota_seq made of the slot that booted"
)


def _highest(board: Board) -> int:
    """The secure version that the apps which confirmed themselves have reached."""
    known = {f"{image.version}.0.0": image.secure_version for image in board.world.images}
    highest = max(known.values())  # the rescue's
    return max([board.world.fuse, *(known.get(version, highest) for version in board.memory.confirming)])


def _at_boot(_stage: Stage, board: Board, report: BootReport) -> Broken | None:
    if not board.config.bootloader_app_anti_rollback or report.app_desc is None:
        return None
    burnt = board.device.chip.efuse.secure_version
    if report.app_desc.secure_version < burnt:
        return Broken(f"secure version {report.app_desc.secure_version} boots, and the eFuse says {burnt}")
    return _too_much(board)


def _too_much(board: Board) -> Broken | None:
    burnt, highest = board.device.chip.efuse.secure_version, _highest(board)
    if burnt <= highest:
        return None
    healed = any(line.startswith("set_actual_ota_seq") for boot in board.device.boots for line in boot.why)
    why = f"the eFuse says {burnt}, and no app above secure version {highest} has confirmed itself"
    return Broken(why, _BELIEVED if healed else "")


def _at_look(_stage: Stage, board: Board, _look: Look) -> Broken | None:
    return _too_much(board) if board.config.bootloader_app_anti_rollback else None


def _at_end(stage: Stage) -> Broken | None:
    for board in stage.boards:
        running = board.device.running
        if not board.config.bootloader_app_anti_rollback or running is None or board.device.state != "VALID":
            continue
        burnt = board.device.chip.efuse.secure_version
        if burnt < running.secure_version:
            why = f"board {board.number}: {running.version} is confirmed, and the eFuse is at {burnt}"
            return Broken(f"{why}, not at {running.secure_version}", no_room(board, running.secure_version))
    return None


PROMISE = Promise(
    "lock-out",
    "the eFuse asks for what has confirmed itself",
    "update_anti_rollback",
    "burns the secure version of an app whose entry is VALID",
    at_boot=_at_boot,
    at_look=_at_look,
    at_end=_at_end,
)
