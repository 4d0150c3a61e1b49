"""Campaigns of libFuzzer in shards: whoever does them, the corpus ends with the same files, and a crash is told."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest
from hypothesis import strategies as st
from merging import obeys

from py_esp_ota.adapters.processes import Processes
from py_esp_ota.work import Here, Work, run
from tools.fuzz import Campaign, Found, fuzz, main, merge

pytestmark = pytest.mark.skipif(which("setpriv") is None, reason="setpriv is Linux's")

#: Stands in for a binary: what it finds depends on its seed and on what the corpus held; with seed 7 it crashes.
STAND_IN = f"""#!{sys.executable}
import pathlib, sys
folders = [pathlib.Path(word) for word in sys.argv[1:] if word[0] != "-"]
said = dict(word[1:].split("=") for word in sys.argv[1:] if word[0] == "-")
held = sum(len([*folder.iterdir()]) for folder in folders)
if said["runs"] == "0":
    sys.exit(print(f"#4 INITED cov: {{held}} ft: 9", file=sys.stderr))
for name in (said["seed"], "all"):
    folders[0].joinpath(name).write_text(f"{{held}} held")
if said["seed"] == "7":
    pathlib.Path(said["artifact_prefix"] + "crash-1").write_text("bad")
    sys.exit("thread panicked at: no")
print("stat::number_of_executed_units: " + said["runs"], file=sys.stderr)
"""


@pytest.fixture
def campaign(tmp_path):
    for target in ("image", "nvs"):
        for folder in ("binaries", "corpus", "seeds"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "binaries" / target).write_text(STAND_IN)
        (tmp_path / "binaries" / target).chmod(0o755)
        (tmp_path / "corpus" / target).mkdir()
        (tmp_path / "corpus" / target / "old").write_text("old")
    return Campaign(("image", "nvs"), 10, 3, 1, *(tmp_path / name for name in ("binaries", "corpus", "seeds")))


def test_every_target_makes_its_runs_and_all_that_was_found_is_kept(campaign):
    work = Work(fuzz, campaign, merge, {})
    found = run(work, range(6), Here())
    assert {name: one.runs for name, one in found.report.items()} == {"image": 10, "nvs": 10}
    assert {*found.report["nvs"].inputs} == {"1", "2", "3", "all"}
    assert {*found.report["nvs"].inputs.values()} == {b"1 held"}  # no shard sees what another one found
    assert run(work, reversed(range(6)), Processes(2)) == found


def test_a_crash_is_kept_and_told_and_the_others_lose_nothing(campaign, tmp_path, capsys):
    words = ["--binaries", campaign.binaries, "--corpus", campaign.corpus, "--crashes", tmp_path / "crashes"]
    numbers = ["--runs", 10, "--shards", 3, "--seed", 5, "--jobs", 1]
    assert main([*map(str, (*words, *numbers)), "image"]) == 1
    assert Path(tmp_path, "crashes/image-crash-1").read_text() == "bad"
    assert {path.name for path in (campaign.corpus / "image").iterdir()} == {"5", "6", "7", "all", "old"}
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("image: 7 runs, 4 new inputs, ")
    assert said[0].endswith(", 1 crashes")
    assert said[1] == "thread panicked at: no"


def test_shares_are_all_runs(campaign):
    for runs, shards in ((10, 3), (2, 5), (7, 7)):
        asked = replace(campaign, runs=runs, shards=shards)
        assert sum(map(asked.share, range(shards))) == runs


def test_what_shards_found_merges_by_a_rule():
    files = st.sets(st.sampled_from("abcd")).map(lambda names: {name: name.encode() for name in names})
    found = st.builds(Found, st.integers(0, 9), files, files, st.frozensets(st.sampled_from("xy")))
    obeys(merge, {}, st.dictionaries(st.sampled_from(["image", "nvs"]), found))
