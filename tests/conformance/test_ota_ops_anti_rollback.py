"""Anti-rollback on the app's side: what may be chosen, what can be rolled back to, and when the eFuses are burnt."""

from dataclasses import replace

import pytest
from board import ROLLBACK, SECTOR, Board, slots

from py_esp_ota._core import EFuse
from py_esp_ota.errors import FlashError, OtaError, Restart
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf import startup

ANTI = replace(ROLLBACK, bootloader_app_anti_rollback=True)


def image(label, secure_version):
    return Firmware("bench", label, secure_version=secure_version).to_bytes()


def code(call, *arguments):
    try:
        call(*arguments)
    except (OtaError, FlashError) as error:
        return error.err.name
    except Restart:
        return "abort"
    return "ESP_OK"


def versions(*secure_versions, e0="1/VALID", e1="-", burnt=0, config=ANTI, chip="esp32c3", **options):
    """A board whose slots hold apps of these secure versions."""
    board = Board(slots(len(secure_versions), **options), e0, e1, config=config)
    board.chip.efuse = EFuse(chip, secure_version=burnt)
    for slot, secure_version in enumerate(secure_versions):
        if secure_version is not None:
            board.flash_app(f"ota_{slot}", image(f"ota_{slot}", secure_version))
    return board


# ------------------------------------------------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("secure_version", "burnt", "chosen"), [(1, 1, True), (2, 1, True), (0, 1, False), (3, 4, False)]
)
def test_an_app_older_than_the_fuses_is_erased_and_not_chosen(secure_version, burnt, chosen):
    board = versions(4, secure_version, burnt=burnt)
    ops = board.ops("ota_0")
    assert code(ops.set_boot_partition, board["ota_1"]) == ("ESP_OK" if chosen else "ESP_ERR_OTA_SMALL_SEC_VER")
    assert board.otadata == ("1/VALID", "2/NEW" if chosen else "-")
    assert board.chip.flash.is_erased(board["ota_1"].offset, board["ota_1"].size) is not chosen
    if not chosen:
        assert ops.log.lines[-1] == (
            "E (0) esp_ota_ops: This a new partition can not be booted due to a secure version is lower than stored in "
            "efuse. Partition will be erased."
        )


def test_only_the_bits_of_the_configured_field_count():
    narrow = replace(ANTI, bootloader_app_sec_ver_size_efuse_field=2)
    board = versions(4, 2, burnt=5, config=narrow)
    assert code(board.ops("ota_0").set_boot_partition, board["ota_1"]) == "ESP_OK"
    board = versions(4, 1, burnt=5, config=narrow)
    assert code(board.ops("ota_0").set_boot_partition, board["ota_1"]) == "ESP_ERR_OTA_SMALL_SEC_VER"


def test_without_the_option_the_fuses_are_not_asked():
    board = versions(4, 0, burnt=3, config=ROLLBACK)
    assert code(board.ops("ota_0").set_boot_partition, board["ota_1"]) == "ESP_OK"


def test_the_whole_partition_is_erased_and_otadata_is_not_touched():
    board = versions(1, 0, burnt=1)
    ops = board.ops("ota_0")
    board.chip.flash.record(True)
    code(ops.set_boot_partition, board["ota_1"])
    assert [op.address for op in board.chip.flash.journal()] == list(range(0x20000, 0x30000, SECTOR))


def test_a_running_app_that_is_too_old_cannot_erase_itself():
    board = versions(0, 1, burnt=1)
    assert code(board.ops("ota_0").set_boot_partition, board["ota_0"]) == "abort"
    fails = replace(ANTI, spi_flash_dangerous_write_fails=True)
    assert code(versions(0, 1, burnt=1, config=fails).ops("ota_0").set_boot_partition, board["ota_0"]) == (
        "ESP_ERR_INVALID_ARG"
    )


def test_without_validation_an_app_without_a_descriptor_is_not_found():
    board = versions(0, None)
    board.chip.flash.erase(board["ota_1"].offset, SECTOR)
    assert code(board.ops("ota_0").set_boot_partition_skip_validate, board["ota_1"]) == "ESP_ERR_NOT_FOUND"


def test_the_factory_app_is_chosen_whatever_its_version():
    board = versions(1, factory=True, burnt=1)
    assert code(board.ops("ota_0").set_boot_partition, board["factory"]) == "ESP_OK"


def test_end_does_not_ask_for_the_secure_version():
    board = versions(1, None, burnt=1)
    ops = board.ops("ota_0")
    handle = ops.begin(board["ota_1"], 0)
    ops.write(handle, image("ota_1", 0))
    assert code(ops.end, handle) == "ESP_OK"


