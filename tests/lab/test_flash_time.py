"""A device whose flash and network take time: each part of an update lasts as long as their figures say."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

from py_esp_ota import Device, Firmware, Lab
from py_esp_ota.adapters.link import Link, SlowFetch
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.chip import Chip
from py_esp_ota.flash_clock import FlashClock, PayingMqtt
from py_esp_ota.flash_timing import DEFAULT, flash_timing

OLD = Firmware("lamp", "1.0.0").to_bytes()
NEW = Firmware("lamp", "1.1.0", size=0x20000).to_bytes()


@cache
def updated(**how):
    """Phases of an update by their words, and what the device printed."""
    with Lab() as lab:
        device = lab.device("two_ota", firmware=OLD, **how)
        device.power_on()
        lab.run(lab.settled(device.node_id, seconds=60))
        image = lab.run(lab.upload(NEW, name="1.1.0"))
        job = lab.run(lab.start_job("job", image, nodes=[device.node_id]))
        lab.run(lab.until(lambda: device.running and device.running.version == "1.1.0", seconds=3600))
        lab.run(lab.until(lambda: lab.reports(job, device.node_id)[-1]["status"] == "success", seconds=3600))
        return dict(lab.phases(job, device.node_id)), device.console


@pytest.fixture(scope="module")
def instant():
    return updated()


def test_a_download_takes_the_time_of_its_flash(instant):
    """Sector by sector, for the agent writes as it downloads: 45 ms each, and the pages of them."""
    phases, _ = updated(flash_timing="W25Q32JV")
    sectors, pages = -(-len(NEW) // 0x1000), -(-len(NEW) // 0x100)
    expected = sectors * 0.045 + pages * 4 * DEFAULT.typical.program(64)
    word = "Downloading Firmware Image"
    assert instant[0][word] < 0.1
    assert phases[word] - instant[0][word] == pytest.approx(expected, rel=0.05)


def test_a_download_takes_the_time_of_its_link_too(instant):
    phases, _ = updated(link=Link(20_000, 0.25))
    word = "Downloading Firmware Image"
    assert phases[word] - instant[0][word] == pytest.approx(len(NEW) / 20_000, rel=0.05)


def test_without_figures_nothing_has_changed(instant):
    assert updated.__wrapped__() == instant
    assert updated(flash_timing="W25Q32JV")[1] != instant[1]


def test_another_chip_takes_another_time():
    slow, fast = updated(flash_timing="W25Q32JV")[0], updated(flash_timing="ESP32-C3FH4")[0]
    assert slow["Downloading Firmware Image"] > 1.2 * fast["Downloading Firmware Image"]


def test_looking_through_an_image_takes_the_time_of_the_bus():
    device = Device("two_ota", firmware=NEW)
    clock = FlashClock(device.chip, DEFAULT)
    device.power_on()
    assert device.chip.judged == len(NEW)
    assert clock.owed() >= len(NEW) / DEFAULT.read_bytes_per_second
    assert clock.owed() == 0


def test_who_waits_for_the_flash_goes_on_in_order():
    """The first to speak after an erase owes its time, and the second does not overtake it."""
    said = []

    class Silent:
        subscribe = unsubscribe = None

        async def publish(self, topic, _payload, *, dup=False):
            said.append((topic, round(asyncio.get_running_loop().time(), 3)))

    class Here:
        def __call__(self, _client_id, _will=None):
            return self

        async def __aenter__(self):
            return Silent()

        async def __aexit__(self, *_raised):
            return None

    async def story():
        chip = Chip()
        clock = FlashClock(chip, DEFAULT)
        async with PayingMqtt(Here(), clock)("node") as link:
            chip.flash.erase(0x10000, 0x10000)
            await asyncio.gather(link.publish("first", b""), link.publish("second", b""))
            await link.publish("third", b"")

    run_virtual(story())
    assert said == [("first", 0.15), ("second", 0.15), ("third", 0.15)]


def test_the_plug_is_pulled_while_the_flash_is_at_work():
    """The device lies dead, and its next life begins with a boot."""
    with Lab() as lab:
        device = lab.device("two_ota", firmware=OLD, flash_timing="W25Q32JV")
        device.power_on()
        device.flash.erase(0x200000, 0x100000)  # 2.4 s
        lab.run(asyncio.sleep(1))
        assert not lab.is_online(device.node_id)
        device.power_off()
        lab.run(asyncio.sleep(5))
        assert not lab.is_online(device.node_id)
        device.power_on()
        lab.run(lab.settled(device.node_id, seconds=60))
        assert len(device.boots) == 2


@pytest.mark.parametrize(
    ("text", "link"), [("125k@40", Link(125_000, 0.04)), ("1.5M", Link(1_500_000)), ("9600@0", Link(9600))]
)
def test_a_link_is_spelled(text, link):
    assert Link.parse(text) == link


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "12@", "1G", "1e5", "٣"])
def test_no_link(text):
    with pytest.raises(ValueError, match="link"):
        Link.parse(text)


def test_a_slow_fetch_begins_a_round_trip_later():
    async def story():
        from contextlib import asynccontextmanager

        class Body:
            status, headers = 200, {}

            async def read(self, limit):
                return b"x" * limit

        @asynccontextmanager
        async def fetch(_url, _headers):
            yield Body()

        loop = asyncio.get_running_loop()
        times = []
        async with SlowFetch(fetch, Link(1000, 0.5))("https://x", {}) as response:
            times.append(loop.time())
            await response.read(100)
            times.append(loop.time())
        return times

    assert run_virtual(story()) == pytest.approx([0.5, 0.6])


def test_a_device_with_a_flash_nobody_knows():
    with pytest.raises(ValueError, match="no times are known of flash W99"):
        Device("two_ota", firmware=OLD, flash_timing="W99")
    assert flash_timing("w25q32jv") is DEFAULT
