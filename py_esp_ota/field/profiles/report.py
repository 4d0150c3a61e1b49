"""A profile as JSON and as lines of text, each claim with its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

from py_esp_ota.field.profiles.fates import FLAW_WORDS, Fate, FateDict, Outcome
from py_esp_ota.field.profiles.profile import Does, Profile, Source, When


class SourceDict(TypedDict):
    """Where a claim was read."""

    project: str
    revision: str
    path: str
    place: str


class ClaimDict(TypedDict):
    """A sentence, or a text that a console shows, and its source."""

    text: str
    source: SourceDict


class ConfirmDict(ClaimDict):
    """How a new app confirms itself."""

    when: When
    seconds: float | None
    asks_state: bool
    gives_up_s: float | None


class RollbackDict(ClaimDict):
    """Whether the project's build can roll back; ``None``: its source does not say."""

    enabled: bool | None


class GuardDict(ClaimDict):
    """What the project does against a crash loop."""

    does: Does
    boots: int
    good_after_s: float
    kept_in: str
    crashes_only: bool


class AnswerDict(TypedDict):
    """One answer of the project's updater."""

    code: int
    name: str
    text: str


class AnswersDict(TypedDict):
    """All its answers."""

    what: str
    source: SourceDict
    known: list[AnswerDict]


class TableDict(TypedDict):
    """A partition table."""

    table: str
    csv: str
    source: SourceDict


class ShippedDict(TypedDict):
    """A real build in a package index."""

    package: str
    version: str
    file: str
    sha256: str
    seen: str


class ProfileDict(TypedDict):
    """One profile, in JSON."""

    name: str
    title: str
    confirm: ConfirmDict
    rollback: RollbackDict
    guard: GuardDict | None
    habits: list[ClaimDict]
    answers: AnswersDict
    tables: list[TableDict]
    marks: list[ClaimDict]
    shipped: list[ShippedDict]
    fates: list[FateDict]


def to_dict(profile: Profile, fates: Sequence[Fate]) -> ProfileDict:
    """Everything that is known of it, and what becomes of its bad updates."""
    confirm, rollback, guard = profile.confirm, profile.rollback, profile.guard
    return {
        "name": profile.name,
        "title": profile.title,
        "confirm": {
            "when": confirm.when,
            "seconds": confirm.seconds,
            "asks_state": confirm.asks_state,
            "gives_up_s": confirm.gives_up_s,
            "text": confirm.text,
            "source": _source(confirm.source),
        },
        "rollback": {"enabled": rollback.enabled, "text": rollback.text, "source": _source(rollback.source)},
        "guard": None
        if guard is None
        else {
            "does": guard.does,
            "boots": guard.boots,
            "good_after_s": guard.good_after_s,
            "kept_in": guard.kept_in,
            "crashes_only": guard.crashes_only,
            "text": guard.text,
            "source": _source(guard.source),
        },
        "habits": [{"text": claim.text, "source": _source(claim.source)} for claim in profile.habits],
        "answers": {
            "what": profile.answers.what,
            "source": _source(profile.answers.source),
            "known": [{"code": one.code, "name": one.name, "text": one.text} for one in profile.answers.known],
        },
        "tables": [{"table": one.name, "csv": one.csv, "source": _source(one.source)} for one in profile.tables],
        "marks": [{"text": mark.text, "source": _source(mark.source)} for mark in profile.marks],
        "shipped": [
            {"package": one.package, "version": one.version, "file": one.path, "sha256": one.sha256, "seen": one.seen}
            for one in profile.shipped
        ],
        "fates": [fate.to_dict() for fate in fates],
    }


def _source(source: Source) -> SourceDict:
    return {
        "project": source.project,
        "revision": source.revision,
        "path": source.path,
        "place": source.place,
    }


# ---------------------------------------------------------------------------------------------------------------- lines

_ENABLED = {True: "yes", False: "no", None: "not known"}
OUTCOME_WORDS: dict[Outcome, str] = {
    "runs": "runs",
    "rolled-back": "rolled back",
    "swapped": "the project goes back to the other slot",
    "safe-mode": "ends in safe mode",
    "recovery": "ends in the recovery app",
    "loop": "starts again for ever: nothing takes it back",
    "lost-at-reset": "runs, and the next reset rolls it back",
}


def overview(profiles: Sequence[Profile]) -> Iterator[str]:
    """One line for each."""
    rows = [("Profile", "Confirms", "Rollback", "Against a crash loop"), *map(_row, profiles)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()


def _row(profile: Profile) -> tuple[str, str, str, str]:
    guard = profile.guard
    against = "nothing" if guard is None else guard.in_short
    return profile.name, profile.confirm.in_short, _ENABLED[profile.rollback.enabled], against


def in_full(profile: Profile, fates: Sequence[Fate]) -> Iterator[str]:
    """All claims with their sources, and the fates."""
    yield f"{profile.title} ({profile.name})"
    yield from _claim(f"Confirms {profile.confirm.in_short}", profile.confirm.text, profile.confirm.source)
    rollback = profile.rollback
    yield from _claim(f"Rollback in its build: {_ENABLED[rollback.enabled]}", rollback.text, rollback.source)
    guard = profile.guard
    if guard is None:
        yield from ("", "Against a crash loop: nothing of its own")
    else:
        yield from _claim(f"Against a crash loop: {guard.in_short}", guard.text, guard.source)
    yield from ("", "Its updater")
    for habit in profile.habits:
        yield f"  {habit.text}"
        yield f"    {habit.source}"
    yield from ("", f"Its answers: {profile.answers.what}", f"    {profile.answers.source}")
    yield from (f"  {_number(one.code):>4}  {one.name}: {one.text}" for one in profile.answers.known)
    yield from ("", "Its partition tables")
    yield from (f"  {table.name}: {table.source}" for table in profile.tables)
    yield from ("", "Seen in a console")
    yield from (f"  {mark.text}" for mark in profile.marks)
    if profile.shipped:
        yield from ("", "A real build of it")
        yield from (f"  {one.package} {one.version}, {one.path}: {one.seen}" for one in profile.shipped)
    yield from ("", "What becomes of an update, played")
    yield from (f"  {line}" for line in fate_lines(fates))


def fate_lines(fates: Sequence[Fate]) -> Iterator[str]:
    """What becomes of an update with each flaw, bootloader by bootloader."""
    said: bool | None = None
    for fate in fates:
        if fate.rollback != said:
            said = fate.rollback
            yield f"with a bootloader that {'can' if said else 'cannot'} roll back"
        starts = f" after {fate.starts} starts" if fate.starts > 1 and fate.outcome != "loop" else ""
        at = f" ({fate.partition} runs)" if fate.partition and fate.outcome != "loop" else ""
        yield f"  {FLAW_WORDS[fate.flaw]}: {OUTCOME_WORDS[fate.outcome]}{starts}{at}"


def _claim(head: str, text: str, source: Source) -> Iterator[str]:
    yield from ("", head, f"  {text}", f"    {source}")


def _number(code: int) -> str:
    return str(code) if code < 0x80 else f"0x{code:x}"
