"""What a profile says of a project, held against a real build of it, by package name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.adapters.roms import fetch_rom
from py_esp_ota.chip import Chip
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.field.preflight.board import Board
from py_esp_ota.field.preflight.preflight import preflight
from py_esp_ota.field.preflight.texts import confirms
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.detect import detect_start, detect_target, load_flash
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.can_roll_back import can_roll_back
from py_esp_ota.silicon.oracle import OwnMachine

pytestmark = pytest.mark.timeout(300)
SHIPPED = {name: profile.shipped for name, profile in PROFILES.items() if profile.shipped}


def flash_of(name):
    one = SHIPPED[name][0]
    try:
        data = fetch(Release(one.package, one.version, one.path, one.sha256, python=one.python))
    except Unusable as error:
        pytest.skip(str(error))
    return load_flash(data, start=detect_start(data) or 0)


def app_of(name):
    """The chip, the partition that boots, and the bytes of its app."""
    flash = flash_of(name)
    target = detect_target(flash).name
    report = boot(Chip(target, flash=flash), Sdkconfig())
    return flash, target, report, flash.mmap(report.partition.offset, report.partition.size)


def test_two_projects_have_a_real_build():
    assert set(SHIPPED) == {"arduino", "micropython"}


def test_arduinos_update_has_the_texts_of_its_answers_and_its_table_is_one_of_the_cores():
    flash, _, report, app = app_of("arduino")
    assert report.app_desc.project_name == PROFILES["arduino"].marks[0].text
    texts = [answer.text.encode() for answer in PROFILES["arduino"].answers.known]
    assert [text for text in texts if text + b"\0" not in app] == []
    named = {table.name: PartitionTable.from_csv(table.csv) for table in PROFILES["arduino"].tables}
    rows = PartitionTable.from_bytes(flash.mmap(0x8000, 0xC00))
    assert [(row.type, row.offset, row.size) for row in rows] == [
        (row.type, row.offset, row.size) for row in named["huge_app"]
    ]
    assert confirms(app) is None  # built without logs, its bytes do not tell: the profile does


def test_micropython_has_the_call_that_confirms_and_no_otadata():
    flash, _, report, app = app_of("micropython")
    assert report.app_desc.project_name == ""
    assert b"mark_app_valid_cancel_rollback" in app
    assert confirms(app) is None
    rows = PartitionTable.from_bytes(flash.mmap(0x8000, 0xC00))
    assert rows.find(type=1, subtype=0) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_its_bootloader_rolls_back_as_the_profile_says(name):
    flash, target, _, _ = app_of(name)
    chip = Chip(target, flash=Flash.from_bytes(flash.to_bytes(), size=0x400000))
    try:
        rom = None if target == "esp32c3" else fetch_rom(target)
    except ValueError as reason:
        pytest.skip(str(reason))
    assert can_roll_back(chip, OwnMachine(count=False, rom=rom)).answer is PROFILES[name].rollback.enabled


def test_preflight_says_of_a_real_arduino_board_what_its_update_would():
    """Its table has one slot, which runs: ``esp_ota_begin`` refuses, and ``Update`` erases it, which ends the app."""
    flash, target, _, app = app_of("arduino")
    board = Board(
        name="board",
        flash=flash,
        target=detect_target(flash),
        efuse=Chip(target, flash=flash).efuse,
        knows_efuse=False,
        config=replace(Sdkconfig(), idf_version=(5, 5, 5)),
        says_config=False,
        says_rollback=False,
        release="",
        end=flash.size,
    )
    found = preflight(board, app.rstrip(b"\xff"), PROFILES["arduino"])
    by = {one.id: one for one in found.findings}
    assert by["profile-table"].facts == {"found": "huge_app"}
    assert found.findings[0].function == "esp_ota_begin"
    assert "main_flash_region_protected: 0x10000 is in the running app app0" in by["profile-updater"].text
