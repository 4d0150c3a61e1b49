"""A failing line becomes as short as it can be, and fails all the while."""

from __future__ import annotations

import pytest

from py_esp_ota.faults import parse
from py_esp_ota.hunt.shrink import Line, ddmin, plainer, shortest

LONG = "drop@65536*1+cut@37:torn-erase+mqtt-lose@2:down*3+app-no+clock-jump@30:-600"


@pytest.mark.parametrize("needed", [set(), {0}, {3, 7, 19}, {0, 19}, {9, 10}, set(range(20))])
def test_ddmin_leaves_just_what_it_takes(needed):
    asked = []

    def fails(kept):
        asked.append(tuple(kept))
        return needed <= set(kept)

    assert set(ddmin(range(20), fails)) == needed
    assert len(asked) <= 20**2


def test_ddmin_is_content_with_parts_that_only_fail_together():
    assert len(ddmin(range(8), lambda kept: len(kept) >= 3)) == 3


def fails(line):
    """A late cut, a lost message and any chip but one."""
    words = {str(part).partition("@")[0]: part for part in line.plan.parts}
    cut = next((int(str(part)[4:].split(":")[0]) for part in line.plan.parts if str(part).startswith("cut")), 0)
    return cut >= 17 and "mqtt-lose" in words and dict(line.options).get("chip") != "esp32"


def test_the_shortest_line():
    line = Line(parse(LONG), (("chip", "esp32s3"), ("table", "two_ota")))
    found = shortest(line, fails)
    assert str(found.case) == "cut@17+mqtt-lose@0"
    assert found.minimal
    assert found.tries < 100


def test_an_option_that_may_not_be_left_out_becomes_plain():
    line = Line(parse(LONG), (("chip", "esp32s3"), ("boards", "7")))
    found = shortest(line, fails, defaults={"boards": "1"})
    assert str(found.case) == "boards=1 cut@17+mqtt-lose@0"


@pytest.mark.parametrize("budget", [0, 3, 20])
def test_a_spent_budget_leaves_what_still_fails(budget):
    found = shortest(Line(parse(LONG)), fails, budget=budget)
    assert fails(found.case)
    assert not found.minimal
    assert found.tries <= budget


def test_plainer_plans_parse_and_come_to_an_end():
    todo, seen = [parse("cut@3:torn+mqtt-delay@2:4:down*2")], set()
    while todo:
        for plan in plainer(todo.pop()):
            assert parse(str(plan)) == plan
            if str(plan) not in seen:
                seen.add(str(plan))
                todo.append(plan)
    assert "" in seen
    assert "cut@3+mqtt-delay@2:4" in seen
