"""The lessons as the page has them, folded: their words, and a link into the page where its story is theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape

from py_esp_ota.view.lessons import NAMES, lesson

#: Which cut of which story shows what a lesson says; whatever the images are.
SHOWN: Mapping[str, tuple[str, str]] = {
    "nor": ("first-ota", "cut@8:bits-program"),
    "the-life-of-a-slot": ("confirm", "cut@3"),
    "who-confirms": ("reject", "cut@0"),
}

_LINK = re.compile(r"\[([^]]+)]\([^)]+\)")  # the documentation is not in the page
_CODE = re.compile(r"`([^`]+)`")
_STRESS = re.compile(r"(?<![\w*])\*([^*]+)\*")


def lessons_html(story: str, start: str) -> str:
    """All of them. ``start`` is the address of the page's story from its start, without the ``#``."""
    return "\n".join(_lesson(name, story, start) for name in NAMES)


def _lesson(name: str, story: str, start: str) -> str:
    told = lesson(name)
    parts = [f"<details><summary>{_inline(told.title)}</summary>", *_paragraphs(told.lead)]
    for heading, text in told.sections.items():
        parts += [f"<h3>{_inline(heading)}</h3>", *_paragraphs(text)]
    where, plan = SHOWN.get(name, ("", ""))
    if where == story:
        parts.append(
            f'<p><a href="#{escape(start)}&amp;replay={escape(plan)}">See it in this page: {escape(plan)}</a></p>'
        )
    return "\n".join([*parts, "</details>"])


def _paragraphs(markdown: str) -> Iterator[str]:
    for paragraph in markdown.split("\n\n"):
        yield f"<p>{_inline(paragraph)}</p>"


def _inline(markdown: str) -> str:
    text = escape(_LINK.sub(r"\1", markdown), quote=False)
    return _CODE.sub(r"<code>\1</code>", _STRESS.sub(r"<em>\1</em>", text))
