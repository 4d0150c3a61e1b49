"""OTA over MQTT streams in the lab: the cloud's half and the node's half, in memory and over a real broker."""

from __future__ import annotations

from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig

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
