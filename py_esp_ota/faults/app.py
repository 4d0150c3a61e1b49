"""Faults of the app: a self-test that fails in one of its ways, and an app that panics again and again."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import Restart
from py_esp_ota.faults.grammar import Plan, parse_own
from py_esp_ota.rainmaker.ota import DiagState, DiagStatus

Diagnostics = Callable[[AppDesc, DiagState], DiagStatus | bool]
_Build = tuple[bytes, bytes, bytes]


class FaultyApp:
    """The self-test and the crashes of a device's apps; ``ota_diag`` and ``crashes`` are what ``Device`` asks for.

    The app that runs when the plan is armed is the old one and never crashes; without one, the first that boots is.

    Args:
        ota_diag: the self-test that is honest; none succeeds.
        plan: what goes wrong; see the package.

    Raises:
        ValueError: the plan does not parse, or is about something else than the app.
    """

    def __init__(self, ota_diag: Diagnostics | None = None, plan: str | Plan = "") -> None:
        self._ota_diag = ota_diag
        self.arm(plan)

    def arm(self, plan: str | Plan, running: AppDesc | None = None) -> None:
        """Follow this plan from now on. Raises ``ValueError`` as the constructor."""
        self.plan = parse_own(plan, "app")
        self._faults = self.plan.of("app")
        self._old = None if running is None else _build(running)
        self._crashed = 0

    def ota_diag(self, app: AppDesc, state: DiagState) -> DiagStatus | bool:
        """The self-test of the first boot after an update.

        Raises:
            Restart: it raises instead of answering; on the chip that is ``abort()``, and a reset.
        """
        for fault in self._faults:
            if fault.word == "app-silent" and state is DiagState.POST_MQTT:
                return DiagStatus.PENDING
            if state is not (DiagState.POST_MQTT if "mqtt" in fault.args else DiagState.INIT):
                continue
            if fault.word == "app-no":
                return DiagStatus.FAIL
            if fault.word == "app-raises":
                raise Restart("abort() in the self-test, as planned")
        return DiagStatus.SUCCESS if self._ota_diag is None else self._ota_diag(app, state)

    def crashes(self, app: AppDesc) -> float | None:
        """After how many seconds this boot of ``app`` panics: 0 before it has done anything, ``None`` not at all."""
        crash = next((fault for fault in self._faults if fault.word == "app-crash"), None)
        if crash is None:
            return None
        if self._old is None:
            self._old = _build(app)
        if _build(app) == self._old or (crash.times is not None and self._crashed >= crash.times):
            return None
        self._crashed += 1
        return crash.at


def _build(app: AppDesc) -> _Build:
    return app.project_name_bytes, app.version_bytes, app.app_elf_sha256
