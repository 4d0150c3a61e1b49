"""A look that answers OK whatever it sees, and an image swapped behind its back: what each single one leads to.

An update is looked at three times: by ``esp_ota_end``, by ``esp_ota_set_boot_partition``, by the bootloader.
"""

from __future__ import annotations

import asyncio

import pytest
from fault_bench import GOOD, NEW, NODE, OLD, play
from signed_images import digest, fuses, key

from py_esp_ota import Device, Flash, verify_image
from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.faults import FaultyJudge
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.signing import sign

REFUSED = "OTA Attempt 1/3 failed: Image validation failed"
CORRUPT = "flip@2000*1"


@pytest.mark.parametrize("look", range(6))
def test_no_single_glitch_lets_a_corrupt_image_in(look):
    played = play(f"{CORRUPT}+glitch@{look}")
    assert played.heard == ["url", "start 1", "downloading", "complete", REFUSED, "start 2", *GOOD[2:]]
    assert played.is_whole()


def test_two_glitches_in_a_row_choose_a_corrupt_image_and_the_bootloader_refuses_it():
    played = play(f"{CORRUPT}+glitch@0*2", seconds=60)
    assert played.versions[:2] == ["1.0.0", "1.0.0"]
    assert played.is_whole()


def test_three_glitches_run_a_corrupt_image():
    played = play(f"{CORRUPT}+glitch@0*3", seconds=60)
    assert played.heard == GOOD
    assert played.lamp.running.version == "1.1.0"
    assert not played.is_whole()


def test_one_glitch_of_the_bootloader_runs_an_image_that_went_bad_in_the_flash():
    def booted(plan):
        with Lab() as lab:
            lamp = lab.device(firmware=OLD, node_id=NODE)
            lab.faults(lamp, plan)
            flash, slot = lamp.flash, lamp.flash.to_bytes().find(OLD)
            flash.program(slot + 2000, bytes([flash.read(slot + 2000, 1)[0] & 0xF0]))
            return lamp.power_on().ok

    assert not booted("")
    assert booted("glitch@0")
    assert not booted("glitch@1")


SECURE = Sdkconfig(
    secure_boot=True,
    secure_boot_v2_enabled=True,
    secure_signed_apps_ecdsa_v2_scheme=True,
    secure_boot_ecdsa_key_len_256_bits=True,
)
STRANGE = sign(NEW, key(number=1))


def stranger(plan):
    """What a chip with secure boot makes of an image that is signed with a key it does not trust."""
    with Lab() as lab:
        lamp = lab.device(firmware=sign(OLD, key()), node_id=NODE, config=SECURE, efuse=fuses(digest()))

        async def story():
            assert lamp.power_on().ok
            await lab.settled(NODE, seconds=60)
            lab.faults(lamp, plan)
            job = await lab.start_job("job", await lab.upload(STRANGE, name="strange"), nodes=[NODE])
            await asyncio.sleep(60)
            return [report["status"] for report in lab.reports(job, NODE)][2:]

        return lab.run(story()), lamp.running.version


@pytest.mark.parametrize("look", range(9))
def test_no_single_glitch_lets_a_strangers_signature_in(look):
    heard, running = stranger(f"glitch@{look}")
    assert (heard.count("failed"), running) == (3, "1.0.0")


def test_three_glitches_in_a_row_run_a_strangers_image():
    assert stranger("glitch@0*2")[1] == "1.0.0"
    assert stranger("glitch@0*3") == (["in-progress"] * 4 + ["success"], "1.1.0")


@pytest.mark.parametrize(
    ("plan", "heard", "versions"),
    [
        # What is swapped in is the old image: whole, so nobody minds, and a success is reported from it.
        ("swap@0", GOOD, ["1.0.0", "1.0.0"]),
        ("swap@1", GOOD, ["1.0.0", "1.0.0"]),
        ("swap@1:before", GOOD, ["1.0.0", "1.0.0"]),
        ("swap@2", GOOD, ["1.0.0", "1.0.0"]),  # the bootloader has verified one image, and another one runs
        ("swap@3", GOOD, ["1.0.0", "1.1.0"]),
    ],
)
def test_a_swapped_image(plan, heard, versions):
    played = play(plan, seconds=60)
    assert played.heard[: len(heard)] == heard
    assert played.versions[:2] == versions
    assert played.is_whole()


def test_a_blank_slot_is_swapped_in_and_the_second_look_finds_it():
    played = play("swap@0", table="two_ota", seconds=60)
    assert played.heard[4] == REFUSED
    assert (played.versions, played.heard[-1]) == (["1.0.0", "1.1.0"], "SUCCESS")


# The bootloader asks the descriptor for its secure version, then loads: what if the image changes between the two?
def rolled_back(idf_version):
    table = PartitionTable.builtin("two_ota_large")
    slots = [row for row in table if row.type == 0]
    newer, older = (Firmware("lamp", name, secure_version=level).to_bytes() for name, level in (("2", 2), ("1", 1)))
    config = Sdkconfig(bootloader_app_rollback_enable=True, bootloader_app_anti_rollback=True, idf_version=idf_version)
    device = Device(table, firmware=newer, config=config, efuse=EFuse("esp32c3", secure_version=2))
    device.flash.program(slots[1].offset, older)
    device.chip.judge = FaultyJudge(verify_image, slots, "swap@0:before")
    return device.power_on()


@pytest.mark.parametrize(
    ("idf_version", "runs"),
    [
        ((4, 4, 6), "1"),
        ((5, 1, 3), "1"),
        ((5, 2, 0), "1"),
        ((4, 4, 7), None),
        ((5, 1, 4), None),
        ((5, 2, 1), None),
        (Sdkconfig().idf_version, None),
    ],
)
def test_an_image_swapped_after_the_anti_rollback_check_is_found_out_by_the_releases_that_look_twice(idf_version, runs):
    report = rolled_back(idf_version)
    assert (report.app_desc and report.app_desc.version) == runs
    assert any("secure_version at 0x20024 is 1, expected at least 2" in line for line in report.why) == (runs is None)


@pytest.mark.parametrize(("plan", "seen"), [("swap@1", [True, True, False]), ("swap@1:before", [True, False, False])])
def test_a_swap_comes_right_after_a_look_or_before_it(plan, seen):
    table = PartitionTable.builtin("two_ota_large")
    slots = [row for row in table if row.type == 0]
    flash = Flash.from_bytes(bytes(slots[0].offset) + NEW, size=0x400000)  # and nothing in the other slot
    judge = FaultyJudge(verify_image, slots, plan)
    where = (flash, slots[0].offset, slots[0].size)
    assert [judge(*where, chip="esp32c3", mode="verify").err.name == "ESP_OK" for _ in seen] == seen


def test_a_swap_is_an_operation_of_the_flash_and_can_be_cut():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id=NODE)
        lab.faults(lamp, "swap@0+cut@3")
        with pytest.raises(BaseException, match="power lost"):
            lamp.power_on()
        assert not lamp.flash.powered


def test_following_an_image_is_no_look_at_it():
    flash = Flash.from_bytes(bytes(0x10000) + NEW)
    judge = FaultyJudge(verify_image, (), "glitch@1")
    modes = ["metadata", "verify", "metadata", "verify", "verify"]
    flash.program(0x10000 + len(NEW) - 20, b"\0")
    seen = [judge(flash, 0x10000, 1 << 19, chip="esp32c3", mode=mode).err.name for mode in modes]
    assert seen == ["ESP_OK", "ESP_ERR_IMAGE_INVALID", "ESP_OK", "ESP_OK", "ESP_ERR_IMAGE_INVALID"]
