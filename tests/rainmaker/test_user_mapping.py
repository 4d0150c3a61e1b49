"""User-node mapping as the node does it: when it speaks, what it says, and what it believes afterwards."""

from __future__ import annotations

import asyncio

import pytest
from node_bench import NODE, Bench

from py_esp_ota.rainmaker.messages import USER_MAPPING, UserMapping, topic
from py_esp_ota.rainmaker.user_mapping import MappingState
from py_esp_ota.sdkconfig import Sdkconfig

SAID = f'{{"node_id":"{NODE}","user_id":"ann","secret_key":"s3cret"}}'.encode()


def mapping(bench):
    assert bench.node
    assert bench.node.user_mapping
    return bench.node.user_mapping


def lines(bench):
    return [line.partition("esp_rmaker_user_mapping: ")[2] for line in bench.console if "user_mapping:" in line]


def test_a_started_node_says_it_at_once_and_has_done_with_the_puback():
    async def story(bench):
        await asyncio.sleep(20)
        mapping(bench).start("ann", "s3cret")
        assert mapping(bench).state is MappingState.DONE  # as after each boot, without the user id check
        await asyncio.sleep(1)
        assert mapping(bench).state is MappingState.DONE

    bench = Bench().run(story)
    assert bench.payloads(USER_MAPPING) == [SAID]
    assert bench.times(USER_MAPPING) == [20]
    assert bench.topics[-1] == topic(NODE, USER_MAPPING, basic_ingest=True)
    assert bench.topics[-1] == f"$aws/rules/esp_user_node_mapping/node/{NODE}/user/mapping"
    assert lines(bench) == [
        f"MQTT Publish: {SAID.decode()}", "User Node association message published successfully.",
    ]  # fmt: skip


def test_before_the_config_is_reported_it_waits_for_it():
    async def story(bench):
        await asyncio.sleep(0)
        mapping(bench).start("ann", "s3cret")
        await asyncio.sleep(20)

    bench = Bench().run(story)
    assert bench.transcript[:3] == ["config", "params/local/init", USER_MAPPING]
    assert lines(bench)[:3] == [
        "RainMaker config is not reported, waiting for the event before retrying user mapping.",
        "RainMaker config reported, queuing pending user mapping task.",
        "Successfully queued user mapping task after RainMaker config reported.",
    ]


def test_a_reset_before_the_config_holds_back_params_and_ota_until_there_is_a_user():
    async def story(bench):
        await asyncio.sleep(0)
        mapping(bench).reset()
        await asyncio.sleep(20)
        assert bench.transcript == ["config", USER_MAPPING]
        assert mapping(bench).state is MappingState.RESET
        mapping(bench).start("ann", "s3cret")
        await asyncio.sleep(20)

    bench = Bench().run(story)
    assert bench.transcript == ["config", USER_MAPPING, USER_MAPPING, "params/local/init", "otafetch"]
    assert bench.times("otafetch") == [25.0]
    assert any("Waiting for User Node Association." in line for line in bench.console)


def test_a_factory_reset_is_reported_with_a_user_that_is_none():
    async def story(bench):
        await asyncio.sleep(20)
        mapping(bench).reset()
        assert mapping(bench).state is MappingState.STARTED
        await asyncio.sleep(1)
        assert mapping(bench).state is MappingState.RESET

    bench = Bench().run(story)
    said = f'{{"node_id":"{NODE}","user_id":"esp-rmaker","secret_key":"failed","reset":true}}'
    assert bench.payloads(USER_MAPPING) == [said.encode()]
    assert lines(bench)[0] == "User Node mapping reset detected."


def test_without_a_puback_nothing_is_done():
    async def story(bench):
        await asyncio.sleep(20)
        bench.line.swallow("mapping", 100)
        mapping(bench).start("ann", "s3cret")
        await asyncio.sleep(20)
        assert mapping(bench).state is MappingState.REQ_SENT

    assert "published successfully" not in "".join(Bench().run(story).console)


def test_without_budget_it_is_an_error():
    async def story(bench):
        await asyncio.sleep(4)
        bench.node.user_mapping._core.mqtt.budget._left = 0
        mapping(bench).start("ann", "s3cret")
        await asyncio.sleep(1)

    bench = Bench(config=Sdkconfig()).run(story)
    assert bench.payloads(USER_MAPPING) == []
    assert lines(bench)[-1] == "MQTT Publish Error -1"


def test_a_full_work_queue_is_tried_again_five_times():
    async def story(bench):
        await asyncio.sleep(20)
        core = mapping(bench)._core
        core.add_task = lambda _work: False
        mapping(bench).start("ann", "s3cret")
        await asyncio.sleep(60)

    bench = Bench().run(story)
    assert bench.payloads(USER_MAPPING) == []
    told = lines(bench)
    assert told[0] == "Failed to queue user mapping task. Starting retry mechanism."
    assert told[1] == "Scheduling user mapping retry 1/5 in 5 seconds"
    assert told[-1] == "User mapping task queue failed after 5 attempts. Giving up."
    assert sum(line.startswith("Retrying") for line in told) == 5


@pytest.mark.parametrize("reset", [False, True])
def test_the_message_is_read_as_it_was_written(reset):
    said = UserMapping(node_id="n", user_id="u", secret_key="s", reset=reset)
    assert UserMapping.decode(said.encode()) == said


def test_what_does_not_fit_is_cut_at_199_bytes():
    payload = UserMapping(node_id="n", user_id="u", secret_key="s" * 300).encode()
    assert len(payload) == 199
    with pytest.raises(ValueError, match="cut off after 199 bytes"):
        UserMapping.decode(payload)
