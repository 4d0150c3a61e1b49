"""What boots is an image that somebody sent whole: the old one or a new one, never a part and never a damaged one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Look, Promise, holds

if TYPE_CHECKING:
    from py_esp_ota._core import Flash, Partition
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage
    from py_esp_ota.idf.bootloader.start import BootReport

_LOOKS_AWAY = {"glitch", "swap"}
DECEIVED = "esp_image_verify was made to answer OK, as planned"
_NOT_LOOKED = "bootloader_load_image_no_verify does not look at what it loads (BOOTLOADER_SKIP_VALIDATE_ALWAYS)"
_NO_HASH = (
    "esp_image_verify compares a hash only where hash_appended says so, and its checksum is not over the header: that "
    "bit was flipped on its way"
)
_HASH_APPENDED = 23  # where it is in esp_image_header_t


def _as_planned(stage: Stage, board: Board, flash: Flash, partition: Partition) -> str:
    if board.memory.met & _LOOKS_AWAY:
        return DECEIVED
    if "flip" in board.memory.met and any(_but_for_its_hash(flash, partition, image) for image in stage.sound):
        return _NO_HASH
    return _NOT_LOOKED if board.config.bootloader_skip_validate_always else ""


def _but_for_its_hash(flash: Flash, partition: Partition, image: bytes) -> bool:
    stands, end = flash.mmap(partition.offset, len(image)), _HASH_APPENDED
    return stands[:end] == image[:end] and stands[end + 1 :] == image[end + 1 :]


def _at_boot(stage: Stage, board: Board, report: BootReport) -> Broken | None:
    if report.partition is None or holds(board.device.flash, report.partition, stage.sound) is not None:
        return None
    why = f"{report.partition.label} boots, and holds no image that was ever sent"
    return Broken(why, _as_planned(stage, board, board.device.flash, report.partition))


def _at_look(stage: Stage, board: Board, look: Look) -> Broken | None:
    report, flash = board.device.report, board.device.flash
    runs = report.partition if report and flash.powered else None
    if runs is not None and holds(look.flash, runs, stage.sound) is None:
        return Broken(
            f"an app runs in {runs.label}, which no longer holds it", _as_planned(stage, board, look.flash, runs)
        )
    if look.report.partition is None or look.boots is not None:
        return None
    why = f"without power now, {look.report.partition.label} would boot, and it holds no image that was ever sent"
    return Broken(why, _as_planned(stage, board, look.flash, look.report.partition))


PROMISE = Promise(
    "images",
    "what boots is the old image or a new one, whole",
    "esp_ota_end",
    "lets no image be chosen that image_validate refuses, and the bootloader looks at what it loads",
    at_boot=_at_boot,
    at_look=_at_look,
)
