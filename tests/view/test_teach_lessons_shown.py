"""The eight lessons at the foot of "Pull the plug": their words, and links into the story that is on the page."""

from __future__ import annotations

import re
from html import unescape

import pytest
from pages import ROOT

from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene, sweep
from py_esp_ota.view.lessons import NAMES, file_name, lesson
from py_esp_ota.view.teach import Limits, fragment, teach_page
from py_esp_ota.view.teach.lessons import SHOWN, lessons_html

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


def test_each_lesson_is_there_with_all_its_sections():
    text = lessons_html("confirm", "v=1")
    assert re.findall(r"<summary>(.*)</summary>", text) == [lesson(name).title for name in NAMES]
    assert re.findall(r"<h3>(.*)</h3>", text) == [heading for name in NAMES for heading in lesson(name).sections]
    assert not re.search(r"`|\*|\]\(", text)


@pytest.mark.parametrize("name", SHOWN)
def test_a_lesson_leads_into_its_own_story_and_no_other(name):
    story, plan = SHOWN[name]
    start = fragment(story, OLD, NEW)
    page = teach_page(STORIES[story], Scene(OLD, NEW), limits=Limits(depth=1), wasm=b"")
    links = re.findall(r'<a href="#(v=1[^"]*)">See it', page)
    assert [unescape(link) for link in links] == [f"{start}&replay={plan}"]
    assert plan in {case.plan for case in sweep(STORIES[story], Scene(OLD, NEW)).cases}
    assert f"#{start}&replay={plan}\n" in (ROOT / "docs/lessons" / file_name(name)).read_text()


def test_what_stands_in_a_lesson_is_text():
    assert "<em>other</em>" in lessons_html("", "")
    assert "<code>ota_N</code>" in lessons_html("", "")