def test_end_of_an_image_without_a_descriptor_is_an_assertion():
    board = versions(1, None)
    ops = board.ops("ota_0")
    broken = bytearray(image("ota_1", 1))
    broken[0x20:0x24] = bytes(4)
    handle = ops.begin(board["ota_1"], 0)
    ops.write(handle, bytes(broken))
    assert code(ops.end, handle) == "abort"


# ---------------------------------------------------------------------------------------------------------- going back

POSSIBLE = [
    # secure version of the other app, burnt, entry 1, factory, possible
    (1, 1, "2/VALID", False, True),
    (2, 1, "2/VALID", False, True),
    (0, 1, "2/VALID", False, False),
    (0, 1, "2/VALID", True, False),
    (1, 1, "2/ABORTED", True, False),
    (1, 1, "-", True, False),
    (1, 1, "2/VALID!", True, False),
]


@pytest.mark.parametrize(("other", "burnt", "e1", "factory", "possible"), POSSIBLE)
def test_only_a_recent_slot_can_be_rolled_back_to(other, burnt, e1, factory, possible):
    board = versions(1, other, e0="3/VALID", e1=e1, burnt=burnt, factory=factory)
    assert board.ops("ota_0").check_rollback_is_possible() is possible
    assert code(board.ops("ota_0").mark_app_invalid_rollback) == (
        "ESP_OK" if possible else "ESP_ERR_OTA_ROLLBACK_FAILED"
    )


# ----------------------------------------------------------------------------------------------------------- confirming

CONFIRM = [
    # secure version of the running app, burnt before, state before, code, burnt after
    (2, 0, "PENDING_VERIFY", "ESP_OK", 2),
    (2, 2, "PENDING_VERIFY", "ESP_OK", 2),
    (0, 0, "PENDING_VERIFY", "ESP_OK", 0),
    (2, 0, "VALID", "ESP_OK", 0),
    (1, 2, "PENDING_VERIFY", "ESP_FAIL", 2),
    (17, 0, "PENDING_VERIFY", "ESP_ERR_INVALID_ARG", 0),
    (16, 0, "PENDING_VERIFY", "ESP_OK", 16),
]


@pytest.mark.parametrize(("running", "burnt", "state", "expected", "after"), CONFIRM)
def test_confirming_burns_the_running_apps_version_after_the_entry(running, burnt, state, expected, after):
    board = versions(running, 0, e0=f"1/{state}", burnt=burnt)
    assert code(board.ops("ota_0").mark_app_valid_cancel_rollback) == expected
    assert board.otadata[0] == "1/VALID"
    assert board.chip.efuse.secure_version == after


def test_confirming_fits_the_configured_field():
    board = versions(3, 0, e0="1/NEW", config=replace(ANTI, bootloader_app_sec_ver_size_efuse_field=2))
    assert code(board.ops("ota_0").mark_app_valid_cancel_rollback) == "ESP_ERR_INVALID_ARG"
    assert board.chip.efuse.secure_version == 0


def test_a_power_cut_while_confirming_burns_nothing():
    board = versions(2, 0, e0="1/PENDING_VERIFY")
    ops = board.ops("ota_0")
    board.chip.flash.fault = "cut@1"
    with pytest.raises(BaseException, match="power lost"):
        ops.mark_app_valid_cancel_rollback()
    assert board.chip.efuse.secure_version == 0


def test_a_running_app_without_a_descriptor_is_confirmed_and_burns_nothing():
    board = versions(2, 0, e0="1/NEW")
    board.chip.flash.erase(board["ota_0"].offset, SECTOR)
    assert code(board.ops("ota_0").mark_app_valid_cancel_rollback) == "ESP_ERR_NOT_FOUND"
    assert board.otadata[0] == "1/VALID"


def test_it_is_the_running_apps_version_and_the_active_entry():
    board = versions(2, 5, e0="1/VALID", e1="2/NEW")
    assert code(board.ops("ota_0").mark_app_valid_cancel_rollback) == "ESP_OK"
    assert board.otadata == ("1/VALID", "2/VALID")
    assert board.chip.efuse.secure_version == 2


# ------------------------------------------------------------------------------------------------------------- start-up


@pytest.mark.parametrize(
    ("config", "secure_version", "burnt", "starts"),
    [(ANTI, 1, 1, True), (ANTI, 2, 1, True), (ANTI, 0, 1, False), (ROLLBACK, 0, 1, True)],
)
def test_an_old_app_does_not_start(config, secure_version, burnt, starts):
    board = versions(secure_version, burnt=burnt, config=config)
    ops = board.ops("ota_0")
    desc = ops.get_partition_description(board["ota_0"])
    assert code(startup.init_efuse_secure, board.chip, desc, config, ops.log) == ("ESP_OK" if starts else "ESP_FAIL")
    assert ops.log.lines == ([] if starts else ["E (0) efuse_init: Incorrect secure version of app"])
