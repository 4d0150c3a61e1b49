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
    assert gone == {"file": "gone", "error": {"message": "gone: No such file or directory", "exit_code": 2}}
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


# -------------------------------------------------------------------------------------------------------- merge-bin


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-f", "uf2", "--target-offset", "0x1000"], "--target-offset goes with --format raw"),
        (["-f", "hex", "--pad-to-size", "4MB"], "--pad-to-size goes with --format raw"),
        (["--chunk-size", "256"], "--chunk-size goes with --format uf2"),
        (["-f", "hex", "--md5-disable"], "--md5-disable goes with --format uf2"),
        (["-f", "uf2", "--chunk-size", "30"], "30 is no multiple of 4"),
        (["-f", "uf2", "--chunk-size", "456"], "a UF2 block holds 1 to 452 bytes, not 456"),
        (["--flash-freq", "60m"], "esp32c3 has no flash frequency 60m; it has 80m, 40m, 26m, 20m"),
        (["-f", "hex", "0x10010", "app"], "the part at 0x10010 overlaps the one before it"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_merge_bin_refuses(words, says):
    done = run("merge-bin", "-o", "out", *words, "0x10000", "app")
    assert done.exit_code == 2
    assert says in done.stderr
    assert not Path("out").exists()


def test_uf2_asks_for_a_chip():
    Path("text").write_bytes(b"no image")
    done = run("merge-bin", "-o", "out", "-f", "uf2", "0", "text")
    assert done.exit_code == 2
    assert "say it with --chip" in done.stderr
    ok("--chip", "esp32c6", "merge-bin", "-o", "out", "-f", "uf2", "0", "text")
    assert Path("out").read_bytes()[28:32] == (0x540DDF62).to_bytes(4, "little")


def test_a_build_directory_as_hex_tells_its_chip():
    ok("split", "flash", "-o", "build")
    told = json.loads(ok("merge-bin", "build", "-o", "out.hex", "-f", "hex", "--flash-mode", "dout", "--json").stdout)
    assert told == {"output": "out.hex", "format": "hex", "target_offset": 0, "length": Path("out.hex").stat().st_size}


# --------------------------------------------------------------------------------------------------- parttool's verbs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", "nvs"], "0x9000 0x4000"),
        (["--partition-name", "nvs", "--info", "size", "offset"], "0x4000 0x9000"),
        (["--info", "name", "type", "subtype", "encrypted", "readonly", "-n", "otadata"], "otadata 1 0 False False"),
        (["--info", "name", "--info", "size", "-n", "otadata"], "otadata 0x2000"),
        (["-t", "data", "-s", "ota", "--info", "name"], "otadata"),
        (["-t", "0x01", "-s", "0", "--info", "name"], "otadata"),
        (["--partition-type", "app", "--part_list", "--info", "name"], "factory ota_0 ota_1"),
        (["-t", "app", "--part-list"], "0x10000 0x100000 0x110000 0x100000 0x210000 0x100000"),
        (["--partition-boot-default", "--info", "name"], "factory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("file", ["flash", "table.csv", "table.bin"])
def test_get_partition_info(words, said, file):
    Path("table.csv").write_text(TABLE.to_csv())
    Path("table.bin").write_bytes(TABLE.to_bytes())
    assert ok("get_partition_info", file, *words).stdout == f"{said}\n"
    assert ok("get-partition-info", *words, file).stdout == f"{said}\n" or words[-1] in {"name", "offset"}


def test_the_first_ota_slot_boots_where_there_is_no_factory():
    Path("table.csv").write_text("otadata,data,ota,0xd000,8K\na,app,ota_1,0x10000,64K\nb,app,ota_0,0x20000,64K\n")
    assert ok("get-partition-info", "table.csv", "-d", "--info", "name").stdout == "b\n"


def test_read_write_and_erase_a_partition():
    before = Path("flash").read_bytes()
    Path("new").write_bytes(b"new" * 100)
    said = ok("write_partition", "flash", "--partition-name", "ota_0", "--input", "new").stdout
    assert said == "Wrote 300 bytes of new to partition 'ota_0' at offset 0x110000\n"
    assert ok("read_partition", "flash", "-n", "ota_0", "--output", "out").stdout.endswith(
        "at offset 0x110000 into out\n"
    )
    assert Path("out").read_bytes() == (b"new" * 100).ljust(0x100000, b"\xff")
    assert Path("flash").read_bytes()[: len(before)] == before
    assert ok("erase_partition", "flash", "-n", "factory").stdout == "Erased partition 'factory' at offset 0x10000\n"
    assert Path("flash").read_bytes()[0x10000:0x110000] == b"\xff" * 0x100000
    facts = {"name": "nvs", "offset": 0x9000, "size": 0x4000}
    assert json.loads(ok("erase-partition", "flash", "-n", "nvs", "--json").stdout) == facts


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["write-partition", "flash", "-n", "nvs", "-i", "large"], "large has 16385 bytes, more than the 16384 of "),
        (["write-partition", "flash", "-f", "ro.csv", "-n", "kept", "-i", "app"], "partition kept is read-only; "),
        (["write-partition", "flash", "-n", "gone", "-i", "app"], "flash: the table has no partition gone"),
        (["read-partition", "flash", "-t", "app", "-s", "test", "-o", "out"], "no partition app/test"),
        (["erase-partition", "flash", "-f", "far.csv", "-n", "far"], "partition far ends beyond the flash"),
        (["erase-partition", "flash", "-f", "odd.csv", "-n", "odd"], "is no whole number of sectors"),
        (["get-partition-info", "flash"], "name a partition: "),
        (["get-partition-info", "flash", "-d", "-n", "nvs"], "name a partition: "),
        (["get-partition-info", "data.csv", "-d"], "the table has no partition that boots"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_parttools_verbs_refuse(words, says):
    Path("large").write_bytes(bytes(16385))
    Path("ro.csv").write_text("kept,data,0x40,0x9000,4K,readonly\n")
    Path("far.csv").write_text("far,data,0x40,0x8000000,4K\n")
    Path("odd.csv").write_text("odd,data,0x40,0x9000,2K,readonly\n")
    Path("data.csv").write_text("nvs,data,nvs,0x9000,16K\n")
    before = Path("flash").read_bytes()
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert Path("flash").read_bytes() == before


def test_a_read_only_partition_is_written_when_asked():
    Path("ro.csv").write_text("kept,data,0x40,0x9000,4K,readonly\n")
    Path("new").write_bytes(b"new")
    ok("write-partition", "flash", "-f", "ro.csv", "-n", "kept", "-i", "new", "--ignore-readonly")
    assert Path("flash").read_bytes()[0x9000:0x9003] == b"new"
