"""``esp-ota sweep --profile``: a project's own update, and what becomes of a bad one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from py_esp_ota.field.profiles.fates import Fate, FateDict, fates
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.field.profiles.report import fate_lines
from py_esp_ota.field.profiles.stories import story_of
from py_esp_ota.sweep import Story, SweepReport


def profile_story(name: str) -> Story:
    """The story of a profile, by the profile's name."""
    return story_of(PROFILES[name])


class SweptDict(TypedDict):
    """The key ``profile``."""

    name: str
    rollback: bool
    rollback_known: bool
    boots_nothing: int
    lands: dict[str, int]
    fates: list[FateDict]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep says of a project beyond its report. ``rollback``: how it was played."""

    profile: Profile
    report: SweepReport
    rollback: bool
    fates: tuple[Fate, ...]

    @classmethod
    def of(cls, profile: Profile, report: SweepReport, *, rollback: bool) -> Swept:
        """The fates are played here."""
        return cls(profile, report, rollback, tuple(fates(profile)))

    @property
    def lands(self) -> Counter[str]:
        """By partition, after how many of the cuts it starts; ``""``: none does."""
        endings = self.report.endings
        return Counter(endings[case.ending].partition or "" for case in self.report.cases)

    def to_dict(self) -> SweptDict:
        """As JSON-ready values."""
        lands = self.lands
        return {
            "name": self.profile.name,
            "rollback": self.rollback,
            "rollback_known": self.profile.rollback.enabled is not None,
            "boots_nothing": lands[""],
            "lands": {label: count for label, count in lands.items() if label},
            "fates": [fate.to_dict() for fate in self.fates],
        }

    def lines(self) -> Iterator[str]:
        """In words, below the report."""
        lands, profile = self.lands, self.profile
        known = "" if profile.rollback.enabled is not None else ", as its source does not say (--config says it)"
        built = f"with{'' if self.rollback else 'out'} rollback{known}"
        yield f"{profile.title}: a new app confirms itself {profile.confirm.in_short}; played {built}"
        starts = ", ".join(f"{label} {count:,}" for label, count in sorted(lands.items()) if label)
        yield f"  what starts after the cuts: {starts}"
        stuck = lands[""]
        yield (
            f"  {stuck:,} cuts leave nothing that starts"
            if stuck
            else "  no cut leaves a board on which nothing starts"
        )
        yield "  what becomes of an update that arrives whole"
        yield from (f"    {line}" for line in fate_lines(self.fates))
