"""What ``esp_ota_ops`` says about images: their descriptions, and whether they suit this chip."""

import pytest
from board import Board, app, entry, slots

from py_esp_ota._core import EFuse, ImageHeader, Partition
from py_esp_ota.errors import FlashError, OtaError
from py_esp_ota.firmware import Firmware, bootloader


def code(call, *args):
    """The code a C caller would see."""
    try:
        call(*args)
    except (OtaError, FlashError) as error:
        return error.err.name
    return "ESP_OK"


DESCRIPTION = [
    (None, "ESP_ERR_INVALID_ARG"),
    ("nvs", "ESP_ERR_NOT_SUPPORTED"),
    ("ota_0", "ESP_OK"),
    ("ota_1", "ESP_ERR_NOT_FOUND"),
]


@pytest.mark.parametrize(("label", "expected"), DESCRIPTION)
def test_get_partition_description(label, expected):
    board = Board(slots(2, factory=True), without=("ota_1",))
    ops = board.ops("factory")
    assert code(ops.get_partition_description, label and board[label]) == expected
    if expected == "ESP_OK":
        assert ops.get_partition_description(board[label]).version == label


def test_a_partition_too_small_for_a_descriptor():
    board = Board(slots(2, factory=True))
    assert code(board.ops("factory").get_partition_description, Partition("x", 0, 0x10, 0x20000, 0x100)) == (
        "ESP_ERR_INVALID_SIZE"
    )


FUSES = [
    (EFuse(chip_revision=100), Firmware("bench", "1", min_chip_rev_full=101), False),
    (EFuse(chip_revision=101), Firmware("bench", "1", min_chip_rev_full=101), True),
    (EFuse(chip_revision=100, block_revision=149), Firmware("bench", "1", min_efuse_blk_rev_full=150), False),
    (EFuse(chip_revision=100, block_revision=150), Firmware("bench", "1", min_efuse_blk_rev_full=150), True),
]


@pytest.mark.parametrize(("efuse", "release", "accepted"), FUSES, ids=str)
def test_app_and_bootloader_judge_an_image_by_this_chips_fuses(efuse, release, accepted):
    board = Board(slots(2), "1/VALID", "2/INVALID")
    board.chip.efuse = efuse
    board.flash_app("ota_1", release.to_bytes())
    ops = board.ops("ota_0")
    assert (ops.get_last_invalid_partition() is not None) == accepted
    assert (code(ops.set_boot_partition, board["ota_1"]) == "ESP_OK") == accepted
    board.put(1, entry("2/VALID"))
    assert board.boot().partition.label == ("ota_1" if accepted else "ota_0")


VALIDITY = [
    (Firmware("bench", "2"), "ESP_OK"),
    (Firmware("bench", "2", chip="esp32s3"), "ESP_ERR_INVALID_VERSION"),
    (Firmware("bench", "2", min_chip_rev_full=199), "ESP_ERR_INVALID_VERSION"),
    (Firmware("bench", "2", max_chip_rev_full=2), "ESP_ERR_INVALID_VERSION"),
    (Firmware("bench", "2", spi_flash_mode=1), "ESP_ERR_OTA_SPI_MODE_MISMATCH"),
    (Firmware("bench", "2", spi_flash_mode=0), "ESP_OK"),
]


@pytest.mark.parametrize(("release", "expected"), VALIDITY)
def test_check_image_validity(release, expected):
    board = Board(slots(2, factory=True))
    ops = board.ops("factory")
    header = ImageHeader.from_bytes(release.to_bytes())
    board.flash_app("ota_0", release.to_bytes())
    desc = ops.get_partition_description(board["ota_0"])
    assert code(ops.check_image_validity, 0, header, desc) == expected
    assert bool(ops.log.lines) == (expected != "ESP_OK")


def test_flash_modes_are_not_compared_without_a_descriptor():
    board = Board(slots(2, factory=True))
    header = ImageHeader.from_bytes(Firmware("bench", "2", spi_flash_mode=1).to_bytes())
    assert code(board.ops("factory").check_image_validity, 0, header, None) == "ESP_OK"


def test_a_running_app_without_a_descriptor_accepts_any_flash_mode():
    board = Board(slots(2, factory=True))
    board.flash_app("factory", bootloader())
    header = ImageHeader.from_bytes(app("ota_0"))
    desc = board.ops("factory").get_partition_description(board["ota_0"])
    assert code(board.ops("factory").check_image_validity, 0, header, desc) == "ESP_OK"


TYPES = [
    # partition type, header given, maximum revision of the header, code
    (0, False, 199, "ESP_ERR_INVALID_ARG"),
    (9, False, 199, "ESP_ERR_INVALID_ARG"),
    (1, True, 199, "ESP_ERR_INVALID_ARG"),
    (3, True, 199, "ESP_ERR_INVALID_ARG"),
    (0x40, True, 199, "ESP_ERR_INVALID_ARG"),
    (0, True, 199, "ESP_OK"),
    (2, True, 199, "ESP_OK"),
    (0, True, 2, "ESP_ERR_INVALID_VERSION"),
    (2, True, 2, "ESP_OK"),
]


@pytest.mark.parametrize(("part_type", "given", "most", "expected"), TYPES)
def test_check_image_validity_asks_for_header_and_type_first(part_type, given, most, expected):
    board = Board(slots(2, factory=True))
    header = ImageHeader.from_bytes(Firmware("bench", "2", max_chip_rev_full=most).to_bytes())
    assert code(board.ops("factory").check_image_validity, part_type, header if given else None, None) == expected


def test_a_bootloaders_flash_mode_is_not_compared():
    board = Board(slots(2, factory=True))
    ops = board.ops("factory")
    release = Firmware("bench", "2", spi_flash_mode=1).to_bytes()
    board.flash_app("ota_0", release)
    desc = ops.get_partition_description(board["ota_0"])
    header = ImageHeader.from_bytes(release)
    assert code(ops.check_image_validity, 0, header, desc) == "ESP_ERR_OTA_SPI_MODE_MISMATCH"
    assert code(ops.check_image_validity, 2, header, desc) == "ESP_OK"


def test_a_fuse_switches_the_upper_bound_of_the_revision_off():
    board = Board(slots(2, factory=True))
    header = ImageHeader.from_bytes(Firmware("bench", "2", max_chip_rev_full=2).to_bytes())
    board.chip.efuse = EFuse(disable_wafer_version_major=True)
    assert code(board.ops("factory").check_image_validity, 0, header, None) == "ESP_OK"
