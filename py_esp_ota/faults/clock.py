"""Faults of the clock: a wall clock that was never set, or that jumps. Timers are no part of it and go on."""

from __future__ import annotations

from py_esp_ota.faults.grammar import Plan, parse_own
from py_esp_ota.ports import Clock


class FaultyClock:
    """``Clock`` over another one, wrong as planned.

    Args:
        clock: the clock that is right.
        plan: what is wrong; see the package.

    Raises:
        ValueError: the plan does not parse, or is about something else than the clock.
    """

    def __init__(self, clock: Clock, plan: str | Plan = "") -> None:
        self._clock = clock
        self.arm(plan)

    def arm(self, plan: str | Plan) -> None:
        """Follow this plan; its seconds count from now. Raises ``ValueError`` as the constructor."""
        self.plan = parse_own(plan, "clock")
        self._faults = self.plan.of("clock")
        self._armed = self._clock.now() if self._faults else 0.0

    def now(self) -> float:
        """Seconds since 1970; since the plan was armed, while the clock is not set."""
        now = self._clock.now()
        passed = now - self._armed
        for fault in self._faults:
            if fault.word == "clock-unset" and (not fault.args or passed < fault.at):
                return passed
        jumps = (fault for fault in self._faults if fault.word == "clock-jump" and passed >= fault.at)
        return now + sum(fault.number(1) for fault in jumps)
