"""Every link of a page that stays in the repository leads to a file, and to a heading of it where it names one."""

from __future__ import annotations

import re

import pytest
from pages import ROOT

PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md"))
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(text):
    """The anchors of a page, as GitHub makes them."""
    for line in re.findall(r"^#+ (.*)$", _FENCED.sub("", text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", line.strip().lower()).replace(" ", "-")


def broken(page, text):
    for link in _LINK.findall(_FENCED.sub("", text)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if ":" in link.split("/")[0]:
            continue
        if not target.exists() or (anchor and anchor not in headings(target.read_text())):
            yield link


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    assert list(broken(ROOT / name, (ROOT / name).read_text())) == []


def test_there_are_pages():
    assert len(PAGES) > 50


def test_a_link_that_leads_nowhere_is_seen():
    page = ROOT / "README.md"
    assert list(broken(page, "[a](LICENSE) [b](nowhere.md) [c](CONTRIBUTING.md#contributing) [d](#nothing)")) == [
        "nowhere.md",
        "#nothing",
    ]
