"""``esp-ota explain`` names the project that a console is of."""

from __future__ import annotations

import pytest

from py_esp_ota.field.explain.explain import explain
from py_esp_ota.field.explain.project import project_of
from py_esp_ota.field.explain.words import lines_of
from py_esp_ota.field.profiles.profiles import PROFILES

BOOT = (
    "rst:0x3 (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\nI (60) boot: Loaded app from partition at offset 0x10000\n"
)
LINES = {
    "esphome": "\x1b[0;35m[C][safe_mode:023]:   Bootloader rollback: not supported\x1b[0m",
    "wled": "---WLED 16.0.0 2506160 INIT---",
    "tasmota": "00:00:00.121-033 Project tasmota - Tasmota Version 15.2.0(tasmota)-3_3_6(2026-01-01T10:00:00)",
    "micropython": "MicroPython v1.28.0 on 2026-04-01; Generic ESP32C3 module with ESP32C3",
    "rainmaker": "I (812) esp_rmaker_ota: OTA state = 1",
    "idf-example": "I (812) native_ota_example: Starting OTA example task",
    "arduino": "I (301) app_init: Project name:     arduino-lib-builder",
}


def test_there_is_a_line_of_each():
    assert set(LINES) == set(PROFILES)


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_only_one_project_prints_names_it(name):
    found = explain((BOOT + LINES[name] + "\n").encode())
    assert (found.project.profile.name, found.project.line) == (name, 3)
    assert found.to_dict()["project"]["confirms"] == PROFILES[name].confirm.when
    head = "\n".join(lines_of("log", found))
    assert f"line 3 is {PROFILES[name].title}'s: it confirms a new app {PROFILES[name].confirm.in_short}; " in head


def test_what_is_built_on_arduino_is_not_taken_for_a_sketch():
    assert project_of(f"{LINES['arduino']}\n{LINES['wled']}\n".encode()).profile.name == "wled"
    assert project_of(f"{LINES['arduino']}\n{LINES['esphome']}\n".encode()).profile.name == "esphome"


def test_a_console_of_nobody():
    found = explain(BOOT.encode())
    assert found.project is None
    assert found.to_dict()["project"] is None
    assert project_of(b"\xff\xfe" + LINES["wled"].encode("utf-16-le")) is None


@pytest.mark.parametrize("name", ["esphome", "arduino", ""])
def test_who_was_rolled_back_is_told_how_his_project_confirms(name):
    table = "I (50) boot:  {0} app{0}             OTA app          00 1{0} 00{1}0000 00140000\n"
    rows = table.format(0, "01") + table.format(1, "15")
    reset = "rst:0x3 (RTC_SW_SYS_RST),boot:0x8 (SPI_FAST_FLASH_BOOT)\n"
    boots = [f"{reset}{rows}I (60) boot: Loaded app from partition at offset 0x{at}0000\n" for at in (1, 15, 1)]
    boots.insert(1, LINES.get(name, "") + "\n")
    found = explain("".join(boots).encode())
    cause = next(one for one in found.causes if one.name == "rolled-back")
    assert cause.do.startswith("Call esp_ota_mark_app_valid_cancel_rollback() once the new app has proved itself")
    if name:
        assert cause.do.endswith(f"{PROFILES[name].title}: {PROFILES[name].confirm.text}.")
    else:
        assert cause.do.endswith("ESPHome waits 60 s, Arduino confirms at start.")
