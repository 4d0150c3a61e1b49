"""One boot of a node: the order of everything, the connection, and how a boot ends."""

import asyncio
import json
from itertools import pairwise

import pytest
from node_bench import NEW, NODE, URL, Answer, Bench, flashed

from py_esp_ota.errors import EspErr, MqttError, OtaError, PowerLoss, Restart
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.ota import OtaConfig, OtaType, RmakerOta
from py_esp_ota.rainmaker.params import Param, ParamDevice
from py_esp_ota.sdkconfig import Sdkconfig

GOOD = [
    "config",
    "params/local/init",
    "otafetch",
    "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
    "in-progress: Downloading Firmware Image",
    "in-progress: Firmware Image download complete",
]


@pytest.mark.parametrize(
    ("config", "server", "transcript"),
    [
        (
            {},
            Answer(NEW),
            [
                *GOOD,
                "in-progress: Rebooting into new firmware (after 1 HTTPS attempt)",
                "success: OTA Upgrade finished and verified successfully",
                "config",
                "params/local/init",
                "otafetch",
            ],
        ),
        (
            {"bootloader_app_rollback_enable": False},
            Answer(NEW),
            [
                *GOOD,
                "success: HTTPS OTA Upgrade finished successfully (after 1 attempt)",
                "config",
                "params/local/init",
                "otafetch",
            ],
        ),
        ({}, Answer(Firmware("lamp", "1.0").to_bytes()), [*GOOD[:4], "rejected: Same version received"]),
        (
            {},
            Answer(status=404),
            [
                *GOOD[:3],
                *(
                    line
                    for k in (1, 2, 3)
                    for line in (
                        f"in-progress: Starting OTA Upgrade (HTTPS attempt {k}/3)",
                        f"failed: OTA Attempt {k}/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)",
                    )
                ),
                "otafetch",
            ],
        ),
        (
            {},
            [Answer(NEW[:-1] + b"?"), Answer(NEW)],
            [
                *GOOD,
                "failed: OTA Attempt 1/3 failed: Image validation failed",
                "in-progress: Starting OTA Upgrade (HTTPS attempt 2/3)",
                *GOOD[4:],
                "in-progress: Rebooting into new firmware (after 2 HTTPS attempts)",
                "success: OTA Upgrade finished and verified successfully",
                "config",
                "params/local/init",
                "otafetch",
            ],
        ),
    ],
    ids=["good, rollback on", "good, rollback off", "same version", "404 for ever", "corrupt, then good"],
)
def test_transcripts(config, server, transcript):
    bench = Bench(config=Sdkconfig(**config), server={URL: server}).update(seconds=400)
    said = bench.transcript
    if said[-2:] == ["otafetch", "otafetch"]:
        said.pop()  # after a confirmed update there may be one or two
    assert said == transcript


def test_the_order_of_a_boot():
    bench = Bench().wait(20)
    assert bench.transcript == ["config", "params/local/init", "otafetch"]
    assert bench.times("otafetch") == pytest.approx([5.0], abs=0.1)
    assert bench.fetch.requests == []


def test_the_config_says_who_the_node_is():
    bench = Bench(
        devices=lambda: [ParamDevice("Lamp", "esp.device.lightbulb", [Param("Power", "esp.param.power", True)])]
    )
    bench.wait(1)
    body = json.loads(bench.payloads("config")[0])
    assert body["node_id"] == NODE
    assert body["info"] == {
        "name": "ESP RainMaker Device",
        "fw_version": "1.0",
        "type": "Lightbulb",
        "model": "lamp",
        "project_name": "lamp",
        "platform": "esp32c3",
    }
    assert [device["name"] for device in body["devices"]] == ["Lamp"]
    assert body["services"] == []


def test_only_ota_by_params_adds_a_service():
    topics = json.loads(Bench().wait(1).payloads("config")[0])
    assert topics["services"] == []
    bare = json.loads(Bench(devices=tuple).wait(1).payloads("config")[0])
    assert not {"devices", "services"} & set(bare)
    params = json.loads(Bench(ota=OtaConfig(type=OtaType.PARAMS)).wait(1).payloads("config")[0])
    (service,) = params["services"]
    assert (service["name"], service["type"]) == ("OTA", "esp.service.ota")
    assert [(param["name"], param["properties"]) for param in service["params"]] == [
        ("Status", ["read"]),
        ("Info", ["read"]),
        ("URL", ["write"]),
    ]


