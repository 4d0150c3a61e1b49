"""What is known of a project: values, each with the place in the project's source where it was read.

``None`` is a value: the source that was read does not say it. Imports nothing, as ``explain`` reads it at every start.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

#: When a new app says that it is good.
#: ``at-start``: before the program's own code; ``after-seconds``: when it has run that long; ``self-test``: when its
#: self-test is content; ``when-connected``: when its cloud has answered; ``by-the-program``: when the user's code does.
When = Literal["at-start", "after-seconds", "self-test", "when-connected", "by-the-program"]
#: What stops a crash loop: the app without most of its parts; the other OTA slot; the app in the factory partition.
Does = Literal["safe-mode", "other-slot", "recovery-app"]


_WHEN: dict[When, str] = {
    "at-start": "at start",
    "after-seconds": "after {seconds:.0f} s",
    "self-test": "after its self-test",
    "when-connected": "when connected",
    "by-the-program": "when the program does",
}
_DOES: dict[Does, str] = {
    "safe-mode": "safe mode",
    "other-slot": "the other slot",
    "recovery-app": "its recovery app",
}


class Source(NamedTuple):
    """Where a claim was read: a repository or a released package, its revision, the path, and what stands there."""

    project: str
    revision: str
    path: str
    place: str = ""

    def __str__(self) -> str:
        """``project path@revision (place)``."""
        return f"{self.project} {self.path}@{self.revision[:12]}" + (f" ({self.place})" if self.place else "")


class Claim(NamedTuple):
    """A sentence and where it was read."""

    text: str
    source: Source


class Confirm(NamedTuple):
    """How a new app confirms itself. ``seconds`` after the start; ``gives_up_s``: then it rejects itself instead.

    ``asks_state``: only in PENDING_VERIFY, which an app never is in above a bootloader that cannot roll back.
    """

    when: When
    seconds: float | None
    text: str
    source: Source
    asks_state: bool
    gives_up_s: float | None = None

    @property
    def in_short(self) -> str:
        """When, in a few words."""
        return _WHEN[self.when].format(seconds=self.seconds or 0)


class Rollback(NamedTuple):
    """Whether bootloader and app of the project's own build have ``BOOTLOADER_APP_ROLLBACK_ENABLE``."""

    enabled: bool | None
    text: str
    source: Source


class Guard(NamedTuple):
    """What the project itself does against a crash loop.

    ``boots``: the start at which it acts, counted from the first of the loop. ``good_after_s``: a start that lives as
    long is not counted. ``kept_in`` says what outlives: ``rtc`` memory is lost with the power. ``crashes_only``: a
    start after any other reset is not counted.
    """

    does: Does
    boots: int
    good_after_s: float
    kept_in: Literal["nvs", "rtc"]
    crashes_only: bool
    text: str
    source: Source

    @property
    def in_short(self) -> str:
        """What, and at which start."""
        return f"{_DOES[self.does]} at start {self.boots}"


class Table(NamedTuple):
    """A partition table that the project ships, as CSV."""

    name: str
    csv: str
    source: Source


class Answer(NamedTuple):
    """What the project's updater answers: number, name and text."""

    code: int
    name: str
    text: str


class Answers(NamedTuple):
    """All answers of one updater. ``what`` is what the number is: a code of ``Update.getError()``, say."""

    what: str
    source: Source
    known: tuple[Answer, ...]

    def of(self, name: str) -> Answer:
        """The answer of that name. Raises ``KeyError``."""
        for answer in self.known:
            if answer.name == name:
                return answer
        raise KeyError(name)


class Mark(NamedTuple):
    """A text in a console that only this project prints."""

    text: str
    source: Source


class Shipped(NamedTuple):
    """A real build that a package index ships, and what was seen in it. ``python``: what the wheel asks for."""

    package: str
    version: str
    path: str
    sha256: str
    seen: str
    python: str = ""


class Profile(NamedTuple):
    """Everything that is known of one project. ``habits`` are further claims about how it writes an update."""

    name: str
    title: str
    confirm: Confirm
    rollback: Rollback
    guard: Guard | None
    updater: str
    habits: tuple[Claim, ...]
    answers: Answers
    tables: tuple[Table, ...]
    marks: tuple[Mark, ...]
    shipped: tuple[Shipped, ...]

    @property
    def ota_tables(self) -> tuple[Table, ...]:
        """The tables with otadata: the others take no update over the air."""
        return tuple(table for table in self.tables if ",ota," in table.csv)
