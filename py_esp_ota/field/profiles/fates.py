"""What becomes of a bad update: a board that is played, start by start, until nothing changes any more.

``fates(profile)`` asks it for each flaw that an app may have. Nothing here knows an answer: the bootloader, the
project's confirmation and its guard against crash loops play it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from py_esp_ota.apps import AppRun, Booted, run_app
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.field.profiles.apps import FLAWS, FieldApp, Flaw
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.field.profiles.stories import bring, scene_of, story_of
from py_esp_ota.idf.bootloader.start import BootReport, boot, state_of
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import Scene

#: ``runs``: the new app. ``rolled-back``: the old one, by the bootloader or by the app itself. ``swapped``: the old
#: one, by the project's guard. ``safe-mode``: the new app, without most of it. ``recovery``: the app that is there for
#: it. ``loop``: the new app, for ever again. ``lost-at-reset``: it runs, and the next reset takes it back.
Outcome = Literal["runs", "rolled-back", "swapped", "safe-mode", "recovery", "loop", "lost-at-reset"]

#: More starts than any guard waits for.
STARTS = 40

FLAW_WORDS: dict[Flaw, str] = {
    "none": "nothing is wrong with it",
    "early": "it panics before the project's own code",
    "setup": "it panics in setup, one second after the start",
    "late": "it panics five minutes after each start",
    "no-network": "it runs and never reaches its network",
    "unconfirmed": "nothing is wrong with it, and its program does not confirm it",
}


class FateDict(TypedDict):
    """A fate as JSON."""

    flaw: Flaw
    rollback: bool
    outcome: Outcome
    starts: int
    partition: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Fate:
    """``rollback``: of the bootloader. ``starts`` of the new app until it was decided.

    ``partition`` runs in the end, ``state`` is its otadata state.
    """

    flaw: Flaw
    rollback: bool
    outcome: Outcome
    starts: int
    partition: str | None
    state: str

    def to_dict(self) -> FateDict:
        """As JSON-ready values."""
        return {
            "flaw": self.flaw,
            "rollback": self.rollback,
            "outcome": self.outcome,
            "starts": self.starts,
            "partition": self.partition,
            "state": self.state,
        }


def fates(profile: Profile) -> list[Fate]:
    """Each flaw, with a bootloader that can roll back and with one that cannot.

    Boards have both, as an update does not bring one; a project that builds none with rollback has the latter alone.
    """
    bootloaders = (False,) if profile.rollback.enabled is False else (True, False)
    left = profile.confirm.when == "by-the-program"
    flaws = [flaw for flaw in FLAWS if left or flaw != "unconfirmed"]
    return [fate(profile, flaw, rollback=on) for on in bootloaders for flaw in flaws]


def fate(profile: Profile, flaw: Flaw, *, rollback: bool) -> Fate:
    """What becomes of an update with this flaw on a board of this project.

    Args:
        profile: the project.
        flaw: what is wrong with the new app.
        rollback: whether the bootloader can roll back. The apps are as the project builds them, and where its source
            does not say it, as the bootloader is.
    """
    built = profile.rollback.enabled
    scene = scene_of(profile)
    scene = replace(scene, config=_with(scene.config, rollback=rollback if built is None else built))
    return _Board(profile, scene, FieldApp(profile, flaw), _with(scene.config, rollback=rollback)).play()


def _with(config: Sdkconfig, *, rollback: bool) -> Sdkconfig:
    return replace(config, bootloader_app_rollback_enable=rollback)


class _Board:
    """A board that has just taken an update."""

    def __init__(self, profile: Profile, scene: Scene, new: FieldApp, loader: Sdkconfig) -> None:
        self._loader = loader
        self._profile, self._scene, self._new, self._old = profile, scene, new, FieldApp(profile)
        life = scene.life()
        story_of(profile).prepare(life, scene)
        life.power_on()
        life.confirm()
        bring(profile, life, scene.new)
        self._chip: Chip = life.chip
        self._acted = ""

    def play(self) -> Fate:
        """Start, run, and start again."""
        reset, starts = ResetReason.SW, 0
        for _ in range(STARTS):
            report = self._start(reset)
            if not self._is_new(report):
                outcome = self._back()
                self._run(self._old, report)
                return self._fate(outcome, starts, report)
            starts += 1
            ended = self._run(self._new, report)
            if ended.reset is None:
                return self._settled(ended, starts, report)
            reset = ended.reset
        return self._fate("loop", starts, report)

    def _start(self, reset: ResetReason) -> BootReport:
        self._chip.reset_reason = reset
        return boot(self._chip, self._loader)

    def _run(self, app: FieldApp, report: BootReport) -> AppRun:
        if report.partition is None or report.app_desc is None:
            return AppRun()
        ended = run_app(app, Booted(self._chip, report.partition, report.app_desc, self._scene.config, _unheard))
        self._acted = ended.why
        return ended

    def _settled(self, ended: AppRun, starts: int, report: BootReport) -> Fate:
        """It stays; and after the next reset?"""
        if ended.why.startswith("safe mode"):
            return self._fate("safe-mode", starts, report)
        again = self._start(ResetReason.POWERON)
        if not self._is_new(again):
            return self._fate("lost-at-reset", starts, again)
        return self._fate("runs", starts, report)

    def _back(self) -> Outcome:
        guard = self._profile.guard
        if guard is not None and self._acted == guard.does:
            return "recovery" if guard.does == "recovery-app" else "swapped"
        return "rolled-back"

    def _is_new(self, report: BootReport) -> bool:
        at = report.partition
        return at is not None and self._chip.flash.mmap(at.offset, len(self._scene.new)) == self._scene.new

    def _fate(self, outcome: Outcome, starts: int, report: BootReport) -> Fate:
        at = report.partition
        state = "" if at is None else state_of(self._chip.flash, at, self._scene.config)
        on = self._loader.bootloader_app_rollback_enable
        return Fate(self._new.flaw, on, outcome, starts, None if at is None else at.label, state)


def _unheard(_line: str) -> None:
    """Nobody reads these consoles."""
