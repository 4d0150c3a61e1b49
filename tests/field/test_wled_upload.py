"""WLED's upload: the release name in an image, looked at before anything is written."""

from __future__ import annotations

import pytest

from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.field.profiles.stories import bring, scene_of
from py_esp_ota.field.profiles.updaters.answering import UpdaterError
from py_esp_ota.firmware import Firmware


def wled(version, release, *, layout=1, safe=(0, 15, 2), app="1.0.0", spoil=0):
    """An image of WLED as far as its updater looks."""
    value = 5381
    for byte in release.encode():
        value = (value * 33 + byte) & 0xFFFFFFFF
    head = b"STSW" + bytes((layout, 0, 0, 0)) + version.encode().ljust(48, b"\0") + release.encode().ljust(48, b"\0")
    payload = head + (value ^ spoil).to_bytes(4, "little") + bytes(safe)
    return Firmware("wled", app, size=0x14000, payload=payload).to_bytes()


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (wled("16.0.1", "ESP32-C3", app="2"), ""),
        (wled("16.0.1", "ESP32-C3_V4", app="2"), ""),
        (wled("16.0.1", "ESP32", app="2"), "release name mismatch: current='ESP32-C3', uploaded='ESP32'."),
        (wled("16.0.1", "ESP32-C3", app="2", spoil=1), "missing compatibility metadata."),
        (Firmware("wled", "2", size=0x14000).to_bytes(), "missing compatibility metadata."),
        (wled("18.0.0", "ESP32-C3", app="2", layout=2, safe=(16, 1, 0)), "requires at least 16.1.0, current='16.0.0'."),
        (wled("18.0.0", "ESP32-C3", app="2", layout=2, safe=(16, 0, 0)), ""),
        (wled("18.0.0", "ESP32-C3", app="2", layout=2, safe=(15, 9, 9)), ""),
    ],
)
def test_wled_declines_another_release(new, said):
    played = scene_of(PROFILES["wled"], (wled("16.0.0", "ESP32-C3"), new))
    life = played.life()
    life.power_on()
    if said:
        with pytest.raises(UpdaterError, match="WLED answers 500") as refused:
            bring(PROFILES["wled"], life, new)
        assert refused.value.answer.text.endswith(said)
    else:
        bring(PROFILES["wled"], life, new)
        life.restart()
        assert life.runs(new)


def test_a_wled_from_before_there_was_metadata_declines_nothing():
    life, new = scene_of(PROFILES["wled"]).life(), wled("16.0.0", "ESP32", app="2")
    life.power_on()
    bring(PROFILES["wled"], life, new)
    life.restart()
    assert life.runs(new)
