"""Faults of looking at images: one look that answers OK whatever it sees, and an image swapped behind its back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from py_esp_ota._core import Flash, Partition, Verdict
from py_esp_ota.chip import Judge
from py_esp_ota.faults.grammar import Plan, parse_own

_SECTOR = 0x1000


class FaultyJudge:
    """``Judge`` over another one: counts the looks of a chip's software at images, and spoils those of the plan.

    Every verification counts, of app and bootloader alike; following an image without judging it
    (``esp_image_get_metadata``) does not.

    Args:
        judge: the judge who sees all.
        slots: the app partitions, for ``swap``: the next one after the judged one, the first after the last.
        plan: what goes wrong; see the package.

    Raises:
        ValueError: the plan does not parse, or is about something else.
    """

    def __init__(self, judge: Judge, slots: Sequence[Partition] = (), plan: str | Plan = "") -> None:
        self._judge = judge
        self._slots = slots
        self.arm(plan)

    def arm(self, plan: str | Plan) -> None:
        """Follow this plan and count from now on. Raises ``ValueError`` as the constructor."""
        self.plan = parse_own(plan, "judge")
        self._faults = self.plan.of("judge")
        self._looks = 0

    def __call__(self, flash: Flash, offset: int, size: int, **how: Any) -> Verdict:
        """``verify_image``, as planned. Raises ``PowerLoss``: also when it goes while an image is swapped."""
        if how.get("mode") == "metadata" or not self._faults:
            return self._judge(flash, offset, size, **how)
        look, self._looks = self._looks, self._looks + 1
        self._swap(flash, offset, size, look, before=True)
        verdict = self._judge(flash, offset, size, **(_blind(how) if self._glitch(look) else how))
        self._swap(flash, offset, size, look, before=False)
        return verdict

    def _glitch(self, look: int) -> bool:
        glitches = (fault for fault in self._faults if fault.word == "glitch")
        return any(fault.at <= look < fault.at + (fault.times or 1) for fault in glitches)

    def _swap(self, flash: Flash, offset: int, size: int, look: int, *, before: bool) -> None:
        """Put what the next slot holds where the judge looks; these are operations of the flash like any other."""
        swaps = (fault for fault in self._faults if fault.word == "swap" and ("before" in fault.args) == before)
        if not any(fault.at == look for fault in swaps):
            return
        offsets = [slot.offset for slot in self._slots]
        if offset not in offsets or len(offsets) == 1:
            return  # no app slot, or there is no other
        other = self._slots[(offsets.index(offset) + 1) % len(offsets)]
        length = min(size, other.size) & -_SECTOR
        data = flash.read(other.offset, length)
        flash.erase(offset, length)
        flash.program(offset, data)


def _blind(how: dict[str, Any]) -> dict[str, Any]:
    """The same look without comparing anything: the image is followed, and its sums and signatures are believed."""
    mode = "load_no_validate" if how.get("build") == "bootloader" and how.get("mode") == "load" else "metadata"
    return {**how, "mode": mode}
