"""docs/reference/campaigns.md: every row is there and says yes, no or partly, with a reason where it is not yes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from py_esp_ota.cloud.plan import Abort, Gate, Plan

PAGE = (Path(__file__).parents[2] / "docs/reference/campaigns.md").read_text()


def _table(heading: str) -> list[list[str]]:
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


@pytest.mark.parametrize(("heading", "count"), [("What a dashboard has", 25), ("What update services have", 36)])
def test_every_feature_has_an_answer(heading, count):
    rows = _table(heading)
    assert [row[0] for row in rows if row[0]] == [str(number) for number in range(1, count + 1)]
    for row in rows:
        assert row[2] in {"yes", "no", "partly"}, row
        assert row[2] == "yes" or row[3], row


def test_every_key_of_a_plan_is_described():
    keys = {re.sub("`", "", row[0]) for row in _table("The plan")}
    nested = {"gate": Gate, "abort": Abort}
    plain = {field.name for field in fields(Plan)} - nested.keys()
    assert keys == plain | {f"{name}.{field.name}" for name, values in nested.items() for field in fields(values)}
