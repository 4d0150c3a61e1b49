"""``esp-ota fuzz-corpus``: what it writes is what it says, and the same each time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import inspect_image
from py_esp_ota.cli import main
from py_esp_ota.strategies import DEVICE_FAULT_KINDS, FAULT_KINDS


def run(*words: object):
    return CliRunner().invoke(main, ["fuzz-corpus", *map(str, words)])


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*.bin")}


def test_each_file_is_what_its_name_and_the_list_say():
    done = run("corpus", "--count", "60", "--json")
    assert done.exit_code == 0, done.output
    rows, found = json.loads(done.stdout), files("corpus")
    assert {row["file"] for row in rows} == set(found)
    assert len(rows) == len(found) == 120
    for row in rows:
        data = found[row["file"]]
        name = "-".join(filter(None, [row["fault"], row["chip"], hashlib.sha256(data).hexdigest()[:16]]))
        assert row["file"] == f"{'corrupted' if row['fault'] else 'valid'}/{name}.bin"
        info = inspect_image(data, chip=row["chip"])
        assert info.valid == (row["fault"] is None)
        if row["fault"]:
            assert (info.faults[0].err.name, info.faults[0].field) == (row["err"], row["field"])
    assert {row["fault"] for row in rows} == {None, *FAULT_KINDS} - set(DEVICE_FAULT_KINDS)


def test_a_seed_is_the_same_files_in_every_process():
    for folder, number in (("one", "1"), ("two", "2")):
        call = [sys.executable, "-m", "py_esp_ota", "fuzz-corpus", folder, "--count", "8", "--seed", "7"]
        done = subprocess.run(
            call, env={**os.environ, "PYTHONHASHSEED": number}, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"Wrote 8 files to {folder}/valid and 8 to {folder}/corrupted\n"
    assert files("one") == files("two")
    run("three", "--count", "8", "--seed", "8")
    assert not set(files("one")) & set(files("three"))


def test_one_chip_and_some_faults():
    words = ["corpus", "--count", "5", "--chip", "esp32s3", "--fault", "hash", "--fault", "checksum", "--json"]
    rows = json.loads(run(*words).stdout)
    assert {row["chip"] for row in rows} == {"esp32s3"}
    assert [row["fault"] for row in rows] == [None] * 5 + ["hash"] * 3 + ["checksum"] * 2
    done = run("all", "--count", "10", "--chip", "esp32", "--json")  # which has no rule about app descriptors
    faults = {row["fault"] for row in json.loads(done.stdout)}
    assert faults == {None, *FAULT_KINDS} - set(DEVICE_FAULT_KINDS) - {"app_desc"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["full"], "full exists and is not empty"),
        (["file"], "file exists and is not empty"),
        (["new", "--fault", "signature"], "signature needs a device: no file alone shows it"),
        (["new", "--fault", "rust"], "faults has 'rust'; known: magic, "),
        (["new", "--chip", "esp32", "--fault", "app_desc"], "no chip of esp32 has a rule that app_desc would break"),
        (["new", "--count", "0"], "0 is not in the range"),
        (["file/new"], "file/new"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_is_refused(words, says):
    Path("full").mkdir()
    Path("full/thing").write_text("")
    Path("file").write_text("x")
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert Path("file").read_text() == "x"


def test_without_hypothesis_a_sentence_names_the_extra():
    code = (
        "import sys; sys.modules['hypothesis'] = None; sys.argv[1:] = ['fuzz-corpus', 'new']\n"
        "from py_esp_ota.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: py_esp_ota.strategies needs hypothesis, which comes with an extra: pip install"
    )
