"""``esp_partition_*`` of a running app: search, bounds, copies and hashes."""

import hashlib

import pytest
from board import Board, app, slots, table

from py_esp_ota._core import EFuse, Partition
from py_esp_ota.device import Device
from py_esp_ota.errors import EspErr, FlashError, ImageError, PowerLoss
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log

ROWS = table(
    ("nvs", 1, 2, 0x9000, 0x4000),
    ("otadata", 1, 0, 0xD000, 0x2000),
    ("factory", 0, 0x00, 0x10000, 0x10000),
    ("ota_0", 0, 0x10, 0x20000, 0x10000),
    ("storage", 1, 0x81, 0x30000, 0x4000),
    ("storage2", 1, 0x81, 0x34000, 0x2000),
    Partition("locked", 1, 0x81, 0x36000, 0x2000, readonly=True),
    ("boot2", 2, 1, 0x40000, 0x8000),
    ("empty", 1, 0x40, 0x48000, 0),
)


@pytest.fixture
def board():
    return Board(ROWS)


@pytest.fixture
def partitions(board):
    return board.ops("factory").partitions


def refusal(call, *arguments):
    with pytest.raises(FlashError) as refused:
        call(*arguments)
    return refused.value.err.name


FIND = [
    ((0, None, None), ["factory", "ota_0"]),
    ((1, 0x81, None), ["storage", "storage2", "locked"]),
    ((1, 0x81, "storage2"), ["storage2"]),
    ((1, 0xFF, "storage"), ["storage"]),
    ((None, None, "boot2"), ["boot2"]),
    ((0xFF, 0xFF, None), [row.label for row in ROWS]),
    ((None, 0x81, None), []),
    ((0xFF, 0x81, None), []),
    ((0x40, None, None), []),
    ((0, 0x11, None), []),
]


@pytest.mark.parametrize(("wanted", "labels"), FIND)
def test_find(partitions, wanted, labels):
    assert [row.label for row in partitions.find(*wanted)] == labels
    first = partitions.find_first(*wanted)
    assert (first.label if first else None) == (labels[0] if labels else None)


def test_verify_compares_place_and_label_and_an_empty_label_is_any(board, partitions):
    row = board["storage"]
    assert partitions.verify(Partition("", row.type, row.subtype, row.offset, row.size)) == row
    assert partitions.verify(Partition("storage", 1, 0x81, 0x30000, 0x4000, readonly=True)) == row
    for stranger in (
        Partition("storage", 1, 0x81, 0x31000, 0x4000),
        Partition("storage", 1, 0x81, 0x30000, 0x3000),
        Partition("storage", 1, 0x82, 0x30000, 0x4000),
        Partition("storage2", 1, 0x81, 0x30000, 0x4000),
    ):
        assert partitions.verify(stranger) is None


def test_mmap_bounds(board, partitions):
    row = board["storage"]
    partitions.write(row, 0, b"mapped")
    assert partitions.mmap(row, 0, 8) == b"mapped\xff\xff"
    assert partitions.mmap(row, 0x4000, 0) == b""
    assert refusal(partitions.mmap, row, 0x4001, 0) == "ESP_ERR_INVALID_ARG"
    assert refusal(partitions.mmap, row, 0x4001, 0x5000) == "ESP_ERR_INVALID_ARG"
    assert refusal(partitions.mmap, row, 0, 0x4001) == "ESP_ERR_INVALID_SIZE"
    assert refusal(partitions.mmap, row, 0x3FFF, 2) == "ESP_ERR_INVALID_SIZE"


# --------------------------------------------------------------------------------------------------------------- copy

