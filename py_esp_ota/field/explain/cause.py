"""What a rule is, and what it makes: a cause with the lines that show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from py_esp_ota.field.explain.course import Step
from py_esp_ota.field.explain.facts import Fact, Story

#: ``fault``: this is in the way, or was. ``note``: how it is, and nothing is wrong with that.
Level = Literal["fault", "note"]


class Cause(NamedTuple):
    """One likely cause.

    ``what`` is a sentence, ``by`` the upstream function that refuses or decides, ``shown`` the lines that show it,
    ``do`` what to do about it.
    """

    name: str
    level: Level
    what: str
    by: str
    shown: tuple[Fact, ...]
    do: str


class Known(NamedTuple):
    """What rules look at."""

    story: Story
    steps: tuple[Step, ...]


class Found(NamedTuple):
    """What a rule found: the facts that show it, and what fills the holes of its sentence."""

    shown: Sequence[Fact]
    fill: Mapping[str, object]


class Rule(NamedTuple):
    """A row of the table of causes.

    ``find`` looks for it and finds nothing, or what shows it. In ``what`` and ``do`` stand holes for what was found.
    ``by`` is the function that decides, ``""`` for the one that printed the first line. Rules stand in the order in
    which one thing brings about the other; ``rank`` is the same for those of which the first line in the log counts.
    """

    name: str
    level: Level
    find: Callable[[Known], Found | None]
    what: str
    do: str
    by: str = ""
    rank: int = 0


class _Unknown:
    """What a cut line does not say."""

    def __format__(self, spec: str) -> str:
        return "?"


class _Holes(dict[str, object]):
    def __missing__(self, name: str) -> object:
        return _Unknown()


def made(rule: Rule, found: Found) -> Cause:
    """The cause that a rule has found."""
    holes = _Holes(found.fill)
    first = found.shown[0] if found.shown else None
    by = rule.by or (first.by if first else "")
    what, do = (text.format_map(holes) for text in (rule.what, rule.do))
    shown = {fact.line: fact for fact in reversed(found.shown)}  # one line may say two things
    lines = sorted(shown, key=[fact.line for fact in found.shown].index)
    return Cause(rule.name, rule.level, what, by, tuple(shown[number] for number in lines), do)


def line(*kinds: str, app: bool | None = None) -> Callable[[Known], Found | None]:
    """A rule that finds these kinds of lines: of the app, of what runs before it, or wherever they are."""

    def find(known: Known) -> Found | None:
        shown = [fact for step in known.steps for fact in _part(step, app) if fact.kind in kinds]
        return Found(_few(shown), dict(shown[0].values)) if shown else None

    return find


def _part(step: Step, app: bool | None) -> Sequence[Fact]:
    if app is None:
        return step.boot.facts
    return step.boot.by_app if app else step.boot.by_bootloader


#: So many lines are shown of one cause: the first of them, for the rest says the same.
_SHOWN = 6


def _few(shown: Sequence[Fact]) -> list[Fact]:
    return list(shown[:_SHOWN])


_NAME = re.compile(r"\bESP_(?:ERR_\w+|FAIL)\b")
_NUMBER = re.compile(r"(?:0x|err(?:or)?[=: ]+(?:0x)?)([0-9a-fA-F]{3,8})\b")


def err_name(fact: Fact) -> str:
    """The name of the error in a line, by its number where it has no other; ``""`` when it has none."""
    found = _NAME.search(fact.text)
    if found:
        return found[0]
    number = _NUMBER.search(fact.text)
    return _names().get(int(number[1], 16), "") if number else ""


def _names() -> dict[int, str]:
    from py_esp_ota.errors import EspErr  # noqa: PLC0415 - for the few lines that have a number alone

    return {err & 0xFFFFFFFF: err.name for err in EspErr}


def named(*names: str, kinds: Sequence[str] = ()) -> Callable[[Known], Found | None]:
    """A rule that finds lines with one of these errors, of ``kinds`` alone where they are given."""

    def find(known: Known) -> Found | None:
        shown = [
            fact
            for fact in known.story.facts
            if (not kinds or fact.kind in kinds) and fact.kind in _WITH_NAMES and err_name(fact) in names
        ]
        return Found(_few(shown), {"name": err_name(shown[0])}) if shown else None

    return find


_WITH_NAMES = frozenset({
    "name", "check_failed", "ota_begin_failed", "ota_write_failed", "ota_end_failed", "ota_set_boot_failed",
    "not_connected",
})  # fmt: skip

CONFIRM = (
    "Call esp_ota_mark_app_valid_cancel_rollback() once the new app has proved itself, and before anything "
    "resets it; ESPHome waits 60 s, Arduino confirms at start."
)

SLOT = "See the lines of esp_image before it; `esp-ota image-info` says of the .bin what the chip says."

AGAIN = "Write bootloader, table and app again with `esptool write-flash`, at the offsets of this chip."
