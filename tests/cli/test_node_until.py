"""When ``esp-ota node --until`` ends, and how: by what the node has told its cloud."""

from __future__ import annotations

import pytest

from py_esp_ota.cli.node_until import Ending, Until

STATUS = "$aws/rules/esp_node_otastatus/node/n1/otastatus"


def report(status, info):
    return f'{{"ota_job_id":"j","status":"{status}","additional_info":"{info}","ts":1}}'.encode()


def after(goal, *reports):
    until = Until(goal)
    for payload in reports:
        until.up(STATUS, payload)
    return until.ending


@pytest.mark.parametrize("goal", ["update", "idle"])
@pytest.mark.parametrize(
    ("said", "ending"),
    [
        (report("in-progress", "Downloading Firmware Image"), None),
        (report("delayed", "Not within download window."), None),
        (report("success", "OTA Upgrade finished and verified successfully"), 0),
        (report("rejected", "Same version received"), 1),
        (report("rejected", "Firmware rolled back"), 1),
        (report("failed", "OTA Attempt 1/3 failed: Image validation failed"), None),
        (report("failed", "OTA Attempt 2/3 failed: Image validation failed"), None),
        (report("failed", "OTA Attempt 3/3 failed: Image validation failed"), 1),
        (report("failed", "OTA Attempt 1/1 failed: Image validation failed"), 1),
        (report("failed", "OTA download window lapsed."), 1),
        (report("failed", "Aborted. URL not found in JSON"), 1),
        (report("failed", "OTA Attempt 3/3 failed: OTA Begin failed: " + "x" * 99)[:199], 1),  # cut, and no JSON
        (b"no report at all", None),
        (b'{"status":"invalid","additional_info":"?"}', None),
    ],
)
def test_which_report_is_the_last_one(goal, said, ending):
    found = after(goal, said)
    assert (found and found.code) == ending


def test_the_first_end_is_the_end_and_says_the_nodes_own_words():
    found = after(
        "update", report("failed", "OTA Attempt 1/3 failed: x"), report("success", "fine"), report("failed", "y")
    )
    assert found == Ending(0, "success: fine")


def test_without_a_goal_nothing_ends_it():
    until = Until(None)
    until.up("node/n1/params/local/init", b"{}")
    until.up(STATUS, report("success", "fine"))
    until.up("node/n1/otafetch", b"{}")
    until.quiet()
    assert until.ending is None


@pytest.mark.parametrize("prefix", ["", "$aws/rules/esp_init_params/"])
def test_connected_is_who_has_told_its_params(prefix):
    until = Until("connected")
    until.up("node/n1/config", b"{}")
    assert until.ending is None
    until.up(f"{prefix}node/n1/params/local/init", b"{}")
    assert until.ending.code == 0


def test_idle_is_a_fetch_that_nothing_answers():
    until = Until("idle")
    until.quiet()
    assert until.ending is None
    until.up("node/n1/otafetch", b"{}")
    until.down("node/n1/otaurl")
    until.quiet()
    assert until.ending is None, "an update has come"
    until.up("node/n1/otafetch", b"{}")
    until.down("node/n1/params/remote")
    until.quiet()
    assert until.ending == Ending(0, "the cloud has no update for the node")
