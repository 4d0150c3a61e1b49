"""Plans that parse where they are meant for, and come back as they were."""

from __future__ import annotations

import random

import pytest
from hypothesis import find, given, settings
from hypothesis.errors import InvalidArgument

from py_esp_ota import Flash
from py_esp_ota.errors import PowerLoss
from py_esp_ota.faults import parse
from py_esp_ota.strategies import CUT_MODELS, NETWORK_FAULTS, fault_plans

QUIET = settings(database=None, max_examples=2000, derandomize=True)


def smallest(strategy, condition=lambda _: True):
    return find(strategy, condition, settings=QUIET, random=random.Random(0))


@given(fault_plans(network=False))
def test_a_flash_takes_every_cut(plan):
    flash = Flash(0x100000)
    flash.fault = plan
    assert flash.fault == plan


@given(fault_plans(operations=20, cuts=True, network=False))
def test_a_cut_falls_within_the_story(plan):
    flash = Flash(0x100000)
    flash.fault = plan
    with pytest.raises(PowerLoss):
        flash.erase(0, 20 * 0x1000)


@given(fault_plans())
def test_every_plan_parses_and_is_its_text(plan):
    flash, network = parse(plan)
    assert "+".join(part for part in (flash, str(network)) if part) == plan


@given(fault_plans(body=100, cuts=False, network=True))
def test_network_faults_fall_into_the_body(plan):
    flash, network = parse(plan)
    assert not flash
    assert network.faults
    assert all(fault.at < 100 for fault in network.faults if fault.kind in {"drop", "stall", "flip"})


def test_every_model_is_drawn():
    seen = set()

    @settings(max_examples=400, derandomize=True)
    @given(fault_plans())
    def collect(plan):
        for part in plan.split("+"):
            kind = part.split("@")[0]
            seen.add(kind + part.lstrip("cut@0123456789") if kind == "cut" else kind)
        seen.add(("cut@" in plan, "*" in plan))

    collect()
    assert seen >= {"cut" + model for model in CUT_MODELS} | {model.kind for model in NETWORK_FAULTS}
    assert seen >= {(False, False), (True, False), (False, True), (True, True)}


def test_plans_shrink_to_nothing_and_to_the_first_operation():
    assert smallest(fault_plans()) == ""
    assert smallest(fault_plans(cuts=True)) == "cut@0"
    assert smallest(fault_plans(), lambda plan: ":torn" in plan) == "cut@0:torn"
    assert smallest(fault_plans(network=True, cuts=False)) == "drop@0*1"
    assert smallest(fault_plans(), lambda plan: plan.split("+")[0] == "cut@7") == "cut@7"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"operations": 0, "cuts": True}, "operations is 0: there is none for a power cut to fall on"),
        ({"body": 0, "network": True}, "body is 0: there is no byte for a network fault to fall on"),
        ({"network": True, "max_network_faults": 0}, "network is True and max_network_faults is 0"),
        ({"operations": -1}, "operations is -1, expected a number from 0 on"),
        ({"cuts": 2}, "cuts is 2, expected True, False, or None for either"),
    ],
)
def test_plans_that_cannot_be(options, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        find(fault_plans(**options), lambda _: True)
    assert smallest(fault_plans(operations=0, body=0)) == ""
