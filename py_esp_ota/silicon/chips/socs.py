"""The chips that machine code runs on."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.silicon.chips.esp32 import ESP32
from py_esp_ota.silicon.chips.esp32c2 import ESP32C2
from py_esp_ota.silicon.chips.esp32c3 import ESP32C3
from py_esp_ota.silicon.chips.esp32c5 import ESP32C5
from py_esp_ota.silicon.chips.esp32c6 import ESP32C6
from py_esp_ota.silicon.chips.esp32c61 import ESP32C61
from py_esp_ota.silicon.chips.esp32h2 import ESP32H2
from py_esp_ota.silicon.chips.esp32s2 import ESP32S2
from py_esp_ota.silicon.chips.esp32s3 import ESP32S3
from py_esp_ota.silicon.chips.soc import Soc

_ALL = (ESP32C3, ESP32C2, ESP32C6, ESP32H2, ESP32C61, ESP32C5, ESP32, ESP32S2, ESP32S3)
SOCS: Mapping[str, Soc] = {soc.name: soc for soc in _ALL}
