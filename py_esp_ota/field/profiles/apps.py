"""An app as a project makes it: confirms as the project does, counts starts as it does, and may have a flaw.

::

    good, bad = FieldApp(PROFILES["esphome"]), FieldApp(PROFILES["esphome"], flaw="setup")
    Device("two_ota", firmware=image, apps=lambda desc: bad if desc.version == "2.0.0" else good)
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, get_args

from py_esp_ota.apps import AppRun, Booted
from py_esp_ota.chip import ResetReason
from py_esp_ota.errors import NvsError, OtaError, Restart
from py_esp_ota.field.profiles.profile import Guard, Profile
from py_esp_ota.field.profiles.updaters.arduino_update import Update
from py_esp_ota.field.profiles.updaters.tasmota_safeboot import to_safeboot
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.rollback import OtaImgState

#: What is wrong with a new app: nothing; it panics before the project's own code; in ``setup()``; five minutes later,
#: each time; it has no network any more; its program does not confirm it, where the project leaves that to the program.
Flaw = Literal["none", "early", "setup", "late", "no-network", "unconfirmed"]
FLAWS: tuple[Flaw, ...] = get_args(Flaw)
#: After how many seconds it panics.
_PANICS = {"early": 0.0, "setup": 1.0, "late": 300.0}
#: When a program confirms to which the project leaves it.
_PROGRAM_CONFIRMS = 1.0

#: ``RTC_KEY`` of ESPHome's safe mode, and the namespace of its preferences.
_ESPHOME, _ATTEMPTS = "esphome", "233825507"


def attempts(nvs: FlashNvs) -> int:
    """How many starts ESPHome has counted as bad; a value that cannot be read is none (``ESP32PreferenceBackend``)."""
    value = _stored(nvs)
    return value[0] if len(value) == 4 else 0


def set_attempts(nvs: FlashNvs, count: int) -> None:
    """Write the count; as ESPHome does, only when it is another one, and whatever NVS says."""
    value = bytes((count, 0, 0, 0))
    if _stored(nvs) != value:
        with suppress(NvsError):
            nvs.set(_ESPHOME, _ATTEMPTS, value)


def _stored(nvs: FlashNvs) -> bytes:
    with suppress(NvsError):
        value = nvs.get(_ESPHOME, _ATTEMPTS)
        return value if isinstance(value, bytes) else b""
    return b""


@dataclass(eq=False)
class FieldApp:
    """An ``App`` (``py_esp_ota.apps``). One stands for one board: it remembers what RTC memory remembers.

    Attributes:
        profile: whose app it is.
        flaw: what is wrong with it.
    """

    profile: Profile
    flaw: Flaw = "none"
    _count: int = field(default=0, init=False)

    def __call__(self, booted: Booted) -> AppRun:
        """One run. Raises ``PowerLoss``, and ``Restart`` where the app restarts by itself."""
        panics = _PANICS.get(self.flaw)
        if panics == 0:
            return _panic(0.0, "before the project's own code ran")
        ops, nvs = booted.ops, FlashNvs(booted.chip, booted.config)
        confirms = self.profile.confirm.seconds
        if confirms == 0:
            self._confirm(ops)
        guard = self.profile.guard
        if guard is not None and (acted := self._count_start(guard, booted, ops, nvs)) is not None:
            return acted
        given_up = self.profile.confirm.gives_up_s
        if self.flaw == "no-network" and given_up is not None:
            if self._may_decide(ops):
                with suppress(OtaError):
                    ops.mark_app_invalid_rollback_and_reboot()
            return AppRun(seconds=given_up)
        if confirms is None:
            confirms = None if self.flaw == "unconfirmed" else _PROGRAM_CONFIRMS
        if confirms and (panics is None or confirms < panics):
            self._confirm(ops)
        if guard is not None and (panics is None or guard.good_after_s < panics):
            self._forget(guard, nvs)
        return AppRun() if panics is None else _panic(panics, f"{panics:.0f} s after its start")

    def _may_decide(self, ops: OtaOps) -> bool:
        """Whether it looks at the state first and finds itself on trial, or does not look."""
        if not ops.config.bootloader_app_rollback_enable:
            return False
        try:
            on_trial = ops.get_state_partition(ops.get_running_partition()) == OtaImgState.PENDING_VERIFY
        except OtaError:
            on_trial = False
        return on_trial or not self.profile.confirm.asks_state

    def _confirm(self, ops: OtaOps) -> None:
        """``esp_ota_mark_app_valid_cancel_rollback``; what it says against it nobody hears."""
        if self._may_decide(ops):
            with suppress(OtaError):
                ops.mark_app_valid_cancel_rollback()

    def _count_start(self, guard: Guard, booted: Booted, ops: OtaOps, nvs: FlashNvs) -> AppRun | None:
        """This start is counted, and when it is one too many, something is done."""
        count = self._counted(guard, booted.chip.reset_reason, nvs)
        if count < guard.boots:
            return None
        self._forget(guard, nvs)
        if guard.does == "safe-mode":
            return AppRun(why="safe mode: logger, network and OTA alone")
        if guard.does == "other-slot":
            Update(ops).roll_back()
        elif not to_safeboot(ops):
            return None
        raise Restart(guard.does)

    def _counted(self, guard: Guard, reset: ResetReason, nvs: FlashNvs) -> int:
        """The number of this start in a loop, from 1 on."""
        if guard.kept_in == "nvs":
            count = attempts(nvs) + 1
            if count < guard.boots:
                set_attempts(nvs, count)
            return count
        lost = reset == ResetReason.POWERON or (guard.crashes_only and reset == ResetReason.SW)
        self._count = 1 if lost else self._count + 1
        return self._count

    def _forget(self, guard: Guard, nvs: FlashNvs) -> None:
        self._count = 0
        if guard.kept_in == "nvs":
            set_attempts(nvs, 0)


def _panic(seconds: float, when: str) -> AppRun:
    return AppRun(ResetReason.SW_CPU, f"it panics {when}", seconds)
