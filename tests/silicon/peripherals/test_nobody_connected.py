"""Buses with nothing connected to them, under a real app's compiled drivers: each says so, none waits for ever."""

from __future__ import annotations

import pytest
from builds import C6, fetched_release
from micropython import ask, prompt, two_slots
from real_roms import real_rom

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.silicon import Machine


@pytest.fixture(scope="module", params=["esp32c3", "esp32c6"])
def session(request):
    """MicroPython at its prompt, for all of these: each leaves it there."""
    if request.param == "esp32c3":
        return prompt(Machine("esp32c3"), two_slots("1/VALID"))
    machine = Machine("esp32c6", rom=real_rom("esp32c6"))
    session = machine.session(Chip("esp32c6", flash=Flash.from_bytes(fetched_release(C6[1].release), size=0x400000)))
    assert session.run(3, until=">>> ")
    session.take()
    return session


@pytest.mark.parametrize(
    ("setup", "line", "answer"),
    [
        ("UART; u = UART(1, 115200, tx=4, rx=5)", "u.write('x' * 300), u.flush(), u.any()", "300 None 0"),
        ("SPI, Pin; s = SPI(1, sck=Pin(4), mosi=Pin(5), miso=Pin(6))", "s.read(3), s.read(99) == b'\\xff' * 99",
         "b'\\xff\\xff\\xff' True"),
        ("I2C, Pin; i = I2C(0, scl=Pin(4), sda=Pin(5))", "i.scan()", "[]"),
        ("Pin; import esp32; r = esp32.RMT(0, pin=Pin(7)); r.write_pulses((100,) * 40, 1)", "r.wait_done(timeout=9)",
         "True"),
        ("Pin; import neopixel; n = neopixel.NeoPixel(Pin(8), 60)", "n.write()", "None"),
    ],
    ids=["uart", "spi", "i2c", "rmt", "leds"],
)  # fmt: skip
def test_what_is_sent_leaves_and_nothing_comes(session, setup, line, answer):
    assert ask(session, f"from machine import {setup}") == ""
    assert ask(session, f"print({line})") == answer
    assert session.trap is None


def test_a_device_that_is_asked_for_by_its_address_is_not_there(session):
    ask(session, "from machine import I2C, Pin; i = I2C(0, scl=Pin(4), sda=Pin(5))")
    assert "ENODEV" in ask(session, "i.readfrom(0x40, 2)")
    assert ask(session, "print(6 * 7)") == "42"