def test_params_are_set_from_the_cloud_and_reported():
    bench = Bench(
        devices=lambda: [ParamDevice("Lamp", "esp.device.lightbulb", [Param("Power", "esp.param.power", False)])]
    )

    async def scenario(bench: Bench) -> None:
        await bench.wait_for("params/local/init")
        await bench.send("params/remote", b'{"Lamp":{"Power":true}}')
        await bench.send("params/remote", b"no JSON")
        await bench.sleep(1)

    bench.run(scenario)
    assert bench.payloads("params/local") == [b'{"Lamp":{"Power":true}}']


@pytest.mark.parametrize("basic_ingest", [True, False])
def test_topics_with_and_without_basic_ingest(basic_ingest):
    bench = Bench(config=Sdkconfig(esp_rmaker_mqtt_use_basic_ingest_topics=basic_ingest)).update()
    assert all(topic.startswith("$aws/rules/") is basic_ingest for topic in bench.topics)
    assert bench.running == ("1.1", "VALID")


# --------------------------------------------------------------------------------------------------------- connection


def test_a_reconnect_subscribes_again_and_says_nothing():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(20)
        bench.broker.kick(NODE)
        await bench.sleep(16)
        await bench.push()
        await bench.sleep(60)

    bench.run(scenario)
    assert bench.transcript.count("otafetch") == 2  # at boot, and after the update
    assert bench.transcript.count("config") == 2
    assert bench.running == ("1.1", "VALID")


