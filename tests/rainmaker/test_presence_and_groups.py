"""The services by which a node tells its presence and belongs to a group."""

from __future__ import annotations

import asyncio
import json

from node_bench import NODE, Bench

from py_esp_ota.sdkconfig import Sdkconfig

GONE = b'{"Connectivity":{"Connected":false}}'
HERE = b'{"Connectivity":{"Connected":true}}'


def node(*acts, connectivity=False, groups=False, bench=None, **options):
    """A node with these services, and what happens to it; numbers are seconds."""
    bench = bench or Bench(**options)
    bench.connectivity, bench.groups = connectivity, groups

    async def scenario(bench):
        for act in acts:
            await (asyncio.sleep(act) if isinstance(act, int | float) else act(bench))

    return bench.run(scenario)


async def lose(bench):
    bench.broker.kick(NODE)


def said(bench, *suffixes):
    return [(round(when), suffix, payload) for when, suffix, payload in bench.heard if suffix in suffixes]


def test_presence_is_reported_five_seconds_after_each_connect_and_taken_back_by_the_will():
    bench = node(20, lose, 40, connectivity=True)
    assert said(bench, "params/local") == [
        (5, "params/local", HERE),
        (20, "params/local", GONE),
        (40, "params/local", HERE),
    ]
    plain = [name for name, (_, _, payload) in zip(bench.topics, bench.heard, strict=True) if payload == GONE]
    assert plain == ["node/node1/params/local"]  # a will never goes by basic ingest
    assert json.loads(bench.payloads("params/local/init")[0])["Connectivity"] == {"Connected": True}
    (service,) = json.loads(bench.payloads("config")[0])["services"]
    assert service == {
        "name": "Connectivity",
        "type": "esp.service.connectivity",
        "params": [{"name": "Connected", "type": "esp.param.connected", "data_type": "bool", "properties": ["read"]}],
    }


def test_a_connection_that_is_lost_before_is_not_reported():
    assert said(node(20, lose, 17, lose, 10, connectivity=True), "params/local")[1:] == [
        (20, "params/local", GONE),
        (37, "params/local", GONE),
    ]


def test_the_delay_is_an_option():
    config = Sdkconfig(esp_rmaker_connectivity_report_delay=0)
    assert said(node(1, lose, 30, connectivity=True, config=config), "params/local")[1:] == [(16, "params/local", HERE)]


def test_without_the_service_there_is_no_will():
    assert said(node(20, lose, 40), "params/local") == []


def test_a_node_whose_power_goes_leaves_its_will():
    async def cut(bench):
        await bench.power_cycle()

    assert said(node(20, cut, 1, connectivity=True), "params/local")[-1] == (20, "params/local", GONE)


def join(group):
    return lambda bench: bench.send("params/remote", json.dumps({"Groups": {"GroupID": group}}).encode())


def test_a_group_has_topics_of_its_own():
    async def to_the_group(bench):
        await bench._cloud.publish("node/node1/params/remote/g1", b'{"Light":{"Power":false}}')

    bench = node(10, join("g1"), 1, to_the_group, 1, groups=True)
    assert said(bench, "params/local/g1") == [
        (10, "params/local/g1", b'{"Groups":{"GroupID":"g1"}}'),
        (11, "params/local/g1", b'{"Light":{"Power":false}}'),
    ]
    assert "node/node1/params/local/g1" in bench.topics
    assert bench.nvs.get("rmaker_group", "group_id") == "g1"

    again = node(10, to_the_group, 1, join(""), 1, join("g2"), 1, bench=bench, groups=True)
    assert [suffix for _, suffix, _ in again.heard[-3:]] == ["params/local/g1", "params/local", "params/local/g2"]
    assert bench.nvs.get("rmaker_group", "group_id") == "g2"


def test_a_new_group_is_a_new_will_and_that_a_new_connection():
    present = []

    async def watch(bench):
        loop = asyncio.get_running_loop()
        bench.broker.on_presence(lambda _node, here: present.append((round(loop.time()), here)))

    bench = node(10, watch, join("g1"), 10, lose, 5, connectivity=True, groups=True)
    assert present[:2] == [(10, False), (10, True)]  # a farewell, which no will follows
    assert said(bench, "params/local")[1:] == []
    assert said(bench, "params/local/g1") == [
        (10, "params/local/g1", b'{"Groups":{"GroupID":"g1"}}'),
        (15, "params/local/g1", HERE),
        (20, "params/local/g1", GONE),
    ]


def test_an_app_may_speak_to_its_group():
    async def speak(bench):
        assert not bench.node.groups.publish_direct("early")
        bench.node.groups.register("g1")
        assert bench.node.groups.publish_direct("hello")

    bench = node(10, speak, 1)
    assert bench.heard[-1][1:] == ("direct/params/local/g1", b"hello")
