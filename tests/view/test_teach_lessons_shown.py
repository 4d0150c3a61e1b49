"""The eight lessons at the foot of "Pull the plug": their words, and links into the stories that are on the page."""

from __future__ import annotations

import re

import pytest
from pages import ROOT

from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene
from py_esp_ota.view.lessons import NAMES, file_name, lesson
from py_esp_ota.view.teach import LESSONS, Limits, fragment, teach_page
from py_esp_ota.view.teach.lessons import SHOWN, lessons_html, states_in
from py_esp_ota.view.teach.tasks import TASKS
from py_esp_ota.view.teach.wrecks import Lesson, learn

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
SCENE = Scene(OLD, NEW)


@pytest.fixture(scope="module")
def learned() -> dict[str, Lesson]:
    return {name: learn(STORIES[name], SCENE, Limits(depth=1)) for name in LESSONS}


def test_each_lesson_is_there_with_all_its_sections_its_state_and_a_task(learned):
    text = lessons_html({key: state for name in LESSONS for key, state in states_in(learned[name], name).items()})
    assert re.findall(r"<summary>(.*)</summary>", text) == [lesson(name).title for name in NAMES]
    told = [(*lesson(name).sections, "See it", TASKS[name].title) for name in NAMES]
    assert re.findall(r"<h3>(.*)</h3>", text) == [heading for headings in told for heading in headings]
    assert re.findall(r'data-task="([\w-]+)"', text) == list(NAMES)
    assert not re.search(r"`|\*|\]\(", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_and_the_documentation_lead_to_the_same_state(learned, name):
    story, _ = SHOWN[name]
    start = fragment(story, OLD, NEW)
    plan = re.search(r"&replay=([^&]*)", states_in(learned[story], start)[name])
    page = (ROOT / "docs/lessons" / file_name(name)).read_text()
    told = re.findall(r"page\.html#(v=1&story=\S+)", page)
    assert told == ([f"{start}&replay={plan[1]}"] if plan else [])


def test_what_stands_in_a_lesson_is_text():
    assert "<em>other</em>" in lessons_html({})
    assert "<code>ota_N</code>" in lessons_html({})


def test_lessons_that_the_page_has_not_have_no_link():
    text = teach_page(STORIES["reject"], Scene(OLD, NEW), wasm=b"")
    assert re.findall(r'<details id="lesson-([\w-]+)">(?:(?!</details>).)*See it in this page', text, re.DOTALL) == [
        "who-confirms"
    ]


def test_images_that_a_story_of_the_lessons_cannot_be_told_with_leave_it_out():
    other = Firmware("toaster", "1.1.0").to_bytes()
    text = teach_page(STORIES["reject"], Scene(OLD, other), beside=[STORIES["agent-job"], STORIES["confirm"]], wasm=b"")
    assert re.findall(r"story=([\w-]+)&amp;", text) == ["confirm", "reject"]
