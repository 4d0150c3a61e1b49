"""Whatever network, MQTT and clock do, the device runs a whole image, and in fair weather the job can be finished."""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest
from fault_bench import IMAGES, NODE, OLD, play
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.faults import FORMS, Fault, parse
from py_esp_ota.faults.grammar import Word
from py_esp_ota.lab import Lab
from py_esp_ota.rainmaker.ota_fetch import OTA_FETCH_TIMEOUT_S, backoff
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.world import EPOCH


def conserved(played):
    assert played.is_whole()
    assert all(boot.ok for boot in played.lamp.boots)
    assert set(played.versions) <= set(IMAGES)


# One of each kind, hard enough to be felt and bounded enough to end.
EACH = [
    "connect@113*2",
    "redirect-close*2",
    "short@5000*1",
    "drop@9000*2",
    "stall@12000*1",
    "flip@300*1",
    "mqtt-lose@1*4",
    "mqtt-twice@0*9",
    "mqtt-delay@2:45*3",
    "mqtt-puback@3*2",
    "mqtt-cut@2*3",
    "mqtt-refuse*9",
    "mqtt-budget@1",
    "clock-unset@100",
    "clock-jump@20:-500000",
    "app-no",
    "app-crash",
    "cut@90:torn",
    "glitch@1",
]
PAIRS = [
    (one, other)
    for one, other in itertools.combinations(EACH, 2)
    if parse(one).parts[0].side != parse(other).parts[0].side
]


#: `make sweep` plays every pair, an ordinary run each fifth one; each fault is in some of those.
PLAYED = PAIRS if os.environ.get("ESP_OTA_EVERY_CUT") else PAIRS[::5]


@pytest.mark.parametrize("one", EACH)
def test_pairs_of_two_sides(one):
    for other in (second for first, second in PLAYED if first == one):
        conserved(play(f"{one}+{other}", seconds=400, mend=True))


def test_no_fault_is_left_out_of_the_pairs():
    assert {fault for pair in PLAYED for fault in pair} == set(EACH)


# What may come over network, MQTT and clock; numbers that lie where something happens. A loop without end is no test.
NUMBERS = {
    "ERRNO": [104, 111, 113, 119],
    "NNN": [204, 304, 401, 404, 503],
    "S": [1, 30, 100, 700],
    "D": [-(10**9), -5, 9, 10**8],
}
VALID = {"validity": {"start": int(EPOCH), "end": int(EPOCH) + 10**6}}
PLACES = [0, 1, 2, 3, 4, 7, 1023, 1024, 1025, 4095, 4096, 16_383, 16_384]


@st.composite
def weather_fault(draw):
    form = draw(st.sampled_from([form for form in FORMS.values() if form.side in {"network", "mqtt", "clock"}]))

    def value(arg):
        return st.just(arg.name) if isinstance(arg, Word) else st.sampled_from(NUMBERS.get(arg.name, PLACES))

    args = [draw(value(arg).filter(lambda number, arg=arg: number >= arg.low)) for arg in form.must]
    for option in form.may:
        args += draw(st.lists(value(option), max_size=1))
    if form.times == "none":
        return Fault(form.word, tuple(args))
    times = draw(st.integers(2, 6) if form.word == "redirect-loop" else st.none() | st.integers(2, 12))
    return Fault(form.word, tuple(args), times)


@given(st.lists(weather_fault(), min_size=1, max_size=4).map(lambda faults: "+".join(map(str, faults))))
def test_the_device_runs_a_whole_image_and_the_job_can_be_finished(plan):
    conserved(
        play(plan, seconds=700, mend=True, metadata={"validity": {"start": int(EPOCH), "end": int(EPOCH) + 10**6}})
    )


@given(weather_fault(), st.integers(0, 120), st.sampled_from(["", ":torn", ":after"]))
def test_the_power_goes_somewhere_in_that_weather(fault, operation, tear):
    conserved(play(f"cut@{operation}{tear}+{fault}", seconds=700, mend=True))


@pytest.mark.parametrize("operation", range(8, 13))
def test_the_power_goes_in_the_moment_in_which_the_connection_is_lost(operation):
    played = play(f"cut@{operation}+mqtt-cut@0", mend=True)
    assert played.heard[-1] == "SUCCESS"


# ------------------------------------------------------------------------------------- late and duplicate statuses


@pytest.mark.parametrize(
    "word", ["mqtt-lose@{}", "mqtt-twice@{}", "mqtt-delay@{}:7", "mqtt-delay@{}:500", "mqtt-cut@{}"]
)
@pytest.mark.parametrize("number", range(9))
def test_one_report_lost_repeated_or_late_does_not_change_how_the_job_ends(word, number):
    played = play(word.format(number), seconds=900)
    assert (played.status, played.node.status.value, played.node.closed) == ("completed", "success", True)
    assert (played.lamp.running.version, played.lamp.state) == ("1.1.0", "VALID")


def test_every_message_twice_is_the_same_job():
    played = play("mqtt-twice@0*1000+mqtt-twice@0:down*1000")
    assert (played.status, played.node.status.value) == ("completed", "success")
    assert played.versions == ["1.0.0", "1.1.0"]


@pytest.mark.parametrize("late", [15, 100, 2000])
def test_a_failure_that_arrives_after_the_success_does_not_reopen_the_job(late):
    played = play(f"drop@2000*1+mqtt-delay@2:{late}", seconds=4000)
    assert any("failed" in text for text in played.heard[-2:])
    assert (played.status, played.node.status.value, played.node.closed) == ("completed", "success", True)
    assert played.versions == ["1.0.0", "1.1.0"]


def test_a_success_lost_over_a_reset_is_found_by_the_next_question():
    played = play("mqtt-lose@4*2")
    assert played.heard[-1] == "SUCCESS by version"
    assert played.node.closed


# ------------------------------------------------------------------------------------------------- back-off


def questions(plan, seconds, config=None):
    """When a node that hears of no update asked, in seconds since its boot."""
    asked = []
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id=NODE, config=config)
        hear = lab.service.serving.on_fetch

        def on_fetch(turn, node_id, version, network_id=None):
            asked.append(round(lab.world.clock.now() - EPOCH))
            hear(turn, node_id, version, network_id)

        async def story():
            lab.faults(lamp, plan)
            lamp.power_on()
            lab.service.serving.on_fetch = on_fetch
            await asyncio.sleep(seconds)

        lab.run(story())
    return asked


def test_the_back_off_grows_over_many_retries_and_never_starts_again():
    heard = questions("mqtt-puback@3*1000", 12_000)
    # Each question is sent again and again for half a minute.
    asked = [when for before, when in itertools.pairwise([-99, *heard]) if when - before > 2][:13]
    gaps = [later - before for before, later in itertools.pairwise(asked)]
    assert gaps == [OTA_FETCH_TIMEOUT_S + backoff(retry) for retry in range(1, 13)]
    assert gaps[0] < gaps[1] < gaps[2] < gaps[3] < gaps[4] == gaps[11]


def test_without_a_budget_the_node_asks_when_it_has_one_again():
    # The poll for commands and the config take what there is; one message more every 600 s, and the question returns.
    slow = Sdkconfig(esp_rmaker_mqtt_budget_revive_period=600)
    asked = questions("mqtt-budget@2", 4000, slow)
    assert len(asked) == 1
    assert 600 <= asked[0] <= 600 + backoff(5)
