"""What fingers know from esptool, espsecure and parttool.py does here what they expect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, merge

TABLE = PartitionTable.builtin("two_ota")
APP = Firmware("lamp", "1.0.0").to_bytes()
BROKEN = APP[:-1] + b"\0"


def run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def ok(*words: object):
    done = run(*words)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("app").write_bytes(APP)
    Path("broken").write_bytes(BROKEN)
    Path("flash").write_bytes(merge({0: bootloader(), 0x8000: TABLE.to_bytes(), 0x10000: APP}))


# ----------------------------------------------------------------------------------------------------------- --chip


@pytest.mark.parametrize(
    "words",
    [
        ["image-info", "app", "--chip", "esp32c3"],
        ["image-info", "app", "-c", "ESP32-C3"],
        ["--chip", "esp32c3", "image-info", "app"],
        ["-c", "esp32c3", "image_info", "app"],
        ["--chip", "esp32s3", "image-info", "app", "--chip", "esp32c3"],
        ["--chip", "auto", "image-info", "app"],
        ["-c", "esp32c3", "boot", "flash"],
        ["boot", "flash", "-c", "esp32c3"],
        ["-c", "esp32c3", "split", "flash", "-o", "parts"],
        ["-c", "esp32c3", "efuse", "new", "fuses"],
        ["efuse", "new", "fuses", "-c", "esp32c3"],
        ["-c", "esp32c3", "read-flash", "flash", "0", "16", "out"],  # no verb minds
    ],
    ids=" ".join,
)
def test_a_chip_before_or_behind_the_verb(words):
    ok(*words)


@pytest.mark.parametrize("words", [["-c", "esp32s3", "image-info", "app"], ["image-info", "-c", "esp32s3", "app"]])
def test_the_chip_before_the_verb_counts(words):
    done = run(*words)
    assert done.exit_code == 1
    assert "ESP_FAIL: chip_id" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["-c", "esp33", "image-info", "app"], ["boot", "flash", "-c", "esp33"], ["efuse", "new", "fuses", "-c", "auto"]],
)
def test_no_chip_is_refused_with_those_there_are(words):
    done = run(*words)
    assert done.exit_code == 2
    assert f"'{words[words.index('-c') + 1]}' is none of " in done.stderr
    assert "esp32c3" in done.stderr


def test_without_a_chip_new_fuses_are_refused():
    assert run("efuse", "new", "fuses").exit_code == 2


# ------------------------------------------------------------------------------------------------------- image-info


def test_several_files_each_under_its_name():
    done = run("image-info", "app", "flash", "broken")
    assert done.exit_code == 1
    app, flash, broken = (run("image-info", name).stdout for name in ("app", "flash", "broken"))
    assert done.stdout == f"{app}\n{flash}\n{broken}\n"
    assert [line for line in done.stdout.splitlines() if line.startswith(("app:", "flash:", "broken:"))] == [
        f"app: app image for esp32c3, {len(APP)} bytes, valid",
        "flash: a flash image",
        f"broken: app image for esp32c3, {len(APP)} bytes, INVALID",
    ]
    ok("image-info", "app", "flash")


def test_several_files_as_json_are_a_list():
    done = run("image-info", "app", "flash", "broken", "--json")
    assert done.exit_code == 1
    one, flash, broken = json.loads(done.stdout)
    assert one == {"file": "app", **json.loads(ok("image-info", "app", "--json").stdout)}
    assert flash == {"file": "flash", **json.loads(ok("image-info", "flash", "--json").stdout)}
    assert (broken["file"], broken["valid"]) == ("broken", False)


def test_a_file_that_cannot_be_read_does_not_hide_the_others():
    done = run("image-info", "gone", "app", "broken")
    assert done.exit_code == 2
    assert done.stderr == "Error: gone: No such file or directory\n"
    assert "app: app image" in done.stdout
    assert "broken: app image" in done.stdout
    gone, app = json.loads(run("image-info", "gone", "app", "--json").stdout)
    assert gone == {"file": "gone", "error": "gone: No such file or directory"}
    assert app["valid"]


# ------------------------------------------------------------------------------------------------------------- sign


def test_espsecures_keyfile():
    ok("sign", "key.pem", "--generate-key", "ecdsa256")
    ok("sign", "app", "--keyfile", "key.pem", "--output", "signed")
    ok("sign", "signed", "--verify", "--keyfile", "key.pem")


# -------------------------------------------------------------------------------------------------------------- nvs


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("str", "lamp\x1b", "'lamp\\x1b'"),
        ("u8", "0x10", "16"),
        ("hex2bin", "00ff", "2 bytes"),
    ],
)
def test_nvs_set_says_what_was_written(kind, value, said):
    done = ok("nvs", "set", "flash", "app", "key", kind, value)
    stored = "blob" if kind == "hex2bin" else kind
    assert done.stdout == f"Wrote app.key = {said} ({stored}) to partition nvs of flash\n"
    done = ok("nvs", "erase", "flash", "app", "key")
    assert done.stdout == "Erased 1 value of app in partition nvs of flash\n"
