"""``esp-ota hunt``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from py_esp_ota.cli import main
from py_esp_ota.hunt import draw

WORLD = "hunt1 chip=esp32c3 table=pair 20/job/1"


def call(*words):
    return CliRunner().invoke(main, ["hunt", *words])


def test_a_hunt_says_what_was_played_and_what_was_not_reached():
    done = call("--seeds", "4", "--seed", "500")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("4 worlds, ")
    assert "never: " in done.stdout


def test_json():
    done = call("--seeds", "3", "--seed", "500", "--json")
    said = json.loads(done.stdout)
    assert (said["worlds"], said["findings"], said["stopped"]) == (3, [], "")
    assert set(said["reached_by"].values()) <= {500, 501, 502}


def test_one_world_is_played_again_with_its_console():
    done = call("--replay", WORLD)
    assert done.exit_code == 0, done.output
    assert "OTA Upgrade finished and verified successfully" in done.stdout
    assert "every promise holds" in done.stdout
    assert f"esp-ota hunt --replay '{WORLD.replace(' 20/', ' images=1g,2g 20/')}'" in done.stdout


def test_a_seed_is_a_world_too():
    assert str(draw(3)) in call("--replay", "3").stdout


def test_a_finding_is_one_line_that_finds_it_again():
    found = call("--replay", WORLD, "--mutant", "confirms-unasked")
    assert found.exit_code == 1
    assert "trial is broken (board 0, 30 s): 2.0.0 in ota_1 boots as VALID, and never confirmed itself" in found.stdout
    many = call("--seeds", "5", "--mutant", "confirms-unasked", "--json")
    assert many.exit_code == 1
    line = json.loads(many.stdout)["findings"][0]["line"]
    assert call("--replay", line, "--mutant", "confirms-unasked").exit_code == 1
    assert call("--replay", line).exit_code == 0


@pytest.mark.parametrize(
    ("line", "why"), [("hunt1 chip=z80", "chip=z80"), ("nonsense", "a world begins with hunt1"), ("", "a world begins")]
)
def test_a_line_that_is_no_world_is_refused_in_one_line(line, why):
    done = call("--replay", line)
    assert done.exit_code == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_corpus_grows_and_is_played_first(tmp_path):
    folder = tmp_path / "corpus"
    first = call("--seeds", "3", "--corpus", str(folder), "--json")
    assert first.exit_code == 0, first.output
    kept = (folder / "marks.txt").read_text()
    assert "trial-begun" in kept
    assert not (folder / "findings.txt").exists()
    again = call("--seeds", "1", "--seed", "9", "--corpus", str(folder), "--mutant", "confirms-unasked", "--json")
    assert json.loads(again.stdout)["worlds"] > 1, "what was kept is played, too"
    assert "never confirmed itself" in (folder / "findings.txt").read_text()
    (folder / "marks.txt").write_text("what\n")
    refused = call("--corpus", str(folder))
    assert refused.exit_code == 2
    assert "marks.txt: line 1: expected a key, a tab and a world" in refused.stderr


def test_a_hunt_can_go_on_for_a_while_and_be_shared_out():
    done = call("--for", "1", "--seed", "100", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["worlds"] % 25 == 0
    shared = [json.loads(call("--seeds", "4", *words, "--json").stdout) for words in ((), ("--jobs", "2"))]
    assert [{**said, "elapsed_s": 0} for said in shared[:1]] == [{**said, "elapsed_s": 0} for said in shared[1:]]
