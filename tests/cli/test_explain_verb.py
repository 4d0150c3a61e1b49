"""``esp-ota explain``: the quick way and the command say one thing; bad input is one sentence; it is fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota.cli import main
from py_esp_ota.cli.quick_explain import explain_log
from py_esp_ota.field.explain.facts import Fact

LOGS = Path(__file__).parents[1] / "vectors/logs"
INDEX = json.loads((LOGS / "index.json").read_text())


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_quick_way_says_what_the_command_says(options, capsys):
    for name in list(INDEX)[::7]:
        words = [str(LOGS / name), *options]
        command = CliRunner().invoke(main, ["explain", *words])
        assert explain_log(words) == command.exit_code
        assert capsys.readouterr().out == command.stdout


def test_exit_codes_and_standard_input():
    sound = next(name for name in INDEX if INDEX[name]["cause"] == "defaulting")
    broken = next(name for name in INDEX if INDEX[name]["cause"] == "image-hash")
    for name, code in ((sound, 0), (broken, 1)):
        data = (LOGS / name).read_bytes()
        result = CliRunner().invoke(main, ["explain", "-"], input=data)
        assert (result.exit_code, result.stderr) == (code, "")
        assert f"{INDEX[name]['cause']}:" in result.stdout


@pytest.mark.parametrize("data", [bytes(range(256)) * 20, b"hello\nworld\n", b"\x7fELF" + bytes(4000), b"\xe9" * 9000])
def test_what_is_no_console_is_refused_in_one_line(data, tmp_path):
    file = tmp_path / "log"
    file.write_bytes(data)
    assert explain_log([str(file)]) is None
    result = CliRunner().invoke(main, ["explain", str(file)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"{file} holds no line of a console" in result.stderr


def test_json_has_every_fact_and_its_line():
    name = next(name for name in INDEX if INDEX[name]["cause"] == "image-too-long")
    result = CliRunner().invoke(main, ["explain", str(LOGS / name), "--json", "--reproduce"])
    found = json.loads(result.stdout)
    facts = [fact for boot in found["boots"] for fact in boot["facts"]]
    assert {"image_length", "not_bootable", "nothing_bootable"} <= {fact["kind"] for fact in facts}
    assert all(set(fact) == {"kind", "by", "line", "text", "values"} and fact["line"] > 0 for fact in facts)
    assert found["causes"][0]["name"] == "image-too-long"
    assert found["reproduction"]["same"] is True
    assert {slot["name"]: slot["seen"] for slot in found["slots"]} == {"app0": "refused", "app1": "refused"}


def test_escapes_of_a_log_command_no_terminal(tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"E (1) esp_image: Image hash failed - image is corrupt\x9b2J\xe2\x80\xae\x1b]0;x\x07\n")
    result = CliRunner().invoke(main, ["explain", str(file)])
    assert result.exit_code == 1
    assert result.stdout.replace("\n", "").isprintable()


def test_two_thousand_lines_are_explained_at_once(tmp_path):
    """Below 100 ms of the processor as a process on a good machine; four times that here, for there are others."""
    log = (LOGS / next(name for name in INDEX if INDEX[name]["cause"] == "rolled-back")).read_text()
    file = tmp_path / "log"
    file.write_text(log + "".join(f"I ({n}) app: sensor {n} reads {n % 37} degrees\n" for n in range(2000)))
    took = []
    while len(took) < 5 and min(took, default=1) >= 0.4:
        before = _spent()
        subprocess.run([sys.executable, "-m", "py_esp_ota", "explain", file], stdout=subprocess.DEVNULL, check=False)
        took.append(_spent() - before)
    assert min(took) < 0.4


def _spent():
    """Seconds of the processor that processes took which have ended."""
    used = os.times()
    return used.children_user + used.children_system


def test_the_quick_way_imports_neither_click_nor_the_model():
    code = (
        "import sys; from py_esp_ota.cli.quick_explain import explain_log;"
        f"explain_log([{str(LOGS / next(iter(INDEX)))!r}]);"
        "sys.exit(bool({'click', 'py_esp_ota.firmware', 'py_esp_ota._core'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_a_fact_of_a_cut_line_knows_nothing():
    fact = Fact("loaded", "try_load_partition", 1, "boot: Loaded app from", {})
    assert (fact.number("offset"), fact.word("offset")) == (None, "")
