"""Each fault alone, against the real agent: what the cloud hears, and what the device runs in the end."""

from __future__ import annotations

import pytest
from fault_bench import GOOD, NODE, OLD, play

from py_esp_ota.faults import FORMS, parse
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig

NO_ROLLBACK = Sdkconfig(bootloader_app_rollback_enable=False)


def attempts(ending, *before):
    """Three attempts that end alike, and that three times: then the cloud gives up."""
    cycle = ["url"]
    for k in (1, 2, 3):
        cycle += [f"start {k}", *before, f"OTA Attempt {k}/3 failed: {ending}"]
    return cycle * 3


def second_try(ending, *before):
    """One attempt that fails, one that succeeds."""
    return ["url", "start 1", *before, f"OTA Attempt 1/3 failed: {ending}", "start 2", *GOOD[2:]]


RESET = "ESP_FAIL (errno=104: Connection reset by peer)"

STORIES = {
    # the network
    "connect@111": attempts("OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: Connection refused)"),
    "connect@104*1": second_try("OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=104: Connection reset by peer)"),
    "status@404": attempts("OTA Begin failed: ESP_FAIL (errno=0: Invalid)"),
    "status@503*1": second_try("OTA Begin failed: ESP_FAIL (errno=0: Invalid)"),
    "status@304*1": second_try("OTA Begin failed: ESP_ERR_HTTP_NOT_MODIFIED (errno=0: Invalid)"),
    "redirect-loop*50": GOOD,
    "redirect-close": attempts(f"OTA Begin failed: {RESET}"),
    "redirect-close*1": second_try(f"OTA Begin failed: {RESET}"),
    "no-range": GOOD,
    "wrong-range@64": GOOD,
    "content-range@64": GOOD,
    "short@1023": attempts("Failed to read image description: ESP_FAIL (errno=0: Invalid)"),
    "short@2000*1": second_try("Image validation failed", "downloading", "complete"),
    "chunked": GOOD,
    "slow@1000": GOOD,
    "drop@65536": GOOD,
    "drop@2000": attempts(f"OTA failed: {RESET}", "downloading"),
    "drop@2000*1": second_try(f"OTA failed: {RESET}", "downloading"),
    "stall@2000": ["url", "start 1", "downloading"],
    "flip@2000": attempts("Image validation failed", "downloading", "complete"),
    "flip@0*1": second_try("OTA failed: ESP_ERR_OTA_VALIDATE_FAILED (errno=0: Invalid)", "downloading"),
    # MQTT, up: the messages are the five before the reset, then those of the new app
    "mqtt-lose@0": ["url", *GOOD[2:]],
    "mqtt-lose@4": [*GOOD[:-1], "SUCCESS by version"],
    "mqtt-twice@4": [*GOOD, "SUCCESS"],
    "mqtt-twice@0*5": ["url", *(text for text in GOOD[1:] for _ in range(2))],
    "mqtt-delay@3:30": [*GOOD[:4], "SUCCESS", "rebooting"],
    "mqtt-delay@4:600": [*GOOD[:-1], "SUCCESS by version", "SUCCESS"],
    "mqtt-puback@0": [*GOOD[:-1], "start 1", "SUCCESS"],  # sent again within two seconds
    "mqtt-puback@0*3": [*GOOD[:-1], "start 1", "downloading", "complete", "SUCCESS"],
    "mqtt-puback@4": [*GOOD, "SUCCESS"],
    "mqtt-cut@4": [*GOOD[:-1], "SUCCESS"],
    "mqtt-cut@2": ["url", "start 1", "downloading", "SUCCESS"],
    "mqtt-cut@0*5": ["url", "SUCCESS by version"],  # a report waits for 30 s, a connection for 15 s
    "mqtt-refuse*5": GOOD,
    "mqtt-refuse*7": [*GOOD[:-1], "ROLLED BACK"],
    "mqtt-budget@0": GOOD[:-1],  # without a config there is no MQTT until the next boot
    "mqtt-budget@1": GOOD,
    # MQTT, down
    "mqtt-lose@0:down": ["url"],
    "mqtt-twice@0:down": GOOD,
    "mqtt-delay@0:30:down": GOOD,
    "mqtt-cut@0:down": ["url"],
    # the clock decides nothing without metadata
    "clock-unset": GOOD,
    "clock-jump@5:-3600": GOOD,
    # the app
    "app-no": [*GOOD[:-1], "ROLLED BACK"],
    "app-no@mqtt": [*GOOD[:-1], "ROLLED BACK"],
    "app-raises": [*GOOD[:-1], "ROLLED BACK"],
    "app-raises@mqtt": [*GOOD[:-1], "ROLLED BACK"],
    "app-silent": [*GOOD[:-1], "ROLLED BACK"],
    "app-crash": [*GOOD[:-1], "ROLLED BACK"],
    "app-crash*1": [*GOOD[:-1], "ROLLED BACK"],
    "app-crash@30*3": GOOD,
}


