"""Consoles of public threads, written anew: other numbers, names and times, and what matters as it was there.

Each cause was decided from how its thread ended; of the first 28, before whoever wrote them had seen a rule. The
rules of that day told 21 of those, then 10 of the next 16, and 5 of the last 10.
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


def test_an_app_that_gave_itself_up_was_not_reset_before_its_confirmation():
    given_up = "E (9) esp_rmaker_ota: Could not verify firmware even after 90 seconds since boot-up. Rolling back.\n"
    told = "I (30) esp_rmaker_ota: Reporting rejected: Firmware rolled back\n"
    assert _names(given_up + ROM + told)[0] == "self-test-failed"
    assert _names(ROM + told)[0] == "rolled-back-earlier"


def test_a_flash_that_answers_the_second_time_is_no_fault():
    silent = ROM + "flash read err, 1000\nets_main.c 371\n"
    answers = ROM + "load:0x3fff0018,len:4\nentry 0x40080764\n"
    assert _names(silent + answers) == ["flash-late"]
    assert _names(silent + answers + silent) == ["flash-unreadable"]
    assert _names(answers + silent) == ["flash-unreadable"]


@pytest.mark.parametrize(("wanted", "cause"), [("v251.85", "app-descriptor"), ("v1.4", "efuse-block-revision")])
def test_a_block_revision_that_no_chip_has_is_no_revision(wanted, cause):
    assert _names(f"E (9) boot_comm: Image requires efuse blk rev >= {wanted}, but chip is v1.3\n") == [cause]


@pytest.mark.parametrize("day", ["02.04.2025 - ", "2.4.25 ", "02/04/2025, ", "2025-04-02 ", ""])
def test_a_line_is_known_behind_a_day_of_any_form(day):
    assert _names(f"[{day}10:11:12] E boot_comm: mismatch chip ID, expected 0, found 5\n") == ["chip-id"]
