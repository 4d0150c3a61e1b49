"""A power cut as files: booted again, they come to the same end; esptool takes the line that writes them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import Firmware
from py_esp_ota._core import EFuse, Flash
from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.firmware import bootloader
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Scene, StoryError, replay
from py_esp_ota.sweep.engine import rehearse
from py_esp_ota.sweep.export import CONFIG, EFUSE, FLASH, README, export

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
SCENE = Scene(OLD, NEW, bootloader=bootloader())
QUICK = [name for name in STORIES if not name.startswith("agent")]


def call(*words):
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.mark.parametrize("name", QUICK)
def test_the_files_boot_as_the_case_does(name):
    """From the files alone: what runs, and every line of the console."""
    story = STORIES[name]
    _terms, run, _target = rehearse(story, SCENE)
    last = len(run.operations) - 1
    kind = run.operations[last // 2].kind
    for plan in ("cut@0", f"cut@{last // 2}:torn-{kind}", f"cut@{last}:after"):
        files = export(story, SCENE, plan).files()
        flash = Flash.from_bytes(files[FLASH], strict=False)
        chip = Chip("esp32c3", flash=flash, efuse=EFuse.from_json(files[EFUSE].decode()))
        report = boot(chip, Sdkconfig.from_text(files[CONFIG].decode()))
        ending = replay(story, SCENE, plan)
        assert (report.partition and report.partition.label) == ending.partition
        assert tuple(report.log) == ending.log[: len(report.log)]
        assert len(report.log) > 10


def test_the_folder_that_the_command_line_makes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old.bin").write_bytes(OLD)
    Path("new.bin").write_bytes(NEW)
    Path("loader.bin").write_bytes(bootloader())
    line = "sweep old.bin new.bin --story same-slot --bootloader loader.bin --export cut@1 -o"
    words = line.split()
    done = call(*words, "my cut", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (
        sorted(path.name for path in Path("my cut").iterdir())
        == sorted(told["files"])
        == sorted((FLASH, EFUSE, CONFIG, README))
    )
    assert Path("my cut", FLASH).stat().st_size == 4 << 20
    assert told["esptool"].endswith("--flash-size keep 0x0 'my cut/flash.bin'")
    booted = call(*shlex.split(told["boot"])[1:], "--json")
    assert json.loads(booted.stdout)["partition"] == told["partition"] == "ota_0"
    again = call(*words, "my cut")
    assert again.exit_code == 2
    assert "my cut exists and is not empty" in again.output
    assert "ends with: 1.0.0 from ota_0" in call(*words, "other").stdout


def test_esptool_takes_the_line(tmp_path):
    cut = export(STORIES["confirm"], SCENE, "cut@0")
    (tmp_path / FLASH).write_bytes(cut.flash[: 1 << 16])
    line = shlex.split(cut.esptool())
    line[1:1] = ["--port", str(tmp_path / "no-port")]
    esptool = [sys.executable, "-m", *line]
    done = subprocess.run(esptool, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "no-port" in done.stdout + done.stderr
    assert "Usage" not in done.stdout + done.stderr


def test_an_encrypted_flash_is_said_to_be_ciphertext():
    cut = export(STORIES["encrypted-ota"], SCENE, "cut@3")
    assert any("without --encrypt" in note for note in cut.notes())
    assert cut.flash[:4] != bootloader()[:4]
    assert not any("ciphertext" in note for note in export(STORIES["first-ota"], SCENE, "cut@3").notes())
    bare = export(STORIES["first-ota"], replace(SCENE, bootloader=None), "cut@3:weak-erase")
    assert [word in " ".join(bare.notes()) for word in ("write yours at 0x0", "unsteady")] == [True, True]


def test_a_violation_is_exported_all_the_same_and_a_cut_that_is_none_is_not(tmp_path):
    with pytest.raises(StoryError, match="cut@999"):
        export(STORIES["confirm"], SCENE, "cut@999")
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "new").write_bytes(NEW)
    files = tmp_path / "old", tmp_path / "new"
    assert call("sweep", *files, "--export", "cut@999", "-o", tmp_path / "out").exit_code == 2
    assert not (tmp_path / "out").exists()
    for words in (["--export", "cut@0"], ["-o", tmp_path / "out"]):
        done = call("sweep", *files, *words)
        assert done.exit_code == 2
        assert "--export and --output go together" in done.output
    loader = call("sweep", *files, "--bootloader", tmp_path / "old")
    assert loader.exit_code == 2
    assert "is no bootloader image" in loader.output


def test_an_sdkconfig_is_written_as_it_is_read():
    """Every option, each with another value than its own."""
    config = Sdkconfig(
        idf_version=(5, 4, 1), bootloader_data_factory_reset='a "quoted" \\ label', bootloader_hold_time_gpio=9
    )
    assert Sdkconfig.from_text(config.to_text()) == config
    assert Sdkconfig.from_text(Sdkconfig().to_text()) == Sdkconfig()
    for field in fields(Sdkconfig):
        value = getattr(Sdkconfig(), field.name)
        if field.name == "well_formed_json" or not isinstance(value, bool):
            continue
        try:
            changed = replace(Sdkconfig(), **{field.name: not value})
            changed.check()
        except ValueError:
            continue  # an option that excludes another one
        assert Sdkconfig.from_text(changed.to_text()) == changed