@pytest.mark.parametrize("plan", STORIES)
def test_what_the_cloud_hears(plan):
    played = play(plan)
    assert played.heard == STORIES[plan]
    told = any(text.startswith("SUCCESS") for text in played.heard)
    assert played.lamp.running.version == ("1.1.0" if told or plan == "mqtt-budget@0" else "1.0.0")
    assert played.node.status.value == "success" or not told
    assert played.is_whole()


def test_every_form_has_its_story():
    told = {part.word for plan in STORIES for part in parse(plan).parts}
    assert told == {word for word, form in FORMS.items() if form.side != "judge"}  # test_judge_faults.py


@pytest.mark.parametrize(
    "plan", ["app-no", "app-no@mqtt", "app-raises", "app-raises@mqtt", "app-silent", "app-crash", "mqtt-refuse"]
)
def test_with_rollback_a_bad_app_boots_once_and_the_old_one_is_back(plan):
    played = play(plan)
    assert played.versions == ["1.0.0", "1.1.0", "1.0.0"]
    assert (played.lamp.running.version, played.lamp.state) == ("1.0.0", "VALID")


def test_without_rollback_an_app_that_crashes_in_a_loop_does_so_for_ever():
    played = play("app-crash", config=NO_ROLLBACK, seconds=60)
    assert played.versions[1:] == ["1.1.0"] * (len(played.versions) - 1)
    assert 40 < len(played.versions) < 60  # a second each, after ten before the first reset
    assert play("app-crash*3", config=NO_ROLLBACK).versions == ["1.0.0", *["1.1.0"] * 4]


def test_an_app_that_crashes_after_it_was_confirmed_is_not_rolled_back():
    played = play("app-crash@30", seconds=300)
    assert played.heard[-1] == "SUCCESS"
    assert len(played.versions) > 8
    assert set(played.versions[1:]) == {"1.1.0"}


def test_the_old_app_is_the_one_that_boots_first_when_none_runs_yet():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id=NODE)
        lab.faults(lamp, "app-crash")
        lamp.power_on()
        lab.run(lab.settled(NODE, seconds=60))
    assert len(lamp.boots) == 1


def test_a_rollback_to_the_factory_app_is_never_reported_and_the_job_is_served_again():
    # As the chip does: esp_ota_get_state_partition knows nothing of a factory slot, so nobody finds the flag.
    played = play("app-no", table="two_ota", seconds=120)
    assert "ROLLED BACK" not in played.heard
    assert played.heard.count("rebooting") > 3
    assert set(played.versions) == {"1.0.0", "1.1.0"}


def test_the_weather_can_be_mended_and_changes_as_a_whole():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id=NODE)
        fair = lamp.config
        plan = lab.faults(lamp, "cut@37:torn+drop@5+mqtt-budget@3+clock-unset")
        assert str(plan) == "cut@37:torn+drop@5+mqtt-budget@3+clock-unset"
        assert (lamp.flash.fault, lamp.config.esp_rmaker_mqtt_default_budget) == ("cut@37:torn", 3)
        with pytest.raises(ValueError, match="'drip@5'"):
            lab.faults(lamp, "cut@1+drip@5")
        assert (lamp.flash.fault, lamp.config.esp_rmaker_mqtt_default_budget) == ("cut@37:torn", 3)
        lab.faults(lamp, plan.only("network"))
        assert (lamp.flash.fault, lamp.config) == ("", fair)
