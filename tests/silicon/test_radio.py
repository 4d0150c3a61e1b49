"""Wi-Fi of real apps as far as it goes here: calibration ends, the driver starts, no frame is sent."""

from __future__ import annotations

import pytest
from builds import C6, fetched_release
from micropython import ask, to_prompt, two_slots
from real_roms import real_rom

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.silicon import Machine


@pytest.fixture(params=["esp32c3", "esp32c6"])
def session(request):
    """MicroPython at its prompt, on its real ROM: its driver is in there."""
    machine = Machine(request.param, rom=real_rom(request.param))
    if request.param == "esp32c3":
        session = machine.session(two_slots("1/VALID"))
        to_prompt(session)
        return session
    session = machine.session(Chip("esp32c6", flash=Flash.from_bytes(fetched_release(C6[1].release), size=0x400000)))
    assert session.run(3, until=">>> "), session.take()
    session.take()
    return session


def test_a_station_starts_and_is_connected_to_nobody(session):
    assert ask(session, "import network; w = network.WLAN(network.STA_IF); print(w.active(True))") == "True"
    assert ask(session, "print(w.active(), w.isconnected(), w.ifconfig()[0])") == "True False 0.0.0.0"
    assert ask(session, "print(w.active(False))") == "False"
    assert session.trap is None


def test_an_access_point_starts_and_serves_whoever_is_on_the_chip(session):
    ask(session, "import network, socket; a = network.WLAN(network.AP_IF); a.active(True)")
    assert ask(session, "print(a.active(), a.ifconfig()[0])") == "True 192.168.4.1"
    ask(session, "s = socket.socket(); s.bind(('192.168.4.1', 80)); s.listen(1); s.setblocking(False)")
    ask(session, "c = socket.socket(); c.connect(('192.168.4.1', 80)); p = s.accept()[0]; c.send(b'GET /')")
    assert ask(session, "print(p.recv(5))") == "b'GET /'"
    assert session.trap is None
