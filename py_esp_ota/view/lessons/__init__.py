"""What the lessons say, once: ``docs/lessons`` shows it between things to try, ``demo --step`` after what was done.

A lesson is a Markdown file beside this one: a heading, what it is about, and a few sections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

#: In the order in which they build on each other. The files are numbered so.
NAMES = (
    "nor", "image", "partition-table", "otadata", "the-life-of-a-slot", "who-confirms", "anti-rollback",
    "the-whole-job",
)  # fmt: skip

_HERE = files(__package__)
_LINK = re.compile(r"\[([^]]+)]\([^)]+\)")
_MARKS = re.compile(r"[`*]")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson: its title, what it is about, and its sections by heading; all of it Markdown."""

    title: str
    lead: str
    sections: dict[str, str]


def file_name(name: str) -> str:
    """How the file of a lesson is called, here and in ``docs/lessons``."""
    return f"{NAMES.index(name) + 1}-{name}.md"


def lesson(name: str) -> Lesson:
    """One of ``NAMES``. Raises ``ValueError`` for another name."""
    text = _HERE.joinpath(file_name(name)).read_text(encoding="utf-8")
    first, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    title, lead = _parted(first.removeprefix("# "))
    return Lesson(title, lead, dict(map(_parted, sections)))


def plain(markdown: str) -> str:
    """Text as a terminal shows it: paragraphs in one line each, no marks."""
    paragraphs = _LINK.sub(r"\1", markdown).split("\n\n")
    return "\n".join(_MARKS.sub("", paragraph).replace("\n", " ") for paragraph in paragraphs)


def _parted(section: str) -> tuple[str, str]:
    """A heading and what stands below it."""
    heading, _, body = section.partition("\n")
    return heading, body.strip()
