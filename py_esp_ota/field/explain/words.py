"""An explanation in lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from py_esp_ota.field.explain.course import Step, resets
from py_esp_ota.field.explain.explain import Explanation

_DECIDED = {
    "chosen": "otadata chose {to}",
    "defaulting": "no app was chosen: the factory app {to}",
    "no-factory": "no app was chosen: the first slot, {to}",
    "initial": "otadata is blank: {to}",
    "otadata-damaged": "otadata is damaged: {to}",
    "fallback": "what was chosen does not load: {to}",
    "test-app": "nothing else loads: the test app, {to}",
    "test-pin": "the test pin is held: {to}",
    "fast-boot": "woken, not verified: {to}",
    "nothing": "no app loads, the chip resets",
    "table": "the partition table is refused, the chip resets",
    "refused": "nothing is started",
    "rom": "ROM starts no bootloader",
    "cut": "the bootloader begins, and no app is seen",
    "unseen": "the bootloader says nothing",
    "running": "no boot is in these lines, an app is at work",
}
_TURNED = {
    "updated": ", another slot than before: the app chose it",
    "rolled-back": ", back from another slot: rolled back",
    "rejected": ", back from another slot: the app rejected itself",
}
_MOST_BOOTS = 12


def lines_of(name: str, found: Explanation) -> list[str]:
    """What ``esp-ota explain`` prints: what the log is of, its boots, its causes."""
    return [*_head(name, found), "", *_boots(found), "", *_causes(found)]


def _head(name: str, found: Explanation) -> Iterator[str]:
    story = found.story
    boots = len(found.steps)
    yield f"{name}: {story.lines} lines, {boots} boot{'s' * (boots != 1)}"
    yield f"  chip {story.chip or 'unknown'}, bootloader of ESP-IDF {story.version or 'unknown'}" + (
        f", app {story.app_version or 'unknown'} of ESP-IDF {story.app_idf}" if story.app_idf else ""
    )
    if found.project is not None:
        yield f"  line {found.project.line} is {found.project.profile.title}'s: {found.project.habit}"
    for slot in found.slots:
        seen = f", {slot['seen']}" if slot["seen"] else ""
        state = f", {slot['state']}" if slot["state"] else ""
        yield f"  {slot['name']} at 0x{slot['offset']:x}{seen}{state}"
    counted = resets(found.steps)
    if counted:
        yield "  resets: " + ", ".join(f"{cause} {times}" for cause, times in counted.items())


def _boots(found: Explanation) -> Iterator[str]:
    steps = found.steps
    for step in steps[:_MOST_BOOTS]:
        yield _boot(step)
    if len(steps) > _MOST_BOOTS:
        yield f"  and {len(steps) - _MOST_BOOTS} more"
    if found.loop:
        yield "  It goes on like this: a boot loop."


def _boot(step: Step) -> str:
    first = step.boot.facts[0].line if step.boot.facts else step.boot.table[0].line
    to = step.row.label if step.row else f"0x{step.offset:x}" if step.offset is not None else "?"
    reset = f"{step.boot.cause} reset, " if step.boot.cause else ""
    how = _DECIDED[step.decision].format(to=to) + _TURNED.get(step.turn, "")
    return f"  boot {step.boot.number}, line {first}: {reset}{how}"


def _causes(found: Explanation) -> Iterator[str]:
    if not found.causes:
        yield "No cause is seen in these lines."
    for number, cause in enumerate(found.causes, 1):
        yield f"{number}. {cause.name}: {cause.what}"
        yield f"   decided by {cause.by}"
        for fact in cause.shown:
            yield f"   line {fact.line}: {fact.text}"
        yield f"   {'do' if cause.level == 'fault' else 'note'}: {cause.do}"
