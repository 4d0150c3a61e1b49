"""``esp-ota boot``: how the board is set up from the command line, and what is written back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, merge, ota_select_entry

TABLE = PartitionTable.builtin("two_ota")
APP, OTHER, OLD = (Firmware("lamp", v, secure_version=s).to_bytes() for v, s in (("1", 2), ("2", 3), ("0", 0)))
VALID, NEW, PENDING = 2, 0, 1


def run(*words: object):
    done = CliRunner().invoke(main, ["boot", *(str(word) for word in words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


def boots(*words: object):
    return json.loads(run(*words, "--json").stdout)


def flash_file(folder: Path, *states: int) -> Path:
    entries = [ota_select_entry(number, state).ljust(0x1000, b"\xff") for number, state in enumerate(states, 1)]
    parts = {0: bootloader(), 0x8000: TABLE.to_bytes(), 0xD000: b"".join(entries)}
    parts |= {TABLE.find(label=label).offset: image for label, image in (("ota_0", APP), ("ota_1", OTHER))}
    parts[TABLE.find(label="factory").offset] = OLD
    path = folder / "flash.bin"
    path.write_bytes(merge(parts))
    return path


def test_n_boots_in_a_row_are_n_reports_on_one_copy(tmp_path):
    path = flash_file(tmp_path, VALID, NEW)
    before = path.read_bytes()
    reports = boots(path, "--times", 3)
    assert [(r["partition"], r["state"]) for r in reports] == [
        ("ota_1", "PENDING_VERIFY"),
        ("ota_0", "VALID"),
        ("ota_0", "VALID"),
    ]
    assert [r["otadata_writes"] for r in reports] == [
        [{"entry": 1, "ota_seq": 2, "state": "PENDING_VERIFY"}],
        [{"entry": 1, "ota_seq": 2, "state": "ABORTED"}],
        [],
    ]
    assert path.read_bytes() == before


def test_rollback_off_leaves_a_new_app_new(tmp_path):
    path = flash_file(tmp_path, VALID, NEW)
    assert boots(path, "--no-rollback")["state"] == "NEW"
    assert boots(path, "--rollback")["state"] == "PENDING_VERIFY"


def test_rollback_on_the_command_line_changes_that_option_of_the_file_and_no_other(tmp_path):
    path, config = flash_file(tmp_path, VALID, NEW), tmp_path / "sdkconfig"
    config.write_text("CONFIG_BOOTLOADER_FACTORY_RESET=y\nCONFIG_BOOTLOADER_OTA_DATA_ERASE=y\n")
    words = (path, "--config", config, "--hold-pin", "4")
    assert boots(*words)["partition"] == "factory"
    assert boots(*words, "--rollback")["partition"] == "factory"


def test_options_that_exclude_each_other_are_refused(tmp_path):
    path, config = flash_file(tmp_path, VALID), tmp_path / "sdkconfig"
    config.write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y\n")
    done = run(path, "--config", config, "--no-rollback")
    assert done.exit_code == 2
    assert "BOOTLOADER_APP_ANTI_ROLLBACK needs BOOTLOADER_APP_ROLLBACK_ENABLE" in done.stderr


def test_write_saves_the_flash_and_the_efuses(tmp_path):
    path, config, fuses = flash_file(tmp_path, VALID, VALID), tmp_path / "sdkconfig", tmp_path / "efuse.json"
    config.write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y\n")
    fuses.write_text(EFuse("esp32c3").to_json())
    words = (path, "--config", config, "--efuse", fuses)
    assert boots(*words)["efuse_changes"] == {"secure_version": [0, 3]}
    assert EFuse.from_json(fuses.read_text()).secure_version == 0
    run(*words, "--write")
    assert EFuse.from_json(fuses.read_text()).secure_version == 3
    assert boots(*words)["efuse_changes"] == {}


def test_the_reset_reason_and_a_short_hold(tmp_path):
    path, config = flash_file(tmp_path, VALID), tmp_path / "sdkconfig"
    config.write_text("CONFIG_BOOTLOADER_FACTORY_RESET=y\nCONFIG_BOOTLOADER_OTA_DATA_ERASE=y\n")
    words = (path, "--config", config)
    assert boots(*words, "--hold-pin", "4:5")["partition"] == "factory"
    assert boots(*words, "--hold-pin", "4:4.9")["partition"] == "ota_0"
    assert boots(*words, "--hold-pin", "4=1")["partition"] == "ota_0"
    assert boots(*words, "--hold-pin", "4", "--reset-reason", "deepsleep")["partition"] == "ota_0"


@pytest.mark.parametrize("pin", ["x", "4=2", "-1", "4:-1", "4:", "4=", ":3"])
def test_what_is_no_pin_is_misuse(tmp_path, pin):
    done = run(flash_file(tmp_path, VALID), f"--hold-pin={pin}")
    assert (done.exit_code, "--hold-pin" in done.stderr) == ((0, False) if pin in {"4:", "4="} else (2, True))


def test_a_dead_device_says_that_it_resets_for_ever(tmp_path):
    path = tmp_path / "flash.bin"
    path.write_bytes(merge({0: bootloader(), 0x8000: TABLE.to_bytes()}))
    done = run(path)
    assert done.exit_code == 1
    assert "for ever" in done.stdout
    assert boots(path)["ok"] is False
