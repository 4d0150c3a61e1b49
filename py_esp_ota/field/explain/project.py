"""Which project on top of ESP-IDF a console is of, by what only that project prints, and what is its habit."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from py_esp_ota.field.explain.cause import CONFIRM, Cause
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.field.profiles.profiles import PROFILES

#: Arduino last: other projects are built on it, and print what it prints.
_ORDER = sorted(PROFILES.values(), key=lambda profile: profile.name == "arduino")
#: What only those can follow who write the app themselves; others are told what their project does.
_FOR_ALL = CONFIRM.partition("; ")[0]


class ProjectDict(TypedDict):
    """A project, in JSON."""

    name: str
    title: str
    line: int
    mark: str
    confirms: str
    guard: str | None


class Project(NamedTuple):
    """``line`` is the first one that shows it, by ``mark``."""

    profile: Profile
    line: int
    mark: str

    @property
    def habit(self) -> str:
        """What the project does with a new app, in a sentence."""
        guard = self.profile.guard
        against = "nothing of its own" if guard is None else guard.in_short
        return f"it confirms a new app {self.profile.confirm.in_short}; against a crash loop: {against}"

    def to_dict(self) -> ProjectDict:
        """As JSON-ready values."""
        guard = self.profile.guard
        return {
            "name": self.profile.name,
            "title": self.profile.title,
            "line": self.line,
            "mark": self.mark,
            "confirms": self.profile.confirm.when,
            "guard": None if guard is None else guard.does,
        }


def project_of(data: bytes) -> Project | None:
    """The project whose text stands first in a console; ``None`` where none's does."""
    for profile in _ORDER:
        found = [(at, mark.text) for mark in profile.marks if (at := data.find(mark.text.encode())) >= 0]
        if found:
            at, mark = min(found)
            return Project(profile, 1 + data.count(b"\n", 0, at), mark)
    return None


def advised(cause: Cause, project: Project | None) -> Cause:
    """A cause that confirming in time would cure, with how this project confirms."""
    if project is None or cause.do != CONFIRM:
        return cause
    return cause._replace(do=f"{_FOR_ALL}. {project.profile.title}: {project.profile.confirm.text}.")
