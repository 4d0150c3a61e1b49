"""OTA over MQTT streams in the lab: the cloud's half and the node's half, in memory and over a real broker."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota.adapters.mosquitto import find_mosquitto
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.socket_world import socket_world

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="Mosquitto is not installed")

OLD = Firmware("lamp", "1.0.0").to_bytes()
NEW = Firmware("lamp", "1.1.0", size=300_000).to_bytes()
OVER_MQTT = Sdkconfig(esp_rmaker_ota_use_mqtt=True)

GOOD = [
    ("triggered", ""),
    ("started", "OTA URL Sent to Node"),
    ("in-progress", "Starting OTA Upgrade (MQTT attempt 1/3)"),
    ("in-progress", "Downloading Firmware Image"),
    ("in-progress", "Firmware Image download complete"),
    ("in-progress", "Rebooting into new firmware (after 1 MQTT attempt)"),
    ("success", "OTA Upgrade finished and verified successfully"),
]


def statuses(reports):
    return [(report["status"], report["additional_info"]) for report in reports]


def test_an_update_over_mqtt_is_one_option():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp1", config=OVER_MQTT)
        lamp.power_on()
        reports = lab.run(lab.update(NEW, name="good"))["lamp1"]
    assert statuses(reports) == GOOD
    assert (lamp.running.version, lamp.state) == ("1.1.0", "VALID")


def test_nodes_over_https_and_over_mqtt_share_a_job():
    with Lab() as lab:
        lamps = [lab.device(firmware=OLD, config=config) for config in (None, OVER_MQTT, OVER_MQTT)]
        for lamp in lamps:
            lamp.power_on()
        lab.run(lab.update(NEW, name="both"))
    assert {lamp.running.version for lamp in lamps} == {"1.1.0"}


def test_power_that_goes_in_the_middle_costs_no_block_twice():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp1", config=OVER_MQTT)
        lamp.power_on()

        async def story():
            await lab.settled("lamp1", seconds=60)
            image = await lab.upload(NEW, name="cut")
            lab.faults(lamp, "cut@900")  # the area is erased, and more than two batches are written
            await lab.start_job("cut", image, nodes=["lamp1"])
            await lab.until(lambda: not lamp.flash.powered, seconds=60)
            lab.faults(lamp, "")
            lamp.power_on()
            await lab.until(lambda: lamp.running is not None and lamp.running.version == "1.1.0", seconds=120)
            await asyncio.sleep(60)

        lab.run(story())
    assert lamp.state == "VALID"
    assert any("Resuming MQTT OTA from block" in line for line in lamp.console)


def test_cancelling_the_job_ends_the_update():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp1", config=OVER_MQTT)
        lamp.power_on()

        async def story():
            await lab.settled("lamp1", seconds=60)
            image = await lab.upload(NEW, name="cancelled")
            lab.faults(lamp, "mqtt-lose@2:down")  # the header comes, of the first batch all but one: ten seconds
            job = await lab.start_job("cancelled", image, nodes=["lamp1"])
            await asyncio.sleep(5)
            await lab.cancel_job(job)
            await asyncio.sleep(60)
            return lab.reports(job, "lamp1")

        reports = statuses(lab.run(story()))
    assert ("failed", "OTA Attempt 1/3 failed: OTA failed: ESP_FAIL") in reports
    assert lamp.running.version == "1.0.0"


@needs_mosquitto
def test_an_update_over_mosquitto(tmp_path):
    async def story():
        async with Lab(socket_world(tmp_path, prefer="mosquitto")) as lab:
            lamp = lab.device(firmware=OLD, node_id="lamp1", config=OVER_MQTT)
            lamp.power_on()
            reports = (await lab.update(NEW, name="good", seconds=90))["lamp1"]
            return statuses(reports), lamp.running.version

    assert asyncio.run(story()) == (GOOD, "1.1.0")


def test_without_mosquitto_a_stream_is_refused_in_a_sentence(tmp_path):
    async def story():
        async with Lab(socket_world(tmp_path, prefer="embedded")) as lab:
            with pytest.raises(ValueError, match="OTA over MQTT streams needs Mosquitto"):
                lab.device(firmware=OLD, config=OVER_MQTT)

    asyncio.run(story())
