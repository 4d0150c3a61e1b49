"""A console log explained: what it says, how each boot was decided, and the likely causes in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from py_esp_ota.field.explain.cause import Cause
from py_esp_ota.field.explain.causes import causes_of
from py_esp_ota.field.explain.course import Step, course_of, resets
from py_esp_ota.field.explain.facts import Fact, Story, TableRow, story_of
from py_esp_ota.field.explain.formats import Value
from py_esp_ota.field.explain.project import Project, ProjectDict, advised, project_of
from py_esp_ota.field.explain.reader import rows_of

_LOOP = 3


class LineDict(TypedDict):
    """A line that shows something, and its number."""

    line: int
    text: str


class FactDict(TypedDict):
    """One thing that a line says."""

    kind: str
    by: str
    line: int
    text: str
    values: dict[str, Value]


class ResetDict(TypedDict):
    """ROM's reason of a reset."""

    code: int | None
    name: str
    cause: str
    line: int


class BootDict(TypedDict):
    """One boot."""

    decision: str
    turn: str
    partition: str | None
    offset: int | None
    reset: ResetDict | None
    shown: list[LineDict]
    facts: list[FactDict]


class RowDict(TypedDict):
    """One row of the partition table."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int
    line: int


class SlotDict(TypedDict):
    """What became of one app partition: ``seen`` started or refused, ``state`` where the course of boots tells it."""

    name: str
    offset: int
    seen: str
    state: str | None


class CauseDict(TypedDict):
    """One cause."""

    name: str
    level: str
    what: str
    by: str
    do: str
    shown: list[LineDict]


class ExplanationDict(TypedDict):
    """The JSON of ``esp-ota explain --json``."""

    lines: int
    chip: str | None
    bootloader_idf: str | None
    app_idf: str | None
    app_version: str | None
    table: list[RowDict]
    slots: list[SlotDict]
    boots: list[BootDict]
    resets: dict[str, int]
    loop: bool
    causes: list[CauseDict]
    project: ProjectDict | None


class Explanation(NamedTuple):
    """Everything there is to say about a log."""

    story: Story
    steps: tuple[Step, ...]
    causes: tuple[Cause, ...]
    project: Project | None = None

    @property
    def cause(self) -> Cause | None:
        """The likeliest."""
        return self.causes[0] if self.causes else None

    @property
    def faulty(self) -> bool:
        """Whether any cause is a fault."""
        return any(cause.level == "fault" for cause in self.causes)

    @property
    def is_console(self) -> bool:
        """Whether any line is one of a ROM, a bootloader, or an app that starts, ends or is updated."""
        return any(True for _ in self.story.facts) or bool(self.story.table)

    @property
    def loop(self) -> bool:
        """Whether the last boots all ended alike, and no app lasted."""
        last = [(step.decision, step.offset, step.boot.cause) for step in self.steps[-_LOOP:]]
        return len(last) == _LOOP and len(set(last[1:])) == 1 and last[0][:2] == last[1][:2] and self.faulty

    @property
    def slots(self) -> list[SlotDict]:
        """What became of each app partition."""
        return [_slot(row, self.steps) for row in self.story.table if row.is_app]

    def to_dict(self) -> ExplanationDict:
        """The explanation as JSON-ready values."""
        story = self.story
        return {
            "lines": story.lines,
            "chip": story.chip,
            "bootloader_idf": story.version,
            "app_idf": story.app_idf,
            "app_version": story.app_version,
            "table": [_row(row) for row in story.table],
            "slots": self.slots,
            "boots": [_boot(step) for step in self.steps],
            "resets": resets(self.steps),
            "loop": self.loop,
            "causes": [_cause(cause) for cause in self.causes],
            "project": None if self.project is None else self.project.to_dict(),
        }


def explain(data: bytes) -> Explanation:
    """Explain a console log; any bytes will do. What is no console gives no causes."""
    story = story_of(rows_of(data))
    steps = course_of(story)
    project = project_of(data)
    return Explanation(story, steps, tuple(advised(cause, project) for cause in causes_of(story, steps)), project)


def _slot(row: TableRow, steps: Sequence[Step]) -> SlotDict:
    seen, state = "", None
    for number, step in enumerate(steps):
        if step.offset == row.offset:
            seen = "started"
            state = None
        elif any(_names(fact, row) for fact in step.boot.all("not_bootable")):
            seen = "refused"
        before = steps[number - 1] if number else None
        if before is not None and before.offset == row.offset and step.turn in {"rolled-back", "rejected"}:
            state = "ABORTED" if step.turn == "rolled-back" else "INVALID"
    return {"name": row.label, "offset": row.offset, "seen": seen, "state": state}


def _names(fact: Fact, row: TableRow) -> bool:
    slot = fact.number("slot")
    return slot == row.ota_slot if slot is not None else "Factory app" in fact.text and row.subtype == 0


def _row(row: TableRow) -> RowDict:
    return {
        "name": row.label,
        "type": row.type,
        "subtype": row.subtype,
        "offset": row.offset,
        "size": row.size,
        "line": row.line,
    }


def _boot(step: Step) -> BootDict:
    reset = step.boot.reset
    return {
        "decision": step.decision,
        "turn": step.turn,
        "partition": step.row.label if step.row else None,
        "offset": step.offset,
        "reset": None
        if reset is None
        else {
            "code": reset.number("code"),
            "name": reset.word("name"),
            "cause": step.boot.cause,
            "line": reset.line,
        },
        "shown": [_line(fact) for fact in step.shown],
        "facts": [_fact(fact) for fact in step.boot.facts],
    }


def _fact(fact: Fact) -> FactDict:
    return {"kind": fact.kind, "by": fact.by, "line": fact.line, "text": fact.text, "values": dict(fact.values)}


def _line(fact: Fact) -> LineDict:
    return {"line": fact.line, "text": fact.text}


def _cause(cause: Cause) -> CauseDict:
    return {
        "name": cause.name,
        "level": cause.level,
        "what": cause.what,
        "by": cause.by,
        "do": cause.do,
        "shown": [_line(fact) for fact in cause.shown],
    }
