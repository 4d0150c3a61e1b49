"""What a node tells its users, and what it says of its params and when."""

from __future__ import annotations

import asyncio

import pytest
from node_bench import Bench

from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker.params import Param, ParamDevice
from py_esp_ota.rainmaker.standard import lamp
from py_esp_ota.sdkconfig import Sdkconfig


def core(bench):
    return bench.node.ota.handle.core


def after(seconds, act, **options):
    """A node that does something so many seconds after its boot."""

    async def scenario(bench):
        await asyncio.sleep(seconds)
        act(bench)
        await asyncio.sleep(5)

    return Bench(**options).run(scenario)


def test_an_alert_is_its_first_hundred_bytes_as_they_are():
    bench = after(10, lambda bench: core(bench).raise_alert('too "hot"' + "!" * 100))
    assert bench.payloads("alert") == [b'{"esp.alert.str":"too "hot"' + b"!" * 91 + b'"}']
    assert "$aws/rules/esp_node_alert/node/node1/alert" in bench.topics


def test_an_alert_leaves_before_the_params_are_known_and_not_without_a_budget():
    config = Sdkconfig(esp_rmaker_mqtt_default_budget=0, esp_rmaker_mqtt_budget_revive_period=600)
    assert after(0.001, lambda bench: core(bench).raise_alert("hot")).payloads("alert") == [b'{"esp.alert.str":"hot"}']
    assert after(10, lambda bench: core(bench).raise_alert("hot"), config=config).payloads("alert") == []


def test_a_notified_param_is_told_to_users_and_then_as_a_change():
    def notify(bench):
        device = core(bench).params.device("Light")
        device.param("Power").update(value=False)  # waits to be reported
        core(bench).update_and_notify(device.param("Brightness"), 7)

    bench = after(10, notify)
    assert [(suffix, payload) for _, suffix, payload in bench.heard[-2:]] == [
        ("alert", b'{"Light":{"Brightness":7}}'),
        ("params/local", b'{"Light":{"Power":false,"Brightness":7}}'),
    ]


def test_what_changes_before_the_node_has_started_waits():
    def change(bench):
        device = core(bench).params.device("Light")
        core(bench).update_and_report(device.param("Brightness"), 7)
        core(bench).update_and_notify(device.param("Power"), value=False)

    bench = after(0, change)
    assert bench.payloads("params/local/init") == [b'{"Light":{"Power":false,"Brightness":7}}']
    assert bench.payloads("params/local") == []
    assert bench.payloads("alert") == []


def test_a_write_is_reported_device_by_device():
    def two():
        return [lamp("A"), lamp("Light 2")]

    async def scenario(bench):
        await asyncio.sleep(10)
        await bench.send("params/remote", b'{"Light 2":{"Power":false},"A":{"Brightness":1,"Power":false},"B":{}}')
        await asyncio.sleep(1)

    bench = Bench(devices=two).run(scenario)
    assert bench.payloads("params/local") == [b'{"A":{"Power":false,"Brightness":1}}', b'{"Light 2":{"Power":false}}']
    assert [line.split("param: ")[1] for line in bench.console if "Found" in line] == [
        "Found 2 params in write request for A",
        "Found 1 params in write request for Light 2",
    ]


def test_a_device_that_refuses_says_so_and_reports_nothing():
    async def scenario(bench):
        await asyncio.sleep(10)
        await bench.send("params/remote", b'{"Light":{"Power":false}}')
        await asyncio.sleep(1)

    def stubborn():
        device = lamp()
        device.write = lambda _param, _value: EspErr.ESP_FAIL
        return [device]

    bench = Bench(devices=stubborn).run(scenario)
    assert bench.payloads("params/local") == []
    assert any("esp_rmaker_device: Remote update to param Light - Power failed" in line for line in bench.console)


@pytest.mark.parametrize(("names", "said"), [(("D", "P"), [b'{"D":{"P":1}}']), (("D", ""), [])])
def test_less_than_thirteen_characters_are_not_said(names, said):
    device, param = names
    bench = Bench(devices=lambda: [ParamDevice(device, "t", [Param(param, "t", 1)])]).wait(1)
    assert bench.payloads("params/local/init") == said
    assert Bench(devices=tuple).wait(1).transcript == ["config"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.1, "0.10000"), (16777217.0, "16777216.00000"), (1234567.891, "1234567.87500"), (-0.0, "-0.00000")],
)
def test_a_float_has_32_bits(value, said):
    bench = Bench(devices=lambda: [ParamDevice("Fan", "t", [Param("Speed", "t", value)])]).wait(1)
    assert bench.payloads("params/local/init") == [f'{{"Fan":{{"Speed":{said}}}}}'.encode()]


def test_a_report_that_does_not_fit_grows_its_buffer():
    bench = Bench(devices=lambda: [ParamDevice("D", "t", [Param("P", "t", "x" * 1100)])]).wait(1)
    grown = [line for line in bench.console if "not sufficient" in line]
    assert len(bench.payloads("params/local/init")[0]) == 1114
    assert grown[0].endswith("1024 bytes not sufficient for Node params. Reallocating 1165 bytes.")
