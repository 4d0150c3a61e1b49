"""How a call ends: Ctrl-C, a stdout that takes nothing, ``-`` for a file, and errors under ``--json``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from every_verb import FLASH, NEWER, READS, furnish

from py_esp_ota.cli import _VERBS, main


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    return tmp_path


def words_of(verb: str, name: str) -> list[str]:
    return [name if word == "IN" else word for word in READS[verb][0].split()]


def run(*words, given=None):
    return CliRunner().invoke(main, [str(word) for word in words], input=given)


def esp_ota(words, **options):
    return subprocess.Popen([sys.executable, "-m", "py_esp_ota", *words], stderr=subprocess.PIPE, **options)


def shell(script, *words):
    command = ["bash", "-c", f'"$0" -m py_esp_ota "$@" {script}', sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


# ------------------------------------------------------------------------------------------------------------ Ctrl-C

#: A whole process, from the first step on, is started for these alone.
WHOLE = {"boot", "image-info", "demo", "serve"}
MORE = {"demo": ("demo IN newer", "app"), "serve": ("serve --data data --firmware IN", "app")}


@pytest.mark.parametrize("verb", [*READS, *MORE])
def test_ctrl_c_ends_every_verb_at_once(verb, room, keeper):
    """Each waits for a file that never ends; that it reads it is known by that it was opened."""
    os.mkfifo("fifo")
    words = ["fifo" if word == "IN" else word for word in {**READS, **MORE}[verb][0].split()]
    before = sorted(path.name for path in room.iterdir())
    process = esp_ota(words, stdout=subprocess.PIPE) if verb in WHOLE else keeper.start(words)
    with Path("fifo").open("wb"):
        time.sleep(0.05)  # a signal that comes just before the read begins is seen when the read is over, and it is not
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (130, b"", b""), err
    assert sorted(path.name for path in room.iterdir()) == before


@pytest.mark.parametrize("words", [["boot", "flash", "--times", "10000"], ["demo", "app", "newer"]], ids=" ".join)
def test_ctrl_c_in_the_middle_of_work(words, room):
    process = esp_ota(words, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.7)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=20)[1]
    assert (process.returncode, err.strip()) == (130, b"")


# ----------------------------------------------------------------------------------------- a stdout that takes nothing


SAY_NOTHING = {"nvs set", "nvs generate", "run"}


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        *((verb, ">/dev/full") for verb in READS if verb not in SAY_NOTHING),
        *((verb, ">&-") for verb in ("boot", "sweep", "nvs list", "efuse show")),
    ],
)
def test_a_stdout_that_takes_nothing_is_one_line(verb, target, room, keeper):
    words = words_of(verb, READS[verb][1])
    if verb in WHOLE or "full" not in target:
        done = shell(target, *words)
        code, err = done.returncode, done.stderr
    else:
        done = keeper.start(words, "/dev/full")
        err = done.communicate(timeout=60)[0].decode()
        code = done.returncode
    reason = "No space left on device" if "full" in target else "Bad file descriptor"
    told = [line for line in err.splitlines() if not line.endswith("...")]  # partition-table's progress
    assert (told, code) == ([f"Error: stdout: {reason}"], 2)


@pytest.mark.parametrize("words", [["image-info", "app"], ["image-info", "app", "--json"], ["--help"], ["--version"]])
def test_the_short_ways_too(words, room):
    done = shell(">/dev/full", *words)
    assert (done.returncode, done.stderr) == (2, "Error: stdout: No space left on device\n")


def test_where_even_the_error_finds_no_room(room):
    done = shell(">/dev/full 2>/dev/full", "boot", "flash")
    assert done.returncode == 2


# ----------------------------------------------------------------------------------------------------------------- -


@pytest.mark.parametrize("verb", READS)
def test_every_verb_reads_standard_input(verb, room):
    name = READS[verb][1]
    given = Path(name).read_bytes()
    named = run(*words_of(verb, name))
    made = sorted(path.name for path in room.iterdir())
    for path in room.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    furnish(room)
    dashed = run(*words_of(verb, "-"), given=given)
    assert dashed.exit_code == named.exit_code, dashed.stderr
    assert sorted(path.name for path in room.iterdir()) == made


#: ``RW`` is read and written, ``OUT`` is written.
WRITES = {
    "boot": ("boot RW --write", "flash"),
    "efuse new": ("efuse new OUT --chip esp32c3", None),
    "efuse burn": ("efuse burn RW --secure-version 1", "fuses"),
    "elf2image": ("elf2image elf -o OUT", None),
    "erase-flash": ("erase-flash RW", "flash"),
    "erase-region": ("erase-region RW 0x10000 0x1000", "flash"),
    "merge-bin": ("merge-bin -o OUT 0 app", None),
    "nvs set": ("nvs set RW app key u8 1", "flash"),
    "nvs generate": ("nvs generate csv 0x3000 OUT", None),
    "otadata switch": ("otadata switch RW --slot 0", "flash"),
    "partition-table": ("partition-table table OUT", None),
    "read-flash": ("read-flash flash 0 0x1000 OUT", None),
    "run": ("run RW --write --timeout 0.01", "flash"),
    "sign": ("sign app --key key -o OUT", None),
    "sign --generate-key": ("sign OUT --generate-key ecdsa256", None),
    "sweep --html": ("sweep app newer --cut 0 --html OUT", None),
    "sweep --junit": ("sweep app newer --cut 0 --junit OUT", None),
    "sweep --teach": ("sweep app newer --cut 0 --story reject --teach OUT", None),
    "teach": ("teach app newer --story reject -o OUT", None),
    "sweep --sarif": ("sweep app newer --cut 0 --sarif OUT", None),
    "write-flash": ("write-flash RW 0x10000 newer", "flash"),
}
#: How much is the same in two files: keys and signatures are drawn, and pages say how long it took.
ALIKE = {"sign": 0x1000, "sign --generate-key": 20, "sweep --html": 200, "sweep --junit": 60}


@pytest.mark.parametrize("verb", WRITES)
def test_every_verb_writes_standard_output_and_nothing_else_there(verb, room):
    """What goes there is what goes into a file."""
    words, name = WRITES[verb]
    given = Path(name).read_bytes() if name else None
    if given is not None:
        Path("file").write_bytes(given)
    named = run(*("file" if word in {"RW", "OUT"} else word for word in words.split()))
    dashed = run(*("-" if word in {"RW", "OUT"} else word for word in words.split()), given=given)
    assert dashed.exit_code == named.exit_code, dashed.stderr
    expected, found = Path("file").read_bytes(), dashed.stdout_bytes
    alike = ALIKE.get(verb, len(expected) + 1)
    assert found[:alike] == expected[:alike]
    assert abs(len(found) - len(expected)) < 100
    assert not Path("-").exists()


def test_a_filter(room):
    done = run("write-flash", "-", "0x10000", "newer", given=FLASH)
    assert done.stdout_bytes[0x10000 : 0x10000 + len(NEWER)] == NEWER
    assert done.stderr == f"Wrote {len(NEWER)} bytes at 0x00010000\n"


def test_a_pipe_that_a_verb_asks_for_twice(room):
    script = 'cat flash | "$0" -m py_esp_ota image-info /dev/stdin; "$0" -m py_esp_ota partition-table <(cat flash) -q'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith("/dev/stdin: a flash image\n")
    assert "ota_1" in done.stdout
    assert done.stderr == ""


def test_a_folder_is_not_standard_output(room):
    done = run("split", "flash", "-o", "-")
    assert (done.exit_code, "--output is a folder" in done.output) == (2, True)


def test_standard_input_that_is_empty_or_closed(room):
    assert run("image-info", "-", given=b"").output == "Error: standard input is empty\n"
    done = shell("<&-", "image-info", "-")
    assert (done.returncode, done.stderr) == (2, "Error: standard input is closed\n")


# ------------------------------------------------------------------------------------------------------------- --json


def leaves(command, words=()):
    """Every verb that prints JSON, with its sub-verbs."""
    if isinstance(command, click.Group):
        for name in _VERBS if command is main else command.commands:
            yield from leaves(command.get_command(click.Context(command), name), (*words, name))
    elif any("--json" in parameter.opts for parameter in command.params):
        yield words


@pytest.mark.parametrize("verb", [*leaves(main)], ids=" ".join)
def test_an_error_is_json_too(verb, room):
    wrong = run(*verb, "--json", "--no-such-option")
    gone = run(*verb, *(["gone"] * (2 if verb[-1] in {"sweep", "demo", "read-flash"} else 1)), "--json")
    for done in (wrong, gone):
        if done.exit_code == 2:
            told = json.loads(done.stdout)
            assert set(told) == {"error"}
            assert told["error"]["exit_code"] == 2
            assert told["error"]["message"] in done.stderr.replace("\n", " ") + done.stderr
    assert wrong.exit_code == 2


def test_a_finding_of_nvs_has_its_exit_code(room):
    done = run("nvs", "get", "nvs", "app", "gone", "--json")
    told = json.loads(done.stdout)["error"]
    assert (done.exit_code, told["exit_code"]) == (1, 1)
    assert "ESP_ERR_NVS_NOT_FOUND" in told["message"]


def test_bytes_on_stdout_stay_alone(room):
    """One file is written to stdout, and then the next cannot be: what is told goes elsewhere."""
    done = run("sweep", "app", "newer", "--cut", "0", "--junit", "-", "--html", "nowhere/page", "--json")
    assert done.exit_code == 2
    assert done.stdout.startswith("<?xml")
    assert "nowhere" not in done.stdout
    assert json.loads(done.stderr.partition("\n")[2])["error"]["message"].startswith("nowhere")


def test_without_json_there_is_none(room):
    assert run("image-info", "gone").stdout == ""
    assert run("sign", "gone", "--verify", "--", "--json").stdout == ""
