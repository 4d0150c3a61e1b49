"""The lessons: one source of words, and an exercise sheet that is neither solved as it stands nor unsolvable."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from pages import ROOT

from py_esp_ota.view.lessons import NAMES, file_name, lesson, plain

LESSONS = ROOT / "docs/lessons"
SHEET = ROOT / "examples/lessons"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_the_package_says(name):
    page = (LESSONS / file_name(name)).read_text()
    told = lesson(name)
    assert page.startswith(f"# {told.title}\n\n{told.lead}\n\n")
    for heading, text in told.sections.items():
        assert f"\n## {heading}\n\n{text}\n" in page, heading
    shown = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert shown[: len(told.sections)] == list(told.sections)
    assert re.fullmatch(r"See it (Save|Make) it.*", " ".join(shown[len(told.sections) :]))


def test_every_page_is_listed_in_order():
    listed = re.findall(r"^\d\. .*\]\((.+?)\)$", (LESSONS / "README.md").read_text(), re.MULTILINE)
    assert listed == [file_name(name) for name in NAMES]
    site = re.findall(r"^lessons/(.+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE)
    assert sorted(f"{name}.md" for name in site) == sorted(page.name for page in LESSONS.glob("*.md"))


def test_text_for_a_terminal_has_no_marks():
    assert plain("An *other* `a_b` [see](x.md)\nline.\n\nNext.") == "An other a_b see line.\nNext."


def asked(folder, answers, keeper):
    """What pytest says to a sheet, as somebody runs it who copied it."""
    shutil.copy(SHEET / "test_answers.py", folder)
    shutil.copy(answers, folder / "answers.py")
    call = [keeper.folder / "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    said = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False).stdout
    return {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error)", said.splitlines()[-1])}


def test_the_sheet_is_not_solved_as_it_stands(tmp_path, keeper):
    assert asked(tmp_path, SHEET / "answers.py", keeper) == {"failed": 16}


def test_the_sheet_can_be_solved(tmp_path, keeper):
    assert asked(tmp_path, ROOT / "tests/house/lesson_answers.py", keeper) == {"passed": 16}


def test_each_lesson_has_its_task():
    tasks = re.findall(r"^def (\w+)", (SHEET / "answers.py").read_text(), re.MULTILINE)
    named = [
        re.findall(r"`(\w+)`\s+of the\s+\[exercise sheet\]", (LESSONS / file_name(name)).read_text()) for name in NAMES
    ]
    assert [[task] for task in tasks] == named
