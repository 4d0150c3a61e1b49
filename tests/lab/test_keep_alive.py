"""A node without power, as a cloud sees it whose broker waits for the keep-alive."""

from __future__ import annotations

import asyncio
from functools import partial

from py_esp_ota import Firmware, Lab
from py_esp_ota.world import EPOCH, memory_world

APP = Firmware("lamp", "1.0.0").to_bytes()


def online_for(**world):
    """Seconds that the cloud takes a node for connected whose plug was pulled."""
    with Lab(partial(memory_world, epoch=EPOCH, **world)) as lab:
        lamp = lab.device(firmware=APP, node_id="n1")
        lamp.power_on()
        lab.run(lab.settled("n1", seconds=60))
        lamp.power_off()
        for seconds in range(300):
            if not lab.is_online("n1"):
                return seconds
            lab.run(asyncio.sleep(1))
    return None


def test_by_default_the_cloud_knows_at_once():
    assert online_for() <= 1


def test_with_the_keep_alive_of_a_node_it_takes_half_as_long_again():
    assert 170 <= online_for(keep_alive=120) <= 180
