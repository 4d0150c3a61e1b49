"""The quick way to ``image-info`` says what the command says, or nothing at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import __main__ as first_step
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.cli.quick import image_info
from py_esp_ota.firmware import Firmware, bootloader, merge

APP = Firmware("lamp", "1.0.0").to_bytes()


def broken(at: int) -> bytes:
    data = bytearray(APP)
    data[at] ^= 1
    return bytes(data)


ANSWERED = {
    "sound": APP,
    "header": broken(1),
    "segment": broken(0x200),
    "hash": broken(len(APP) - 1),
    "short": APP[:-40],
    "half": APP[: len(APP) // 2],
    "long": APP + b"\xff" * 0x1000,
    "bootloader": bootloader(),
    "broken bootloader": bootloader()[:-1] + b"\0",
    "esp32": Firmware("lamp", "1.0.0", chip="esp32").to_bytes(),
}
LEFT = {
    "empty": b"",
    "noise": bytes(range(256)) * 16,
    "merged": merge({0: bootloader(), 0x8000: PartitionTable.builtin("two_ota").to_bytes(), 0x10000: APP}),
    "not ascii": Firmware("lämp", "1.0.0").to_bytes(),
}


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("name", ANSWERED)
def test_it_says_what_the_command_says(name, options, tmp_path, capsys):
    file = tmp_path / "app.bin"
    file.write_bytes(ANSWERED[name])
    command = CliRunner().invoke(main, ["image-info", str(file), *options])
    for words in ([str(file), *options], [*options, str(file)]):
        code = image_info(words)
        assert (code, capsys.readouterr().out) == (command.exit_code, command.stdout)


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_one_plain_image_is_left_to_the_command(name, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(LEFT[name])
    assert image_info([str(file)]) is None
    assert capsys.readouterr().out == ""


def test_other_words_are_left_to_the_command(tmp_path, capsys):
    file = tmp_path / "app.bin"
    file.write_bytes(APP)
    for words in (
        [],
        ["--json"],
        ["-h"],
        ["--help"],
        [str(tmp_path)],
        [str(tmp_path / "gone")],
        ["a\0b"],
        ["/dev/null"],
        [str(file), str(file)],
        [str(file), "--jso"],
        [str(file), "--chip", "esp32c3"],
        ["--json", str(file), "--json"],
    ):
        assert image_info(words) is None, words
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verb", ["image-info", "image_info"])
def test_the_first_step_takes_either_way(verb, tmp_path, monkeypatch, capsys):
    file = tmp_path / "app.bin"
    file.write_bytes(broken(0x200))
    for words, code in (
        ([str(file)], 1),
        ([str(file), "--chip", "esp32s3"], 1),
        ([str(tmp_path / "gone")], 2),
        ([], 2),
    ):
        monkeypatch.setattr(sys, "argv", ["esp-ota", verb, *words])
        with pytest.raises(SystemExit) as ended:
            first_step.main()
        assert ended.value.code == code, words
    assert "INVALID" in capsys.readouterr().out


def test_nobody_reads(tmp_path: Path):
    file = tmp_path / "app.bin"
    file.write_bytes(APP)
    script = f"{sys.executable} -m py_esp_ota image-info {file} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "1"}  # 0 when the other end still stood
