"""Plans that parse where they are meant for, and come back as they were."""

from __future__ import annotations

import random

import pytest
from hypothesis import find, given, seed, settings
from hypothesis.errors import InvalidArgument

from py_esp_ota import Flash
from py_esp_ota.errors import PowerLoss
from py_esp_ota.faults import FORMS, parse
from py_esp_ota.strategies import CUT_MODELS, FAULT_SIDES, fault_plans

QUIET = settings(database=None, max_examples=4000, derandomize=True)


def smallest(strategy, condition=lambda _: True):
    return find(strategy, condition, settings=QUIET, random=random.Random(0))


@given(fault_plans(faults=False))
def test_a_flash_takes_every_cut(plan):
    flash = Flash(0x100000)
    flash.fault = plan
    assert flash.fault == plan


@given(fault_plans(operations=20, cuts=True, faults=False))
def test_a_cut_falls_within_the_story(plan):
    flash = Flash(0x100000)
    flash.fault = plan
    with pytest.raises(PowerLoss):
        flash.erase(0, 20 * 0x1000)


@given(fault_plans())
def test_every_plan_parses_and_is_its_text(plan):
    assert str(parse(plan)) == plan


@given(fault_plans(body=100, cuts=False, faults=True, sides=["network"]))
def test_network_faults_fall_into_the_body(plan):
    faults = parse(plan).of("network")
    assert len(faults) == len(parse(plan).parts) > 0
    assert all(fault.at < 100 for fault in faults if fault.word in {"drop", "stall", "flip", "short"})


@given(fault_plans(faults=True, sides=["mqtt", "clock"], max_faults=4))
def test_other_sides_are_left_alone(plan):
    assert {part.side for part in parse(plan).parts} <= {"mqtt", "clock", "flash"}


def test_every_model_and_every_form_is_drawn():
    """In three thousand plans; there is nothing to wait for once all were seen."""
    cuts, words = set(), set()
    forms = {word for word, form in FORMS.items() if form.side in FAULT_SIDES}

    @settings(max_examples=200, database=None)
    @given(fault_plans())
    def collect(plan):
        for part in plan.split("+"):
            word = part.split("@")[0].split("*")[0]
            if word == "cut":
                cuts.add(part.lstrip("cut@0123456789"))
            else:
                words.add(word)

    for number in range(15):
        if not (cuts >= set(CUT_MODELS) and words >= forms):
            seed(number)(collect)()
    assert cuts == set(CUT_MODELS)
    assert words - {""} == forms


@given(fault_plans(cuts=True, models=[":weak-erase", ":after"], faults=False))
def test_only_the_models_that_were_asked_for(plan):
    assert plan.split(":")[1] in {"weak-erase", "after"}


def test_plans_shrink_to_nothing_and_to_the_first_operation():
    assert smallest(fault_plans()) == ""
    assert smallest(fault_plans(cuts=True)) == "cut@0"
    assert smallest(fault_plans(), lambda plan: ":torn" in plan) == "cut@0:torn"
    assert smallest(fault_plans(faults=True, cuts=False)) == "app-silent"  # the one with nothing to choose
    assert smallest(fault_plans(faults=True, cuts=False), lambda plan: "drop" in plan) == "drop@0*1"
    assert smallest(fault_plans(operations=20), lambda plan: plan.split("+")[0] == "cut@7") == "cut@7"
    assert smallest(fault_plans(), lambda plan: "mqtt-lose" in plan) == "mqtt-lose@0*2"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"operations": 0, "cuts": True}, "operations is 0: there is none for a power cut to fall on"),
        ({"body": 0, "faults": True, "sides": ["network"]}, "body is 0: there is no byte for a network fault"),
        ({"faults": True, "max_faults": 0}, "faults is True and max_faults is 0"),
        ({"models": [":half"]}, "models has ':half'; known: "),
        ({"operations": -1}, "operations is -1, expected a number from 0 on"),
        ({"cuts": 2}, "cuts is 2, expected True, False, or None for either"),
        ({"sides": ["moon"]}, "sides has 'moon'; known: network, mqtt, clock, app"),
        ({"sides": "network"}, "sides is the text 'network'"),
    ],
)
def test_plans_that_cannot_be(options, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        find(fault_plans(**options), lambda _: True)
    assert smallest(fault_plans(operations=0, body=0, sides=["network"])) == ""
