"""docs/fidelity.md makes claims; each "exact" one names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "fidelity.md").read_text().splitlines()
    if re.match(r"\| .* \| (exact|simplified|absent) \|", line)
]


def test_there_is_something_to_claim():
    assert len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_names_its_source_and_each_exact_one_its_test(row):
    _behaviour, grade, source, tests = row[:4]
    assert source
    named = re.findall(r"`((?:tests|rust)/[^`]+)`", tests)
    if grade == "exact":
        assert named, "an exact behaviour needs a test"
    for name in named:
        path, _, function = name.partition("::")
        assert (ROOT / path).exists(), path
        if function:
            assert re.search(rf"(def|fn) {function}\b", (ROOT / path).read_text()), name
