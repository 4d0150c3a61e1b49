"""The page says which promises and marks there are, as the code has them."""

from __future__ import annotations

import json
import re

from py_esp_ota.hunt import MARKS, PROMISES
from py_esp_ota.hunt.marks import MEANS
from tools.hunt_page import PAGE, counted, page, said


def test_the_page_is_the_code():
    text = PAGE.read_text()
    reached, worlds = said(text)
    assert page(reached, worlds) == text
    assert [mark for mark in MARKS if not re.fullmatch(r"1 in [\d,]+", reached.get(mark, ""))] == []
    assert int(worlds.replace(",", "")) >= 5000


def test_every_promise_says_when_and_why():
    assert [promise.name for promise in PROMISES if not promise.asked or not promise.rule] == []
    assert list(MEANS) == sorted(MEANS)


def test_how_often_is_counted_over_reports(tmp_path):
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for path, number in zip(paths, (1, 3), strict=True):
        path.write_text(json.dumps({"worlds": 5000, "marks": {"cut": number}}))
    assert counted(paths) == ({"cut": "1 in 2,500"}, "10,000")
    reached, worlds = said(page(*counted(paths)))
    assert ({mark: number for mark, number in reached.items() if number}, worlds) == ({"cut": "1 in 2,500"}, "10,000")