COPY_REFUSED = [
    # destination, its offset, source, its offset, length, code
    (None, 0, "storage", 0, 1, "ESP_ERR_INVALID_ARG"),
    ("storage", 0, None, 0, 1, "ESP_ERR_INVALID_ARG"),
    ("storage", 0, "storage", 0x1000, 1, "ESP_ERR_INVALID_ARG"),
    ("storage", 0, "storage2", 0x2001, 0, "ESP_ERR_INVALID_SIZE"),
    ("storage", 0x4001, "storage2", 0, 0, "ESP_ERR_INVALID_SIZE"),
    ("storage", 0, "storage2", 0, 0x2001, "ESP_ERR_INVALID_SIZE"),
    ("storage", 0, "storage2", 1, 0x2000, "ESP_ERR_INVALID_SIZE"),
    ("storage2", 0, "storage", 0, 0x2001, "ESP_ERR_INVALID_SIZE"),
    ("storage2", 0, "storage", 0, None, "ESP_ERR_INVALID_SIZE"),
    ("locked", 0, "storage", 0, 0x1000, "ESP_ERR_NOT_ALLOWED"),
    ("storage", 1, "storage2", 0, 0x1000, "ESP_ERR_INVALID_ARG"),
]


@pytest.mark.parametrize("case", COPY_REFUSED, ids=str)
def test_copies_that_are_refused_touch_nothing(board, partitions, case):
    to, to_offset, source, source_offset, length, expected = case
    before = board.chip.flash.operations
    rows = [name and board[name] for name in (to, source)]
    assert refusal(partitions.copy, rows[0], to_offset, rows[1], source_offset, length) == expected
    assert board.chip.flash.operations == before


def test_a_copy_erases_whole_sectors_first_and_then_writes_upwards(board, partitions):
    data = bytes(range(251)) * 21
    partitions.write(board["storage"], 0x100, data)
    partitions.write(board["storage2"], 0x1FFF, b"\x00")
    board.chip.flash.record(True)
    partitions.copy(board["storage2"], 0, board["storage"], 0x100, 0x1234)
    assert partitions.read(board["storage2"], 0, 0x2000) == data[:0x1234] + b"\xff" * (0x2000 - 0x1234)
    journal = board.chip.flash.journal()
    assert [op.address for op in journal if op.kind == "erase"] == [0x34000, 0x35000]
    written = [op.address for op in journal if op.kind == "program"]
    assert written == sorted(written)
    assert [op.kind for op in journal[:2]] == ["erase", "erase"]


def test_a_copy_of_the_rest_erases_all_of_the_destination(board, partitions):
    partitions.write(board["storage2"], 0, b"small")
    partitions.write(board["storage"], 0x3FFF, b"\x00")
    partitions.copy(board["storage"], 0x1000, board["storage2"], 0, None)
    assert partitions.read(board["storage"], 0x1000, 5) == b"small"
    assert board.chip.flash.is_erased(0x33000, 0x1000)
    assert refusal(partitions.copy, board["storage"], 0x3000, board["storage2"], 0, None) == "ESP_ERR_INVALID_SIZE"


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_a_copy_that_loses_power_leaves_a_beginning(board, partitions, cut):
    data = bytes(range(256)) * 32
    partitions.write(board["storage"], 0, data)
    partitions.write(board["storage2"], 0, bytes(0x2000))
    board.chip.flash.fault = f"cut@{cut}"
    with pytest.raises(PowerLoss):
        partitions.copy(board["storage2"], 0, board["storage"], 0, 0x2000)
    board.chip.flash.power_on()
    done = max(0, cut - 2) * 256
    left = partitions.read(board["storage2"], 0, 0x2000)
    assert left[:done] == data[:done]
    assert left[done:] == bytes(0x2000) if cut == 0 else left[0x1000 * 2 - 1 :] in (b"\xff", b"\x00")


def test_a_failed_write_of_a_copy_is_logged(board):
    ops = board.ops("factory")
    board["storage"].write(board.chip.flash, 0, bytes(0x1000))
    # Source and destination overlap: the erase takes the source along, the second sector is no longer what it was.
    beside = Partition("beside", 1, 0x81, 0x33000, 0x1000)
    edge = Partition("edge", 1, 0x81, 0x3FF000, 0x2000)
    ops.partitions.copy(beside, 0, board["storage"], 0, 0x1000)
    assert ops.log.lines == []
    with pytest.raises(FlashError):
        ops.partitions.copy(edge, 0, board["storage"], 0, 0x2000)


# --------------------------------------------------------------------------------------------------------------- hash


