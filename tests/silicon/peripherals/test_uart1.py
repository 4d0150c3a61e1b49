"""The second UART, which nothing is connected to, under compiled drivers."""

from __future__ import annotations

import pytest
from builds import C6, fetched_release
from micropython import ask, prompt, two_slots
from real_roms import real_rom

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.silicon import Machine


@pytest.mark.parametrize("chip", ["esp32c3", "esp32c6"])
def test_what_is_sent_on_it_leaves_and_nothing_comes(chip):
    if chip == "esp32c3":
        session = prompt(Machine("esp32c3"), two_slots("1/VALID"))
    else:
        machine = Machine("esp32c6", rom=real_rom("esp32c6"))
        session = machine.session(Chip(chip, flash=Flash.from_bytes(fetched_release(C6[1].release), size=0x400000)))
        assert session.run(3, until=">>> ")
        session.take()
    ask(session, "from machine import UART; u = UART(1, 115200, tx=4, rx=5)")
    assert ask(session, "print(u.write('x' * 300), u.flush(), u.txdone(), u.any())") == "300 None True 0"
    assert session.trap is None
