"""The chips that machine code runs on."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.silicon.chips.esp32c2 import ESP32C2
from py_esp_ota.silicon.chips.esp32c3 import ESP32C3
from py_esp_ota.silicon.chips.esp32c5 import ESP32C5
from py_esp_ota.silicon.chips.esp32c6 import ESP32C6
from py_esp_ota.silicon.chips.esp32c61 import ESP32C61
from py_esp_ota.silicon.chips.esp32h2 import ESP32H2
from py_esp_ota.silicon.chips.soc import Soc

SOCS: Mapping[str, Soc] = {soc.name: soc for soc in (ESP32C3, ESP32C2, ESP32C6, ESP32H2, ESP32C61, ESP32C5)}
