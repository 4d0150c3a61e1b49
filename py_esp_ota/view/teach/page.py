"""The page put together: its parts are files beside this one, its modules go in whole, under the names they import."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from string import Template

from py_esp_ota.packed import deflated
from py_esp_ota.sweep import Scene, Story, StoryError
from py_esp_ota.view.parts import part
from py_esp_ota.view.teach.lessons import lessons_html, states_in
from py_esp_ota.view.teach.pack import FORMAT, image_id, packed_lessons
from py_esp_ota.view.teach.wrecks import Lesson, Limits, learn

_PARTS = files(__package__).joinpath("page")
_WASM = files(__package__).joinpath("core.wasm")

#: The modules of the page, which import each other as ``teach/NAME``.
MODULES = (
    "bytes", "core", "plain", "story", "path", "film", "words", "cells", "entries", "slots", "console", "judge",
    "touch", "tasks", "main",
)  # fmt: skip


#: Of a story that stands beside another one.
_BESIDE = Limits(wrecks=60)


def core_wasm() -> bytes:
    """The core as WebAssembly, empty where it was not built."""
    if not _WASM.is_file():
        return b""
    with _WASM.open("rb") as file:
        return file.read()


def teach_page(
    story: Story,
    scene: Scene,
    *,
    beside: Sequence[Story] = (),
    limits: Limits | None = None,
    wasm: bytes | None = None,
    command: Callable[[Story], str] = lambda _: "",
) -> str:
    """The page of a story, one file that asks nobody for anything.

    Args:
        story: one of ``STORIES``, or one of your own.
        scene: with which images, table and build.
        beside: stories that a reader can change to, not as deep. One that these images cannot be told in is left out.
        limits: how many cuts one after another are booted when the page is made.
        wasm: the core for the page; the one of this installation when not given, none when empty.
        command: the ``esp-ota sweep`` of a story, which a cut is played again by; without images' names when not given.

    Raises:
        StoryError: the story does not come to its goal without a cut.
        ValueError: an image does not fit.
    """
    states: dict[str, str] = {}
    data, blob = packed_lessons(_noted(_told(story, scene, limits or Limits(), beside), states), command)
    imports = {f"teach/{name}": _module(name) for name in MODULES}
    return Template(_part("teach.html")).substitute(
        story=escape(story.name),
        text=escape(story.text),
        style=part("base.css", "sweep.css") + _part("teach.css"),
        lessons=lessons_html(states),
        imports=_script_safe(json.dumps({"imports": imports})),
        data=deflated(json.dumps(data, separators=(",", ":")).encode()),
        blob=deflated(blob),
        wasm=deflated(core_wasm() if wasm is None else wasm),
    )


def _told(story: Story, scene: Scene, limits: Limits, beside: Iterable[Story]) -> Iterator[Lesson]:
    yield learn(story, scene, limits)
    for each in beside:
        if each != story:
            with suppress(StoryError, ValueError):
                yield learn(each, scene, _BESIDE)


def _noted(lessons: Iterable[Lesson], states: dict[str, str]) -> Iterator[Lesson]:
    """The same; ``states`` gets the addresses of what they show. None is held back: each has many flashes."""
    for lesson in lessons:
        start = fragment(lesson.story.name, lesson.named.old, lesson.named.new)
        states |= states_in(lesson, start)
        yield lesson
        del lesson


def fragment(story: str, old: bytes, new: bytes, plan: str = "") -> str:
    """The address of a state in the page of a story: what stands behind the ``#``."""
    images = f"{image_id(old)}-{image_id(new)}"
    return f"v={FORMAT}&story={story}&images={images}" + (f"&replay={plan}" if plan else "")


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")


def _module(name: str) -> str:
    """A module as an address of its own."""
    return "data:text/javascript;charset=utf-8," + "".join(map(_quoted, _part(f"{name}.js")))


def _quoted(character: str) -> str:
    return (
        "".join(f"%{byte:02x}" for byte in character.encode())
        if character in '%#\n\r\t"<>&' or not character.isascii()
        else character
    )


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in, whatever its strings say."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
