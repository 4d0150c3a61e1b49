"""``esp-ota sweep`` from outside: exit codes, reports, sentences."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.cli.sweep_inputs import roomy
from py_esp_ota.firmware import Firmware, bootloader


@pytest.fixture(autouse=True)
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, firmware in {
        "old.bin": Firmware("lamp", "1.0.0"),
        "new.bin": Firmware("lamp", "1.1.0"),
        "big.bin": Firmware("lamp", "2", size=0x1FFFF0),
        "s3.bin": Firmware("lamp", "2", chip="esp32s3"),
    }.items():
        Path(name).write_bytes(firmware.to_bytes())
    Path("loader.bin").write_bytes(bootloader())
    Path("broken.bin").write_bytes(Path("new.bin").read_bytes()[:-1] + b"\0")
    Path("table.csv").write_text(PartitionTable.builtin("two_ota_large").to_csv())
    Path("one.csv").write_text("nvs,data,nvs,0x9000,0x6000\nfactory,app,factory,0x10000,1M\n")
    Path("sdkconfig").write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\n")
    Path("fuses.json").write_text(EFuse("esp32c3", secure_version=3).to_json())


def call(*words):
    return CliRunner().invoke(main, ["sweep", *" ".join(words).split()])


def test_the_whole_in_json():
    done = call("old.bin new.bin --json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert set(found["outcomes"]) == {"old", "new", "as_the_chip", "violation"}
    assert sum(found["outcomes"].values()) == found["cases"] > found["operations"] > 10
    assert found["violations"] == found["as_the_chip"] == []


def test_the_reports():
    done = call("old.bin new.bin --story same-slot --html page.html --junit report.xml --sarif report.sarif")
    assert done.exit_code == 0, done.output
    assert "same-slot: 6 flash operations" in done.stdout
    assert "--replay cut@0:after" in " ".join(done.stdout.split())
    assert "<html" in Path("page.html").read_text()
    assert "<testsuite" in Path("report.xml").read_text()
    assert json.loads(Path("report.sarif").read_text())["version"] == "2.1.0"


def test_the_line_that_replays_says_with_what_it_was_played(tmp_path):
    Path("my table.csv").write_text(Path("table.csv").read_text())
    words = ["sweep", "old.bin", "new.bin", "--story", "same-slot", "--partitions", "my table.csv"]
    done = CliRunner().invoke(main, words)
    line = next(line for line in done.stdout.splitlines() if "--replay" in line)
    assert "esp-ota sweep old.bin new.bin --story same-slot --partitions 'my table.csv' --replay " in line


def test_a_case_is_replayed():
    done = call("old.bin new.bin --story same-slot --replay cut@1")
    assert done.exit_code == 0
    assert "otadata: 1/VALID  -" in done.stdout
    assert "Loaded app from partition at offset" in done.stdout
    assert json.loads(call("old.bin new.bin --replay cut@1:torn-erase+cut@2 --json").stdout)["outcome"] == "old"


@pytest.mark.parametrize(
    "options",
    [
        "--partitions table.csv",
        "--partitions two_ota_large",
        "--config sdkconfig",
        "--efuse fuses.json",
        "--clean",
        "--depth 2 --limit 50 --seed 3",
        "--shard 2/3",
        "--cut 3",
        "--story agent-job --weather drop@5000*1+mqtt-cut@2+clock-unset@20",
    ],
)
def test_options(options):
    assert call("old.bin new.bin", options, "--json").exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("old.bin big.bin --partitions two_ota", "the new image has 2097136 bytes, partition ota_0 only 1048576"),
        ("big.bin old.bin --partitions two_ota", "the firmware has 2097136 bytes, partition factory only 1048576"),
        ("old.bin s3.bin", "first-ota cannot be told to its end: ESP_ERR_OTA_VALIDATE_FAILED"),
        ("old.bin old.bin", "old.bin and old.bin are the same image"),
        ("old.bin new.bin --partitions one.csv", "no second app partition"),
        ("old.bin new.bin --partitions nowhere.csv", "nowhere.csv: No such file"),
        ("old.bin new.bin --cut 5000", "there is no cut@5000"),
        ("old.bin new.bin --shard 3/2", "shard 3/2 does not exist"),
        ("old.bin new.bin --shard x", "'x' is no K/N"),
        ("old.bin new.bin --shard 1/0", "'1/0' is no K/N"),
        ("old.bin new.bin --replay nonsense", "not a fault plan"),
        ("old.bin new.bin --replay cut@5000", "cut@5000 does not fit first-ota"),
        ("old.bin new.bin --replay cut@2+cut@5000", "cut@5000 is beyond the last"),
        ("old.bin new.bin --story nobody", "'nobody' is not one of"),
        ("old.bin new.bin --weather drop@5", "first-ota has no network"),
        ("old.bin new.bin --story agent-job --weather app-no", "app-no is no fault of the network"),
        ("old.bin new.bin --story agent-job --weather mqtt-loose@1", "perhaps mqtt-lose"),
        ("old.bin new.bin --story agent-job --weather status@404", "misses its goal"),
        ("old.bin nowhere.bin", "nowhere.bin: No such file"),
        ("loader.bin old.bin", "loader.bin begins with a bootloader"),
        ("old.bin broken.bin", "broken.bin: ESP_ERR_IMAGE_INVALID"),
        ("old.bin new.bin --efuse old.bin", "old.bin is no text"),
        ("old.bin new.bin --html nowhere/page.html", "nowhere/page.html: No such file"),
    ],
)
def test_a_sentence_and_exit_2(words, sentence):
    done = call(words)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_without_a_table_the_slots_are_as_large_as_needed():
    assert call("old.bin big.bin --clean --json").exit_code == 0
    ours = roomy(1 << 20)
    assert ours.to_bytes() == PartitionTable.builtin("two_ota").to_bytes()
    assert {row.size for row in roomy((1 << 20) + 1) if row.type == 0} == {0x110000}


def test_a_broken_promise_is_exit_1(monkeypatch):
    from py_esp_ota.sweep import look

    monkeypatch.setattr(look, "check_end", lambda *_state: look.Broken("it is Monday"))
    done = call("old.bin new.bin --json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["violations"][0] == {"plan": "cut@0", "why": "it is Monday"}


def test_a_profile_needs_no_files():
    done = call("--profile arduino")
    assert done.exit_code == 0
    assert "arduino-update: " in done.stdout
    assert "no cut leaves a board on which nothing starts" in done.stdout
    assert "it panics in setup, one second after the start: starts again for ever" in done.stdout
    found = json.loads(call("--profile tasmota --json").stdout)["profile"]
    assert set(found["lands"]) == {"app0", "safeboot"}
    assert (found["boots_nothing"], found["rollback"], found["rollback_known"]) == (0, False, False)
    assert json.loads(call("old.bin new.bin --cut 0 --json").stdout)["profile"] is None


def test_a_profile_takes_files_a_table_and_a_build():
    found = json.loads(call("old.bin new.bin --profile wled --config sdkconfig --json").stdout)
    assert (found["story"], found["profile"]["rollback"]) == ("wled-update", True)
    done = call("old.bin new.bin --profile esphome --partitions two_ota --cut 3 --json")
    assert set(json.loads(done.stdout)["profile"]["lands"]) == {"factory"}
    done = call("--profile arduino --replay cut@3")
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "OLD and NEW are needed"),
        ("old.bin", "OLD and NEW are needed"),
        ("old.bin new.bin --profile wled --story confirm", "--profile has a story of its own"),
        ("old.bin --profile wled", "OLD and NEW are needed, both or neither with --profile"),
        ("old.bin big.bin --profile wled --partitions one.csv", "the partition table has no second app partition"),
    ],
)
def test_a_profile_that_cannot_be_played(words, sentence):
    done = call(words)
    assert done.exit_code == 2
    assert sentence in done.stderr


def test_an_image_that_no_table_of_a_project_holds():
    Path("huge.bin").write_bytes(Firmware("lamp", "3", size=0x900000).to_bytes())
    done = call("old.bin huge.bin --profile wled")
    assert done.exit_code == 2
    assert "no partition table of WLED has OTA slots for an image of 9437184 bytes; --partitions names" in done.stderr


# --------------------------------------------------------------------------------------------------------- who does it


def test_two_processes_write_what_one_does():
    """Files byte for byte; only how long it took may differ."""
    written = {}
    for jobs in (1, 2):
        done = call(f"old.bin new.bin --story same-slot --depth 2 --limit 99 --sarif {jobs}.sarif --json --jobs {jobs}")
        assert done.exit_code == 0
        said = json.loads(done.stdout)
        del said["elapsed_s"]
        written[jobs] = said, Path(f"{jobs}.sarif").read_bytes()
    assert written[1] == written[2]
    assert call("--profile wled --jobs 2 --clean").exit_code == 0


def test_an_interruption_leaves_a_report_that_says_so(monkeypatch):
    def told(*_words):
        raise KeyboardInterrupt

    monkeypatch.setattr("py_esp_ota.cli.sweep._bar", lambda *_words, **_how: nullcontext(told))
    done = call("old.bin new.bin --json --junit report.xml --evidence pack")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["stopped"] == "it was interrupted; 1 of 64 parts of it are in this report"
    assert 'errors="1"' in Path("report.xml").read_text()
    assert not Path("pack").exists()
    assert "not the whole sweep" in call("old.bin new.bin").stdout


def test_workers_that_die_over_and_over(monkeypatch):
    monkeypatch.setattr("py_esp_ota.adapters.processes._WORDS", (sys.executable, "-c", "raise SystemExit(3)"))
    done = call("old.bin new.bin --jobs 2 --json")
    assert done.exit_code == 2
    assert "was the end of 3 workers, the last of which ended with 3" in json.loads(done.stdout)["stopped"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--on moon", "Invalid value for --on: 'moon' is none of here, ray, ray://HOST:PORT"),
        ("--on ray://", "is none of here, ray, ray://HOST:PORT"),
        ("--on ray://127.0.0.1:1", "Error: Ray at ray://127.0.0.1:1: Connection refused"),
        ("--jobs 0", "0 is not in the range 1<=x<=4096"),
    ],
)
def test_workers_that_are_not_there(words, sentence):
    done = call(f"old.bin new.bin {words}")
    assert done.exit_code == 2
    assert sentence in done.stderr
