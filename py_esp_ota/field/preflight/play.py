"""The update, played on a copy: boot, take the image by ``esp_ota_ops``, boot again, and once more unconfirmed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from py_esp_ota._core import EFuse, Flash, Partition
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import EspErr, EspError, Restart
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OtaOps
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sdkconfig import Sdkconfig

_T = TypeVar("_T")
#: The step that is no function of the app.
BOOTS = "bootloader_utility_load_boot_image"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Where the update ends: the step, ``esp_err_t``'s name, and which field of the image or table was at fault."""

    step: str
    err: str
    text: str
    field: str = ""
    expected: str = ""


@dataclass(slots=True)
class Played:
    """How it went, as far as it went.

    ``before`` is the boot that the flash is for, ``after`` the first one with the update, ``back`` the next one when
    nobody has confirmed it. ``asked`` is what boots when the new app rejects itself; ``None`` when it may not.
    ``chip`` is the board with the update in it.
    """

    before: BootReport
    chip: Chip
    running: Partition | None = None
    slot: Partition | None = None
    unconfirmed: bool = False
    refusal: Refusal | None = None
    after: BootReport | None = None
    back: BootReport | None = None
    asked: Partition | None = None

    @property
    def runs(self) -> bool:
        """Whether the new app starts."""
        return self.refusal is None


def booted(flash: Flash, target: str, efuse: EFuse, loader: Sdkconfig) -> tuple[Chip, BootReport]:
    """A copy of the board, and its boot from power-on. What the boot wrote is in the copy."""
    chip = Chip(target, flash=flash.fork(), efuse=efuse.copy())
    return chip, boot(chip, loader)


def play(chip: Chip, before: BootReport, loader: Sdkconfig, app: Sdkconfig, image: bytes) -> Played:
    """Go on from a boot: ``chip`` takes ``image`` and is started with it.

    Args:
        chip: as ``before`` left it; it is written.
        before: its boot.
        loader: how its bootloader was built.
        app: how the app was built that takes the update.
        image: the update.
    """
    played = Played(before, chip)
    if not before.ok or before.partition is None:
        played.refusal = Refusal(BOOTS, "", "nothing in this flash starts, so that nothing can take an update")
        return played
    ops = OtaOps(chip, before.partition, app, Log(lambda: 0))
    played.running = ops.get_running_partition()
    played.slot = ops.get_next_update_partition()
    if played.slot is None:
        seen = "has no OTA slot" if len(ops.table) else "is refused by the app, which wants an MD5 row that fits"
        text = f"the partition table {seen}"
        played.refusal = Refusal("esp_ota_get_next_update_partition", EspErr.ESP_ERR_NOT_FOUND.name, text, "slot")
        return played
    played.refusal = _take(played, ops, played.slot, image)
    if played.refusal is None:
        _start(played, played.slot, loader, app)
    return played


def _take(played: Played, ops: OtaOps, slot: Partition, image: bytes) -> Refusal | None:
    """What ``native_ota_example`` does; ``None`` when otadata chooses the new app.

    The whole slot is erased, so that nothing of the app before is taken for a part of the new one, its signature say.
    """
    if ops.config.bootloader_app_rollback_enable:
        with suppress(EspError):
            played.unconfirmed = ops.get_state_partition(played.running) == OtaImgState.PENDING_VERIFY
        if played.unconfirmed:
            confirmed = _tried("esp_ota_mark_app_valid_cancel_rollback", ops.mark_app_valid_cancel_rollback)
            if isinstance(confirmed, Refusal):
                return confirmed
    handle = _tried("esp_ota_begin", lambda: ops.begin(slot, OTA_SIZE_UNKNOWN))
    if isinstance(handle, Refusal):
        return handle
    return (
        _refusal("esp_ota_write", lambda: ops.write(handle, image))
        or _refusal("esp_ota_end", lambda: ops.end(handle))
        or _refusal("esp_ota_set_boot_partition", lambda: ops.set_boot_partition(slot))
    )


def _refusal(step: str, act: Callable[[], None]) -> Refusal | None:
    said = _tried(step, act)
    return said if isinstance(said, Refusal) else None


def _tried(step: str, act: Callable[[], _T]) -> _T | Refusal:
    try:
        return act()
    except EspError as error:
        named = {name: str(error.fact.get(name, "")) for name in ("field", "expected")}
        return Refusal(step, error.err.name, str(error), **named)
    except Restart as end:
        return Refusal(step, "", f"the running app ends there: {end}")


def _start(played: Played, slot: Partition, loader: Sdkconfig, app: Sdkconfig) -> None:
    """The reset behind the update, and what becomes of it when nobody confirms it."""
    chip = played.chip
    chip.reset_reason = ResetReason.SW
    played.after = boot(chip, loader)
    started = played.after.partition
    if started is None or started.offset != slot.offset:
        instead = "nothing starts" if started is None else f"{started.label} starts instead"
        fault = chip.verify_image(slot, build="bootloader", mode="load", config=loader).fault
        named = ("", "", "") if fault is None else (fault.err.name, fault.field, fault.expected)
        text = f"{slot.label} passes the update and does not start: {instead}"
        played.refusal = Refusal(BOOTS, named[0], text, *named[1:])
        return
    again = Chip(chip.target.name, flash=chip.flash.fork(), efuse=chip.efuse.copy())
    again.reset_reason = ResetReason.SW
    played.back = boot(again, loader)
    played.asked = _rejected(chip, slot, loader, app)


def _rejected(chip: Chip, slot: Partition, loader: Sdkconfig, app: Sdkconfig) -> Partition | None:
    """``esp_ota_mark_app_invalid_rollback_and_reboot`` by the new app, taken for one that was built as this one."""
    copy = Chip(chip.target.name, flash=chip.flash.fork(), efuse=chip.efuse.copy())
    ops = OtaOps(copy, slot, app, Log(lambda: 0))
    try:
        ops.mark_app_invalid_rollback_and_reboot()
    except EspError:
        return None
    except Restart:
        copy.reset_reason = ResetReason.SW
        return boot(copy, loader).partition