def test_reconnecting_takes_fifteen_seconds():
    """Ten have to be over, and the client looks each five."""
    bench = Bench()
    present = []

    async def scenario(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        bench.broker.on_presence(lambda _node, here: present.append((round(loop.time()), here)))
        await bench.sleep(20)
        bench.broker.kick(NODE)
        await bench.sleep(30)

    bench.run(scenario)
    assert present[-3:-1] == [(20, False), (35, True)]


def test_a_node_without_broker_tries_for_ever():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        bench.line.cut()
        await bench.sleep(24 * 3600)
        bench.line.restore()
        await bench.sleep(20)

    bench.run(scenario)
    assert bench.transcript == ["config", "params/local/init", "otafetch"]


def test_reports_wait_for_a_short_outage_and_are_lost_in_a_long_one():
    def during(outage: float) -> list[str]:
        bench = Bench(server={URL: Answer(status=404)}, config=Sdkconfig(esp_rmaker_ota_max_retries=1))

        async def scenario(bench: Bench) -> None:
            await bench.sleep(10)
            await bench.push()
            bench.line.cut()
            await bench.sleep(outage)
            bench.line.restore()
            await bench.sleep(60)

        return bench.run(scenario).reports

    assert len(during(15)) == 2
    assert during(45) == []


def test_an_otafetch_that_cannot_be_sent_is_tried_again_ever_slower():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.wait_for("params/local/init")
        await bench.sleep(1)
        bench.line.cut()
        await bench.sleep(4 * 3600)

    bench.run(scenario)
    lines = [line for line in bench.console if "MQTT not connected. Cannot fetch OTA." in line]
    stamps = [int(line.split("(")[1].split(")")[0]) // 1000 for line in lines]
    gaps = [after - before for before, after in pairwise(stamps)]
    assert stamps[0] == 5
    assert gaps[:6] == [30, 60, 120, 240, 480, 480]
    assert set(gaps[5:]) == {480}


def test_an_otafetch_refused_by_the_budget_backs_off():
    config = Sdkconfig(esp_rmaker_mqtt_default_budget=2, esp_rmaker_mqtt_budget_revive_period=600)
    bench = Bench(config=config).wait(1200)
    # refused at 5, 35, 95, 215 and 455 s; the first refill comes after ten minutes
    assert bench.times("otafetch") == pytest.approx([935], abs=1)


def test_an_otafetch_without_puback_is_repeated():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(4)
        bench.line.swallow("otafetch", times=2 * 30)  # sent once, then each second until it is half a minute old
        await bench.sleep(300)

    bench.run(scenario)
    # 5 s: lost, given up after 60 s; 30 s later: lost; 60 s after its time-out: answered, and no more
    assert bench.times("otafetch") == pytest.approx([5 + 60 + 30 + 60 + 60], abs=1)


def test_an_otafetch_that_arrived_and_was_not_answered_is_not_repeated():
    assert len(Bench().wait(24 * 3600).times("otafetch")) == 1


def test_without_autofetch_the_node_waits_to_be_told():
    assert Bench(config=Sdkconfig(esp_rmaker_ota_autofetch=False)).wait(3600).times("otafetch") == []


@pytest.mark.parametrize("hours", [1, 168])
def test_the_period_is_counted_from_boot(hours):
    bench = Bench(config=Sdkconfig(esp_rmaker_ota_autofetch_period=hours)).wait(2 * hours * 3600 + 60)
    assert [round(when) // 3600 for when in bench.times("otafetch")] == [0, hours, 2 * hours]


# ------------------------------------------------------------------------------------------------------------- endings


def test_a_restart_comes_out_as_itself_and_leaves_nothing_behind():
    bench = Bench().update()
    assert [type(end) for end in bench.ends] == [Restart]
    assert bench.fetch.open == 0
    assert bench.broker.connected == ()


@pytest.mark.parametrize("operation", [0, 3, 7, 20])
def test_a_power_cut_comes_out_as_itself_and_leaves_nothing_behind(operation):
    bench = Bench()
    tasks = []

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        bench.chip.flash.fault = f"cut@{operation}"
        await bench.push()
        await bench.sleep(30)
        tasks.extend(task.get_name() for task in asyncio.all_tasks())
        assert bench.broker.connected == ("cloud",)

    bench.run(scenario)
    assert [type(end) for end in bench.ends] == [PowerLoss]
    assert bench.fetch.open == 0
    assert not [name for name in tasks if name.startswith(NODE)]


def test_a_cancelled_node_closes_its_connections():
    bench = Bench(server={URL: Answer(NEW, stalls_at=4096)})

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(30)
        assert bench.fetch.open == 1

    bench.run(scenario)
    assert bench.fetch.open == 0
    assert bench.broker.connected == ()


def test_an_error_of_the_program_is_not_hidden():
    def broken(_state: object) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Bench(ota=OtaConfig(ota_diag=broken)).update()


def test_another_ota_type_is_refused():
    with pytest.raises(OtaError) as refused:
        Bench(ota=OtaConfig(type=3)).wait(1)
    assert refused.value.err is EspErr.ESP_ERR_INVALID_ARG


def test_ota_is_enabled_once():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(1)
        with pytest.raises(OtaError, match="already enabled") as refused:
            RmakerOta.enable(bench.node.ota.handle.core)
        assert refused.value.err is EspErr.ESP_FAIL

    bench.run(scenario)


def test_a_node_on_a_factory_app_updates_too():
    bench = Bench(chip=flashed(table="two_ota")).update()
    assert bench.running == ("1.1", "VALID")
    assert [report.partition.label for _, report in bench.boots] == ["factory", "ota_0"]


def test_a_broker_that_refuses_a_subscription_does_not_stop_the_node(monkeypatch):
    bench = Bench()
    refused = []

    async def scenario(bench: Bench) -> None:
        original = bench.broker._subscribe

        def subscribe(client, topic_filter) -> None:
            if topic_filter.endswith("otaurl") and not refused:
                refused.append(topic_filter)
                raise MqttError("not now")
            original(client, topic_filter)

        monkeypatch.setattr(bench.broker, "_subscribe", subscribe)
        await bench.sleep(20)

    bench.run(scenario)
    assert refused
    assert bench.transcript == ["config", "params/local/init", "otafetch"]


def test_a_device_callback_may_restart_the_chip():
    def restart(_param: object, _value: object) -> EspErr:
        raise Restart

    def devices() -> list[ParamDevice]:
        return [ParamDevice("Lamp", "esp.device.lightbulb", [Param("Power", "esp.param.power", False)], write=restart)]

    bench = Bench(devices=devices)

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("params/remote", b'{"Lamp":{"Power":true}}')
        await bench.sleep(10)

    bench.run(scenario)
    assert [round(when) for when, _ in bench.boots] == [0, 10]
    assert [type(end) for end in bench.ends] == [Restart]


def test_a_connection_that_ends_without_a_word_is_a_lost_one():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        bench.line.quiet_end = True
        await bench.sleep(35)

    bench.run(scenario)
    assert sum("MQTT Connected" in line for line in bench.console) == 3
    assert bench.transcript == ["config", "params/local/init"]


def test_a_download_lets_others_run():
    bench = Bench(server={URL: Answer(Firmware("lamp", "1.1", size=0x40000).to_bytes())})
    ticks = []

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        for _ in range(300):
            await asyncio.sleep(0)
            ticks.append(len(bench.heard))

    bench.run(scenario)
    assert len(set(ticks)) > 2
