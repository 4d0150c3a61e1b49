"""What the book promises of the whole: device, cloud and the job monitor together."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.rainmaker.ota import OtaType
from py_esp_ota.sdkconfig import Sdkconfig

OLD = Firmware("lamp", "1.0.0").to_bytes()
NEW = Firmware("lamp", "1.1.0").to_bytes()
OTHER = Firmware("toaster", "1.1.0").to_bytes()


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


def statuses(reports):
    return [(report["status"], report["additional_info"]) for report in reports]


async def push(lab, firmware, node_ids, name="job", **options):
    image = await lab.upload(firmware, name=name)
    return await lab.start_job(name, image, nodes=node_ids, **options)


async def online(lab, *node_ids):
    for node_id in node_ids:
        await lab.settled(node_id, seconds=60)


def test_a_good_update_is_confirmed_by_the_new_firmware(lab):
    lamp = lab.device("two_ota", firmware=OLD, node_id="lamp1")
    lamp.power_on()
    reports = lab.run(lab.update(NEW, name="good"))["lamp1"]
    assert statuses(reports) == [
        ("triggered", ""),
        ("started", "OTA URL Sent to Node"),
        ("in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"),
        ("in-progress", "Downloading Firmware Image"),
        ("in-progress", "Firmware Image download complete"),
        ("in-progress", "Rebooting into new firmware (after 1 HTTPS attempt)"),
        ("success", "OTA Upgrade finished and verified successfully"),
    ]
    assert (lamp.running.version, lamp.state, lamp.report.partition.label) == ("1.1.0", "VALID", "ota_0")


def test_the_cloud_shows_the_rollback_after_a_failed_self_test(lab):
    lamp = lab.device(firmware=OLD, node_id="lamp1", ota_diag=lambda app, _phase: app.version != "1.1.0")
    lamp.power_on()
    reports = lab.run(lab.update(NEW, name="bad"))["lamp1"]
    assert statuses(reports)[-1] == ("rejected", "Firmware rolled back")
    assert (lamp.running.version, lamp.state) == ("1.0.0", "VALID")
    assert [boot.app_desc.version for boot in lamp.boots] == ["1.0.0", "1.1.0", "1.0.0"]


def test_the_other_projects_image_is_rejected(lab):
    lamp = lab.device(firmware=OLD, node_id="lamp1")
    lamp.power_on()
    reports = lab.run(lab.update(OTHER, name="other"))["lamp1"]
    assert statuses(reports)[-1] == ("rejected", "Project Name mismatch")
    assert lamp.running.version == "1.0.0"


def test_without_force_push_the_node_takes_it_when_it_next_asks(lab):
    lamp = lab.device(firmware=OLD, node_id="lamp1")

    async def story():
        lamp.power_on()
        await online(lab, "lamp1")
        await asyncio.sleep(60)  # the fetch after boot is over
        job = await push(lab, NEW, ["lamp1"], force_push=False)
        await asyncio.sleep(3600)
        before = lab.reports(job, "lamp1")
        lamp.power_off()
        lamp.power_on()
        await lab.until(
            lambda: lab.reports(job, "lamp1")[-1:] != [] and lab.reports(job, "lamp1")[-1]["status"] == "success",
            seconds=300,
        )
        return before, lab.reports(job, "lamp1")

    before, after = lab.run(story())
    assert statuses(before) == [("triggered", "")]
    assert statuses(after)[1] == ("started", "OTA URL Sent to Node")
    assert lamp.running.version == "1.1.0"


def test_a_cancelled_job_reaches_no_new_node_and_keeps_the_report_of_one_that_has_the_url(lab):
    first = lab.device(firmware=OLD, node_id="first")
    second = lab.device(firmware=OLD, node_id="second")

    async def story():
        first.power_on()
        second.power_on()
        await online(lab, "first", "second")
        second.power_off()
        await lab.until(lambda: not lab.is_online("second"), seconds=300, what="second is gone")
        job = await push(lab, NEW, ["first", "second"])
        await lab.until(lambda: len(lab.reports(job, "first")) >= 3, seconds=60, what="the download has begun")
        await lab.cancel_job(job)
        second.power_on()  # asks at boot, and is offered nothing
        await lab.until(lambda: lab.reports(job, "first")[-1]["status"] == "success", seconds=300)
        await asyncio.sleep(3600)
        return job, await lab.job_status(job)

    job, status = lab.run(story())
    assert status == "cancelled"
    assert statuses(lab.reports(job, "first"))[-1] == ("success", "OTA Upgrade finished and verified successfully")
    assert statuses(lab.reports(job, "second")) == [("triggered", "")]
    assert (first.running.version, second.running.version) == ("1.1.0", "1.0.0")


def test_a_power_cut_during_the_download_leaves_the_old_firmware_and_the_job_can_be_finished(lab):
    lamp = lab.device(firmware=OLD, node_id="lamp1")

    async def story():
        lamp.power_on()
        await online(lab, "lamp1")
        lamp.flash.fault = "cut@3:torn"
        job = await push(lab, NEW, ["lamp1"])
        await lab.until(lambda: not lamp.flash.powered, seconds=60, what="darkness")
        report = lamp.power_on()
        await lab.until(lambda: lab.reports(job, "lamp1")[-1]["status"] == "success", seconds=300, what="success")
        return report

    report = lab.run(story())
    assert report.app_desc.version == "1.0.0"
    assert (lamp.running.version, lamp.state) == ("1.1.0", "VALID")


def test_a_corrupted_download_fails_three_times_and_changes_nothing(lab):
    lamp = lab.device(firmware=OLD, node_id="lamp1")

    async def story():
        lamp.power_on()
        await online(lab, "lamp1")
        lab.faults(lamp, "flip@2000")
        job = await push(lab, NEW, ["lamp1"])
        await lab.until(lambda: sum(r["status"] == "failed" for r in lab.reports(job, "lamp1")) == 3, seconds=60)
        return job

    job = lab.run(story())
    failures = [info for status, info in statuses(lab.reports(job, "lamp1")) if status == "failed"]
    assert failures == [f"OTA Attempt {k}/3 failed: Image validation failed" for k in (1, 2, 3)]
    assert (lamp.running.version, lamp.state) == ("1.0.0", "VALID")


def test_the_same_run_twice_is_the_same_run():
    def run():
        with Lab() as lab:
            lamp = lab.device(firmware=OLD, node_id="lamp1")
            lamp.power_on()
            reports = lab.run(lab.update(NEW, name="good"))
            return reports, lamp.console, lamp.flash.to_bytes()

    assert run() == run()


def test_an_update_over_params_is_a_second_road_to_the_same_report(lab):
    lamp = lab.device(firmware=OLD, node_id="lamp1", ota_type=OtaType.PARAMS)

    def params():
        return dict(lab.service.nodes.detail("lamp1").params).get("OTA", {})

    async def story():
        lamp.power_on()
        await online(lab, "lamp1")
        image = await lab.upload(NEW, name="by-url")
        lab.service.nodes.set_params("lamp1", {"OTA": {"URL": lab.service.images.url(image)}})
        await lab.until(lambda: params().get("Status") == "success", seconds=300, what="success by params")

    lab.run(story())
    assert params() == {"Status": "success", "Info": "OTA Upgrade finished and verified successfully", "URL": ""}
    assert (lamp.running.version, lamp.state) == ("1.1.0", "VALID")


def test_an_app_that_became_too_old_does_not_start_and_the_chip_tries_no_longer_than_it_changes_anything(lab):
    config = Sdkconfig(bootloader_app_rollback_enable=True, bootloader_app_anti_rollback=True)
    lamp = lab.device("two_ota_large", firmware=OLD, node_id="lamp1", config=config)
    lamp.power_on()
    lamp.chip.efuse.burn_secure_version(1)  # between the bootloader's look and the app's own
    lab.run(asyncio.sleep(10))
    assert any(line.endswith("efuse_init: Incorrect secure version of app") for line in lamp.console)
    assert [boot.ok for boot in lamp.boots] == [True, False]


@pytest.mark.parametrize("steps", range(4))
def test_a_lab_ends_also_in_the_moment_in_which_its_broker_goes_away(steps):
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp1")
        lamp.power_on()
        lab.run(online(lab, "lamp1"))

        async def stop():
            lab.world.mqtt.stop()
            for _ in range(steps):
                await asyncio.sleep(0)

        lab.run(stop())
        assert lab.world.mqtt.connected == ()


def test_a_build_that_fails_on_purpose_gets_its_job_again_until_it_is_enough(lab):
    config = Sdkconfig(esp_rmaker_ota_test_rollback=True, esp_rmaker_ota_test_rollback_count=2)
    lamp = lab.device(firmware=OLD, node_id="lamp1", config=config)
    lamp.power_on()
    said = [info for _, info in statuses(lab.run(lab.update(NEW, name="cycles"))["lamp1"]) if "TEST_ROLLBACK" in info]
    assert said == [
        "TEST_ROLLBACK: forced failure to re-trigger OTA (cycle 1/2)",
        "TEST_ROLLBACK_END: 2/2 cycles complete; marking valid",
    ]
    assert (lamp.running.version, lamp.state) == ("1.1.0", "VALID")


def test_a_lamp_of_the_books_years_beside_a_new_one(lab):
    old = lab.device(firmware=OLD, node_id="old", config=Sdkconfig(rainmaker_version=(0, 2021, 10)))
    new = lab.device(firmware=OLD, node_id="new")
    old.power_on()
    new.power_on()
    reports = lab.run(lab.update(NEW, name="both"))
    assert statuses(reports["old"])[-1] == ("success", "OTA Upgrade finished successfully")
    assert statuses(reports["new"])[-1] == ("success", "OTA Upgrade finished and verified successfully")
