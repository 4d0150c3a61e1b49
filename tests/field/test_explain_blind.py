"""Consoles of public threads, written anew: other numbers, names and times, and what matters as it was there.

Each cause was decided from how its thread ended, before whoever wrote the log had seen a rule. Of the first 28 the
rules of that day told 21.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from py_esp_ota.field.explain.explain import explain
from py_esp_ota.field.explain.words import lines_of

LOGS = Path(__file__).parents[1] / "vectors/blind"
INDEX = json.loads((LOGS / "index.json").read_text())


@pytest.mark.parametrize("name", INDEX)
def test_the_likeliest_cause_is_the_one_the_thread_came_to(name):
    found = explain((LOGS / name).read_bytes())
    assert found.cause is not None
    assert found.cause.name == INDEX[name]["cause"], lines_of(name, found)


def test_the_set_is_wide_enough():
    assert {path.name for path in LOGS.glob("*.log")} == set(INDEX)
    assert len(INDEX) >= 25
    assert len({log["cause"] for log in INDEX.values()}) >= 15


def _names(text):
    return [cause.name for cause in explain(text.encode()).causes]


ROM = "ets Jul 29 2019 12:21:46\nrst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
PSRAM = "E (161) quad_psram: PSRAM ID read error: 0x00000000, PSRAM chip not found or not supported\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (PSRAM + "E (170) cpu_start: Failed to init external RAM!\n", True),
        (PSRAM + "I (170) cpu_start: Failed to init external RAM; continuing without it.\n", False),
        ("W (161) quad_psram: PSRAM ID read error: 0x00000d0d, fallback to use default driver pattern\n", False),
    ],
)
def test_missing_psram_is_a_cause_where_the_app_wants_it(text, named):
    assert ("psram" in _names(ROM + text)) is named


@pytest.mark.parametrize(
    ("mode", "cause"), [("QIO", "flash-mode"), ("QOUT", "flash-mode"), ("DIO", "bootloader-damaged")]
)
def test_nonsense_that_four_lines_read_is_about_the_mode(mode, cause):
    assert _names(f"{ROM}mode:{mode}, clock div:1\nload:0x3fff0010,len:8\nload:0xffffffff,len:-1\n")[0] == cause


def test_a_table_whose_rows_are_cut_off_is_not_missing():
    rest = "I (93) boot: End of partition table\nE (483) boot: No bootable app partitions in the partition table\n"
    assert "table-missing" in _names("I (60) boot: Partition Table:\n" + rest)
    assert "table-missing" not in _names(rest)


def test_a_later_choice_of_otadata_ends_its_damage():
    damaged = "E (94) boot: ota data partition invalid, falling back to factory\n"
    loaded = "I (140) boot: Loaded app from partition at offset 0x10000\n"
    assert "otadata-damaged" in _names(ROM + damaged)
    assert "otadata-damaged" not in _names(ROM + damaged + loaded + ROM + loaded)


def test_what_rom_says_behind_a_refused_signature_is_no_fault_of_the_flash():
    assert _names(ROM + "secure boot verification failed\nets_main.c 329\n") == ["rom-signature"]
