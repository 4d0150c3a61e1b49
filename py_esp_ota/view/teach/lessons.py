"""The lessons as the page has them, folded: their words, a link to the state that shows them, and a task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import escape

from py_esp_ota.view.lessons import NAMES, lesson
from py_esp_ota.view.teach.tasks import TASKS
from py_esp_ota.view.teach.wrecks import Lesson

_OTADATA = (1, 0)


#: A state in a story: the rest of its address, behind that of the story's start.
Place = Callable[[Lesson], str]


def _replay(plan: str) -> Place:
    return lambda _: f"&replay={plan}"


def _start(_: Lesson) -> str:
    return ""


def _first_attempt(lesson: Lesson) -> str:
    """Where the app is told that what it wrote is no image."""
    refused = next((line.at for line in lesson.first.telling.lines if line.text.startswith("E (")), 0)
    return f"&at={refused}"


def _switch(lesson: Lesson) -> str:
    """The program that chooses the new slot, cut before its CRC."""
    (otadata,) = [row.offset for row in lesson.table if (row.type, row.subtype) == _OTADATA]
    operations = lesson.first.telling.run.operations
    chosen = next(each.index for each in operations if each.kind == "program" and each.address == otadata)
    return f"&replay=cut@{chosen}:torn-program/28"


def _before_the_fuse(lesson: Lesson) -> str:
    """The app has confirmed itself, and the fuse is not burnt yet."""
    return f"&replay=cut@{len(lesson.first.telling.run.operations) - 1}:after"


def _on_trial(lesson: Lesson) -> str:
    """A plug in the trial boot of an agent's update, and what the agent tells then."""
    booted = lesson.first.telling.boots[-1].end
    return f"&replay=cut@{booted}&then=story"


#: In which story the state stands that a lesson speaks of, and which one; whatever the images are.
SHOWN: Mapping[str, tuple[str, Place]] = {
    "nor": ("first-ota", _replay("cut@8:bits-program")),
    "image": ("bad-download", _first_attempt),
    "partition-table": ("first-ota", _start),
    "otadata": ("first-ota", _switch),
    "the-life-of-a-slot": ("confirm", _replay("cut@3")),
    "who-confirms": ("reject", _replay("cut@0")),
    "anti-rollback": ("anti-rollback", _before_the_fuse),
    "the-whole-job": ("agent-job", _on_trial),
}

#: The stories of the lessons, by name.
STORIES = tuple(dict.fromkeys(story for story, _ in SHOWN.values()))

_LINK = re.compile(r"\[([^]]+)]\([^)]+\)")  # the documentation is not in the page
_CODE = re.compile(r"`([^`]+)`")
_STRESS = re.compile(r"(?<![\w*])\*([^*]+)\*")


def states_in(told: Lesson, start: str) -> dict[str, str]:
    """The lessons that a story shows, and at which address; ``start`` is that of the story's start."""
    return {name: start + place(told) for name, (story, place) in SHOWN.items() if story == told.story.name}


def lessons_html(states: Mapping[str, str]) -> str:
    """All of them. ``states`` are the addresses of those that the page can show."""
    return "\n".join(_lesson(name, states.get(name)) for name in NAMES)


def _lesson(name: str, state: str | None) -> str:
    told = lesson(name)
    parts = [f'<details id="lesson-{name}"><summary>{_inline(told.title)}</summary>', *_paragraphs(told.lead)]
    for heading, text in told.sections.items():
        parts += [f"<h3>{_inline(heading)}</h3>", *_paragraphs(text)]
    if state is not None:
        parts += _task(name, state)
    return "\n".join([*parts, "</details>"])


def _task(name: str, state: str) -> Iterator[str]:
    task = TASKS[name]
    yield f'<h3>See it</h3>\n<p>{_inline(task.look)} <a href="#{escape(state)}">See it in this page</a></p>'
    yield f"<h3>{escape(task.title)}</h3>\n<p>{_inline(task.text)}</p>"
    if task.asks:
        yield f'<p><label for="answer-{name}">{escape(task.asks)}</label></p>'
        yield f'<textarea id="answer-{name}" rows="6" spellcheck="false">{escape(task.given)}</textarea>'
    yield f'<p class="task" data-task="{name}" data-within="{task.within}" role="status">Not yet.</p>'


def _paragraphs(markdown: str) -> Iterator[str]:
    for paragraph in markdown.split("\n\n"):
        yield f"<p>{_inline(paragraph)}</p>"


def _inline(markdown: str) -> str:
    text = escape(_LINK.sub(r"\1", markdown), quote=False)
    return _CODE.sub(r"<code>\1</code>", _STRESS.sub(r"<em>\1</em>", text))