def test_the_hash_of_an_app_is_the_one_it_carries(board, partitions):
    assert partitions.get_sha256(board["ota_0"]) == app("ota_0")[-32:]
    assert partitions.get_sha256(board["ota_0"]) == hashlib.sha256(app("ota_0")[:-32]).digest()


def test_equal_copies_have_equal_hashes_until_four_bytes_are_cleared(board, partitions):
    board.flash_app("ota_0", app("factory"))
    assert partitions.check_identity(board["factory"], board["ota_0"])
    partitions.write(board["ota_0"], 0x50, bytes(4))
    with pytest.raises(ImageError) as refused:
        partitions.get_sha256(board["ota_0"])
    assert refused.value.err == EspErr.ESP_ERR_IMAGE_INVALID
    assert refused.value.fact["field"] == "hash"
    assert not partitions.check_identity(board["factory"], board["ota_0"])


def test_no_image_has_no_hash(board, partitions):
    board["ota_0"].erase_range(board.chip.flash, 0, 0x10000)
    with pytest.raises(ImageError) as refused:
        partitions.get_sha256(board["ota_0"])
    assert refused.value.err == EspErr.ESP_ERR_IMAGE_INVALID


def test_an_image_without_a_hash_is_hashed_as_a_whole(board, partitions):
    image = Firmware("bench", "1", hash_appended=False).to_bytes()
    board.flash_app("ota_0", image)
    assert partitions.get_sha256(board["ota_0"]) == hashlib.sha256(image).digest()


def test_a_bootloader_partition_is_an_image_too(board, partitions):
    image = bootloader()
    board.chip.flash.program(0, image)
    assert partitions.get_sha256(Partition("bootloader", 2, 0, 0, 0x8000)) == image[-32:]
    with pytest.raises(ImageError, match="holds no image"):
        partitions.get_sha256(board["boot2"])


def test_data_is_hashed_to_the_last_byte(board, partitions):
    board["storage"].write(board.chip.flash, 0, b"data")
    assert partitions.get_sha256(board["storage"]) == hashlib.sha256(b"data" + b"\xff" * 0x3FFC).digest()


def test_nothing_has_no_hash(board, partitions):
    assert refusal(partitions.get_sha256, board["empty"]) == "ESP_ERR_INVALID_ARG"


def test_a_partition_outside_the_flash_has_no_hash(partitions):
    assert refusal(partitions.get_sha256, Partition("far", 1, 0x81, 0x400000, 0x1000)) == "ESP_ERR_INVALID_ARG"


def test_a_table_that_is_refused_finds_nothing():
    board = Board(slots(2))
    board.chip.flash.erase(0x8000, 0x1000)
    ops = board.ops("ota_0")
    assert ops.partitions.find() == []
    assert ops.get_running_partition().label == "ota_0"


# --------------------------------------------------------------------------------------------------- flash encryption


@pytest.fixture
def encrypted():
    """A device whose flash was encrypted when it was made: bootloader, table and factory app."""
    fuses = EFuse(flash_encryption_key=bytes(range(32)), flash_crypt_cnt=1)
    made = Device(ROWS, firmware=app("factory"), bootloader=bootloader(version=4), efuse=fuses)
    report = made.power_on()
    assert report.ok
    return OtaOps(made.chip, report.partition, made.config, Log(lambda: 0))


def test_hashes_and_descriptions_see_plain_bytes(encrypted):
    row = encrypted.table.find(label="factory")
    assert encrypted.chip.flash.read(0x10000, 1) != b"\xe9"
    assert encrypted.partitions.get_sha256(row) == app("factory")[-32:]
    assert encrypted.get_bootloader_description().version == 4
    assert encrypted.get_partition_description(row).version == "factory"


def test_a_copy_is_encrypted_at_its_new_place(encrypted):
    factory, slot = (encrypted.table.find(label=label) for label in ("factory", "ota_0"))
    encrypted.partitions.copy(slot, 0, factory, 0, None)
    assert encrypted.partitions.check_identity(slot, factory)
    flash = encrypted.chip.flash
    assert flash.read(slot.offset, 0x1000) != flash.read(factory.offset, 0x1000)
    assert flash.mmap(slot.offset, 0x1000) == flash.mmap(factory.offset, 0x1000)
