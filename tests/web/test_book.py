"""The management part of the book, done by hand at the demo's page: each statement is shown, and has its picture."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tools import book, page_pictures

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/campaigns.md").read_text()


def listed() -> list[tuple[str, str]]:
    """Words and picture of each row in the page's table."""
    part = PAGE.partition("## What the book does\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+?) \| yes \| .+? \| \[\w+\]\(\.\./book/(\w+)\.webp\) \|$", part, re.MULTILINE)


def is_webp(picture: Path) -> bool:
    data = picture.read_bytes()
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) <= book.LARGEST


def test_each_statement_has_a_row_and_each_row_a_picture_that_is_small():
    assert listed() == [(each.words, each.picture) for each in book.STATEMENTS]
    pictures = sorted((ROOT / book.FOLDER).iterdir())
    assert [picture.stem for picture in pictures] == sorted(each.picture for each in book.STATEMENTS)
    assert [picture.name for picture in pictures if not is_webp(picture)] == []
    assert all(each.says for each in book.STATEMENTS)


@pytest.mark.browser
@pytest.mark.sockets
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_book_is_done_by_hand_and_every_page_says_what_it_claims(tmp_path):
    with page_pictures.demo() as (url, _lamp), page_pictures.visitor(url) as page:
        taken = book.take_all(page, tmp_path)
    assert [picture.stem for picture in taken] == [each.picture for each in book.STATEMENTS]
    assert [picture.name for picture in taken if not is_webp(picture)] == []
