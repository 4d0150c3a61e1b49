"""What comes of a power cut, looked at once for all cuts that cannot differ.

A look notes on which sectors it depended: those whose content was read, or programmed over, before they were erased.
Another flash with the same bytes there must come to the same end. While a story writes a slot that nobody reads, one
look stands for thousands of cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from py_esp_ota._core import EFuse, Flash, Sectors
from py_esp_ota.chip import Chip
from py_esp_ota.sweep.life import Left, Life, Past, left_on, spell
from py_esp_ota.sweep.promises import Broken, Terms, check_boot, check_end, check_settings, tell_again
from py_esp_ota.sweep.record import Run, record
from py_esp_ota.sweep.result import Ending, Outcome

#: A device that still rewrites its flash at this boot will do so for ever.
MAX_BOOTS = 8


@dataclass(frozen=True, slots=True)
class Look:
    """From this flash, with these eFuses and this past, the device came to this ending in so many boots.

    ``needed`` are the sectors that mattered.
    """

    flash: Flash
    efuse: EFuse
    past: Past
    needed: Sectors
    ending: int
    nvs_flaw: str
    boots: int

    def stands_for(self, flash: Flash, efuse: EFuse, past: Past) -> bool:
        """Whether a device in this state cannot but come to the same ending."""
        return past == self.past and efuse == self.efuse and flash.same(self.flash, self.needed)


@dataclass(slots=True)
class Looker:
    """All looks of one sweep, and the endings they came to. ``boots`` counts those really run.

    ``runs`` are the stories told again after the cuts that were looked at, by the look, when they are to be kept.
    """

    terms: Terms
    target: str
    looks: list[Look] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    boots: int = 0
    runs: dict[int, Run] = field(default_factory=dict)
    _numbers: dict[Ending, int] = field(default_factory=dict)

    def look(self, flash: Flash, efuse: EFuse, past: Past, *, keep_run: bool = False) -> Look:
        """What comes of a device without power."""
        for known in reversed(self.looks):
            if known.stands_for(flash, efuse, past):
                return known
        left = left_on(flash, self.terms.scene.config, past)
        settled, finished = self._life(flash, efuse), self._life(flash, efuse)
        outcome, broken = self._settle(settled, left)
        run, unfinished = self._finish(finished, left, keep_run=keep_run)
        broken = broken or unfinished
        boots = len(settled.boots) + len(finished.boots)
        self.boots += boots
        if broken is not None:
            outcome = "as_the_chip" if broken.as_the_chip else "violation"
        number = self._number(_ending(settled, left, outcome, broken))
        needed = settled.flash.needed() | finished.flash.needed()
        look = Look(flash, efuse, past, needed, number, left.nvs_flaw, boots)
        self.looks.append(look)
        if run is not None:
            self.runs[id(look)] = run
        return look

    def retell(self, look: Look) -> Run:
        """The story told again after the cut that was looked at, recorded."""
        life = self._life(look.flash, look.efuse)
        told: list[Broken | None] = []
        return record(life, lambda life: told.append(tell_again(life, self.terms)))

    def _number(self, ending: Ending) -> int:
        number = self._numbers.setdefault(ending, len(self.endings))
        if number == len(self.endings):
            self.endings.append(ending)
        return number

    def _life(self, flash: Flash, efuse: EFuse) -> Life:
        fork = flash.fork()
        fork.watch()
        return Life(Chip(self.target, flash=fork, efuse=efuse.copy()), self.terms.scene.config, self.terms.scene.new)

    def _settle(self, life: Life, left: Left) -> tuple[Outcome, Broken | None]:
        """Boot without an app until a boot changes nothing: which image the first boot ran, and what broke."""
        outcome: Outcome = "old"
        for number in range(MAX_BOOTS):
            before = life.flash.operations
            life.power_on()
            if number == 0 and life.runs(self.terms.scene.new):
                outcome = "new"
            broken = check_boot(life, self.terms, left) or check_settings(life, self.terms, left)
            if broken is not None:
                return outcome, broken
            if life.flash.operations == before and number > 0:
                return outcome, None
            left = left_on(life.flash, life.config, Past(left.confirmed, left.nvs_flaw))
            life.flash.power_off()
        return outcome, Broken(f"the device does not settle: boot {MAX_BOOTS} still rewrites the flash")

    def _finish(self, life: Life, left: Left, *, keep_run: bool) -> tuple[Run | None, Broken | None]:
        """Tell the story again."""
        told: list[Broken | None] = []
        run = record(life, lambda life: told.append(tell_again(life, self.terms))) if keep_run else None
        broken = told[0] if told else tell_again(life, self.terms)
        return run, broken or check_end(life, self.terms, left)


def _ending(life: Life, left: Left, outcome: Outcome, broken: Broken | None) -> Ending:
    first = life.boots[0]
    return Ending(
        outcome=outcome,
        why="" if broken is None else "; ".join(filter(None, (broken.why, broken.as_the_chip))),
        partition=first.partition.label if first.partition else None,
        version=first.app_desc.version if first.app_desc else None,
        state=first.state,
        otadata=tuple(map(spell, left.otadata)),
        log=tuple(line for report in life.boots for line in report.log),
        boots=len(life.boots),
    )
