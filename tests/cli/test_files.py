"""Bad input: one clear sentence with the place, exit 1 or 2, never a traceback, nothing changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import corpus, main
from py_esp_ota.cli.files import Unusable, write_output
from py_esp_ota.firmware import Firmware, merge

APP = Firmware("lamp", "1.0.0").to_bytes()


def run(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def test_a_valid_image(write):
    result = run("image-info", write("app.bin", APP))
    assert result.exit_code == 0
    assert "App version: 1.0.0" in result.output
    assert "Checksum: 0x" in result.output
    assert result.output.count("(valid)") == 2


def test_the_json_of_a_valid_image_has_the_documented_keys(write):
    result = run("image-info", write("app.bin", APP), "--json")
    info = json.loads(result.output)
    assert (info["valid"], info["err"], info["chip"], info["length"]) == (True, "ESP_OK", "esp32c3", len(APP))
    assert set(info) == {
        *("valid", "err", "kind", "chip", "entry", "segments", "checksum", "hash"),
        *("app_desc", "bootloader_desc", "length", "trailing", "signature", "faults"),
    }
    assert info["checksum"]["valid"] is True
    assert info["hash"] == {"appended": True, "valid": True}


def test_the_old_underscore_verbs_are_understood(write):
    assert run("image_info", write("app.bin", APP)).exit_code == 0


@pytest.mark.parametrize(
    "length", [1, 2, 4, 23, 24, 25, 31, 32, 33, 287, 288, 289, len(APP) - 33, len(APP) - 32, len(APP) - 1]
)
def test_an_image_cut_short_anywhere_is_a_finding_with_its_place(write, length):
    result = run("image-info", write("app.bin", APP[:length]), "--json")
    assert result.exit_code == 1
    fault = json.loads(result.output)["faults"][0]
    assert fault["err"].startswith("ESP_")
    assert 0 <= fault["offset"] <= len(APP)
    assert fault["found"] != fault["expected"]


def test_random_bytes_are_a_finding(write):
    result = run("image-info", write("noise.bin", bytes(range(256)) * 16))
    assert result.exit_code == 1
    assert "ESP_ERR_IMAGE_INVALID" in result.output
    assert "magic" in result.output


def test_an_image_for_another_chip_is_a_finding(write):
    result = run("image-info", "--chip", "esp32s3", write("app.bin", APP))
    assert result.exit_code == 1
    assert "chip" in result.output


@pytest.mark.parametrize("verb", ["image-info", "partition-table", "boot"])
def test_unreadable_inputs_are_misuse(verb, write, tmp_path):
    for path, word in [
        (tmp_path, "directory"),
        (tmp_path / "absent.bin", "No such file"),
        (write("empty.bin", b""), "empty"),
    ]:
        result = run(verb, path)
        assert result.exit_code == 2, result.output
        assert word in result.output
        assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["image-info", "partition-table", "boot"])
def test_a_file_of_a_gigabyte_is_refused_without_being_read(verb, tmp_path):
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 30)
    result = run(verb, path)
    assert result.exit_code == 2
    assert "1073741824 bytes" in result.output


@pytest.mark.parametrize(
    "words", [["no-such-verb"], ["image-info"], ["image-info", "--chip", "z80", "x"], ["demo", "one.bin"]]
)
def test_misuse_exits_2(words):
    assert run(*words).exit_code == 2


CSV = "nvs,data,nvs,,0x4000\notadata,data,ota,,0x2000\nota_0,app,ota_0,0x10000,1M\nota_1,app,ota_1,,1M\n"


def test_a_table_goes_from_csv_to_binary_and_back(write, tmp_path):
    binary = tmp_path / "table.bin"
    assert run("partition-table", write("table.csv", CSV.encode()), binary).exit_code == 0
    assert len(binary.read_bytes()) == 3072
    again = tmp_path / "again.csv"
    assert run("partition-table", binary, again).exit_code == 0
    assert "ota_1,app,ota_1,0x110000,1M," in again.read_text().splitlines()


def test_the_json_of_a_table(write):
    rows = json.loads(run("partition-table", write("table.csv", CSV.encode()), "--json").stdout)
    assert rows[2] == {
        "name": "ota_0",
        "type": "app",
        "subtype": "ota_0",
        "offset": 0x10000,
        "size": 0x100000,
        "encrypted": False,
        "readonly": False,
    }


@pytest.mark.parametrize(
    ("csv", "place", "words"),
    [
        ("a,data,nvs,0x9000,0x4000\nb,data,phy,0xa000,0x1000\n", "line 2", "overlap"),
        ("a,app,ota_0,0x12000,1M\n", "a", "not aligned"),
        ("a,,nvs,,0x4000\n", "line 1", "type"),
        ("a,data,nvs,,4.5K\n", "line 1", "4.5K"),
    ],
)
def test_a_bad_csv_is_a_finding_with_its_line_and_leaves_the_output_alone(write, tmp_path, csv, place, words):
    output = write("out.bin", b"as it was")
    result = run("partition-table", write("bad.csv", csv.encode()), output)
    assert result.exit_code == 2  # as gen_esp32part.py has it
    assert place in result.output
    assert words in result.output
    assert output.read_bytes() == b"as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "out.bin"]


def test_bytes_that_are_neither_table_nor_text(write):
    result = run("partition-table", write("x.bin", b"\xff\xff\x00\x80" * 8))
    assert result.exit_code == 2
    assert "utf-8" in result.output


def flash_image(table="two_ota", app=APP):
    rows = PartitionTable.builtin(table)
    factory = rows.find(type=0)
    return merge({0x8000: rows.to_bytes(), factory.offset: app})


def test_a_flash_image_boots_and_says_why(write):
    path = write("flash.bin", flash_image())
    result = run("boot", path)
    assert result.exit_code == 0
    assert "boot: Loaded app from partition at offset 0x10000" in result.output
    report = json.loads(run("boot", path, "--json").stdout)
    assert (report["ok"], report["partition"], report["offset"]) == (True, "factory", 0x10000)
    assert any("bootloader_utility_get_selected_boot_partition" in reason for reason in report["why"])
    assert path.read_bytes() == flash_image()


def test_a_flash_image_that_cannot_boot_is_a_finding(write):
    report = run("boot", "--chip", "esp32c3", write("flash.bin", flash_image(app=b"\xff")), "--json")
    assert report.exit_code == 1
    assert json.loads(report.output)["ok"] is False
    assert "No bootable app partitions in the partition table" in report.output


def test_a_flash_image_of_no_known_chip_asks_for_it(write):
    result = run("boot", write("noise.bin", b"\x00" * 65536))
    assert result.exit_code == 2
    assert "--chip" in result.output


def test_the_installed_command_works():
    done = subprocess.run(
        [sys.executable, "-m", "py_esp_ota", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "image-info" in done.stdout


def test_a_verb_without_its_extra_says_which_one(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("py_esp_ota.cli.serve", "py_esp_ota.cli.demo"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "py_esp_ota.lab", None)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "py_esp_ota.world", raising=False)
    monkeypatch.delitem(sys.modules, "py_esp_ota.adapters.http", raising=False)
    result = run("serve")
    assert result.exit_code == 2
    assert "pip install 'py_esp_ota[cloud]'" in result.output


def test_an_output_that_cannot_be_finished_leaves_the_old_file_and_nothing_else(write, tmp_path, monkeypatch):
    output = write("out.bin", b"as it was")

    def full(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Unusable, match="No space left on device"):
        write_output(output, b"new")
    assert output.read_bytes() == b"as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["out.bin"]


def test_a_fetched_file_that_is_not_the_one_named_is_refused_and_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(corpus, "_download", lambda _release: b"something else")
    with pytest.raises(Unusable, match=r"usb-insight-hub-jetperch 0\.1\.1 has SHA-256 "):
        corpus.fetch(corpus.UIH_0_1_1)
    assert list(tmp_path.rglob("*.bin")) == []


def test_a_cached_file_that_was_changed_is_fetched_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    release = corpus.Release("p", "1", "x.bin", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    monkeypatch.setattr(corpus, "_download", lambda _release: b"abc")
    assert corpus.fetch(release) == b"abc"
    release.cached.write_bytes(b"abd")
    assert corpus.fetch(release) == b"abc"
    assert release.cached.read_bytes() == b"abc"
