"""``esp-ota preflight --profile``: what a project's own updater, table and habits add to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.firmware import Firmware, bootloader, flipped, merge, ota_select_entry

OLD, NEW, SAFEBOOT = (Firmware(name, version).to_bytes() for name, version in (("a", "1"), ("a", "2"), ("boot", "1")))
VALID = ota_select_entry(1, 2)


def flash(profile, table=None):
    """A board of a project with its first table that takes updates, the old app in the first slot."""
    rows = PartitionTable.from_csv((table or PROFILES[profile].ota_tables[0]).csv)
    parts = {0: bootloader(), 0x8000: rows.to_bytes(), rows.find(type=0, subtype=0x10).offset: OLD}
    otadata, factory = rows.find(type=1, subtype=0), rows.find(type=0, subtype=0)
    if otadata is not None:
        parts[otadata.offset] = VALID
    if factory is not None:
        parts[factory.offset] = SAFEBOOT
    return merge(parts).ljust(0x400000, b"\xff")


def ask(folder: Path, dump, new, *words):
    (folder / "flash.bin").write_bytes(dump)
    (folder / "new.bin").write_bytes(new)
    done = CliRunner().invoke(main, ["preflight", str(folder / "flash.bin"), str(folder / "new.bin"), *words, "--json"])
    assert done.exit_code in {0, 1}, done.output
    found = json.loads(done.stdout)
    assert (found["verdict"] == "refused") == (found["findings"][0]["severity"] == "refused")
    return found, {one["id"]: one for one in found["findings"]}


@pytest.mark.parametrize(
    ("profile", "spoil", "code", "words"),
    [
        ("arduino", lambda image: image, 0, "own updater takes it"),
        ("arduino", lambda image: b"\0" + image[1:], 8, "Update answers 8, Wrong Magic Byte"),
        ("arduino", lambda image: image.ljust(0x140001, b"\xff"), 5, "Update answers 5, Bad Size Given"),
        ("wled", lambda image: flipped(image, 0x3000), 9, "Update answers 9, Could Not Activate The Firmware"),
        ("esphome", lambda image: image, 0, "own updater takes it"),
        ("esphome", lambda image: flipped(image, 0x3000), 0x84, "ESPHome answers 0x84"),
        ("esphome", lambda image: image.ljust(0x1C0001, b"\xff"), 0x89, "ESPHome answers 0x89"),
        (
            "micropython",
            lambda image: flipped(image, 0x3000),
            -0x1503,
            "OSError: (-5379, 'ESP_ERR_OTA_VALIDATE_FAILED')",
        ),
        ("idf-example", lambda image: flipped(image, 0x3000), 0x1503, "esp_ota_end answers"),
        ("tasmota", lambda image: image, 0, "safeboot writes it, which runs until it is there"),
    ],
)
def test_the_projects_own_updater_answers(tmp_path, profile, spoil, code, words):
    _, by = ask(tmp_path, flash(profile), spoil(NEW), "--profile", profile)
    found = by["profile-updater"]
    assert found["facts"]["code"] == code
    assert words in found["text"]
    assert found["severity"] == ("note" if code == 0 else "refused")


def test_tasmota_with_one_slot_takes_an_update_by_its_safeboot(tmp_path):
    refused, _ = ask(tmp_path, flash("tasmota"), NEW)
    assert refused["verdict"] == "refused"
    taken, by = ask(tmp_path, flash("tasmota"), NEW, "--profile", "tasmota")
    assert (taken["verdict"], taken["partition"]) == ("runs", "app0")
    assert by["running"]["facts"]["partition"] == "safeboot"


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "rainmaker"])
def test_a_table_of_the_projects_own_is_known(tmp_path, profile):
    table = PROFILES[profile].ota_tables[0]
    _, by = ask(tmp_path, flash(profile), NEW, "--profile", profile)
    assert by["profile-table"]["facts"] == {"found": table.name}
    _, by = ask(tmp_path, flash("idf-example"), NEW, "--profile", "arduino")
    assert by["profile-table"]["facts"] == {"found": None}


def test_crash_loops_depend_on_the_bootloader_where_they_do(tmp_path):
    def loops(profile, *words):
        found, _ = ask(tmp_path, flash(profile), NEW, "--profile", profile, *words)
        return [
            (one["severity"], one["facts"]["outcome"]) for one in found["findings"] if one["id"] == "profile-crash-loop"
        ]

    assert loops("arduino") == [("risk", "loop")]
    assert loops("wled") == [("note", "swapped")]
    assert loops("esphome") == [("unknown", "rolled-back"), ("unknown", "safe-mode")]
    assert loops("esphome", "--no-rollback") == [("note", "safe-mode")]
    assert loops("esphome", "--rollback") == [("note", "rolled-back")]
    assert loops("micropython", "--no-rollback") == [("risk", "loop")]


def test_tasmota_has_no_safeboot_on_a_table_with_two_slots(tmp_path):
    """``EspPrepSwitchPartition`` does nothing there."""
    for profile, outcome in (("tasmota", "recovery"), ("arduino", "loop")):
        found, by = ask(tmp_path, flash(profile), NEW, "--profile", "tasmota")
        assert found["verdict"] == "runs"
        assert by["profile-crash-loop"]["facts"]["outcome"] == outcome
        assert by["profile-crash-loop"]["severity"] == ("risk" if outcome == "loop" else "note")


def test_who_confirms(tmp_path):
    _, by = ask(tmp_path, flash("micropython"), NEW, "--profile", "micropython")
    assert (by["profile-confirms"]["severity"], by["profile-confirms"]["facts"]) == ("risk", {"when": "by-the-program"})
    _, by = ask(tmp_path, flash("esphome"), NEW, "--profile", "esphome")
    assert "ESPHome confirms a new app after 60 s" in by["profile-confirms"]["text"]
    _, by = ask(tmp_path, flash("esphome"), NEW)
    assert not [name for name in by if name.startswith("profile")]
