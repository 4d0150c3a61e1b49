"""``esp_ota_resume``, ``esp_ota_write_with_offset``, the choice without validation: arguments, then effects."""

import pytest
from board import PLAIN, ROLLBACK, SECTOR, Board, app, slots, table

from py_esp_ota._core import EFuse, Partition
from py_esp_ota.errors import FlashError, OtaError, Restart
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES

RICH = table(
    ("nvs", 1, 2, 0x9000, 0x4000),
    ("otadata", 1, 0, 0xD000, 0x2000),
    ("factory", 0, 0x00, 0x10000, 0x10000),
    ("ota_0", 0, 0x10, 0x20000, 0x10000),
    ("ota_1", 0, 0x11, 0x30000, 0x10000),
    ("test", 0, 0x20, 0x40000, 0x10000),
    ("storage", 1, 0x81, 0x60000, 0x10000),
    ("boot2", 2, 1, 0x70000, 0x8000),
)
STRANGER = Partition("ota_0", 0, 0x10, 0x21000, 0x10000)


def code(call, *arguments):
    try:
        call(*arguments)
    except (OtaError, FlashError) as error:
        return error.err.name
    except Restart:
        return "abort"
    return "ESP_OK"


def part(board, label):
    return None if label is None else STRANGER if label == "stranger" else board[label]


RESUME = [
    # config, running, entry 0, partition, image offset, code
    (PLAIN, "factory", "-", None, 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "factory", "-", "stranger", 0x10001, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "factory", "-", "stranger", 0x10000, "ESP_ERR_NOT_FOUND"),
    (PLAIN, "factory", "-", "ota_0", 0x10001, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "factory", "-", "ota_0", 0x10000, "ESP_OK"),
    (PLAIN, "factory", "-", "factory", 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "ota_0", "-", "test", 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "ota_0", "1/VALID", "ota_0", 0, "ESP_ERR_OTA_PARTITION_CONFLICT"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "ota_0", 0, "ESP_ERR_OTA_PARTITION_CONFLICT"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "ota_1", 0, "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "storage", 0, "ESP_OK"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "boot2", 0, "ESP_OK"),
    (ROLLBACK, "ota_0", "1/NEW", "ota_1", 0, "ESP_OK"),
    (PLAIN, "ota_0", "1/PENDING_VERIFY", "ota_1", 0, "ESP_OK"),
]


@pytest.mark.parametrize("case", RESUME, ids=lambda case: f"{case[3]}, {case[5]}")
def test_resume_refuses_in_order_and_touches_nothing(case):
    config, running, e0, label, offset, expected = case
    board = Board(RICH, e0, "2/VALID", config=config)
    ops = board.ops(running)
    before = board.chip.flash.operations
    assert code(ops.resume, part(board, label), 0, offset) == expected
    assert board.chip.flash.operations == before
    assert board.otadata == (e0, "2/VALID")


def test_resume_refuses_a_partition_that_is_being_written():
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    first = ops.resume(board["ota_0"], 0, 0)
    assert code(ops.resume, board["ota_0"], 0, 0) == code(ops.begin, board["ota_0"], 0)
    assert code(ops.begin, board["ota_0"], 0) == "ESP_ERR_OTA_ALREADY_IN_PROGRESS"
    ops.abort(first)
    assert ops.resume(board["ota_0"], 0, 0) == first + 1


@pytest.mark.parametrize("offset", [-1, 1 << 32])
def test_an_image_offset_that_is_no_32_bit_number_is_misuse(offset):
    board = Board(RICH)
    with pytest.raises(ValueError, match="32 bits"):
        board.ops("factory").resume(board["ota_0"], 0, offset)


@pytest.mark.parametrize("stop", [1, 0x123, SECTOR, 0x4567])
def test_a_resumed_download_is_whole(stop):
    board = Board(RICH, config=PLAIN, without=("ota_0",))
    image = app("ota_0")
    ops = board.ops("factory")
    handle = ops.begin(board["ota_0"], OTA_WITH_SEQUENTIAL_WRITES)
    ops.write(handle, image[:stop])
    ops = board.ops("factory")  # a reset: the handle is gone, what was written is not
    handle = ops.resume(board["ota_0"], OTA_WITH_SEQUENTIAL_WRITES, stop)
    for start in range(stop, len(image), 1000):
        ops.write(handle, image[start : start + 1000])
    ops.end(handle)
    assert board["ota_0"].read(board.chip.flash, 0, len(image)) == image


def test_the_first_byte_is_looked_at_only_at_the_start():
    board = Board(RICH, config=PLAIN, without=("ota_0", "ota_1"))
    ops = board.ops("factory")
    assert code(ops.write, ops.resume(board["ota_0"], 0, 16), b"no") == "ESP_OK"
    assert code(ops.write, ops.resume(board["ota_1"], 0, 0), b"no") == "ESP_ERR_OTA_VALIDATE_FAILED"


def test_a_resumed_update_without_new_data_ends_by_its_offset():
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    assert code(ops.end, ops.resume(board["ota_0"], 0, 0)) == "ESP_ERR_INVALID_ARG"
    assert code(ops.end, ops.resume(board["ota_0"], 0, 1)) == "ESP_OK"


@pytest.mark.parametrize(("erase_size", "erases"), [(OTA_WITH_SEQUENTIAL_WRITES, True), (0, False), (0x10000, False)])
def test_only_sequential_writes_erase_as_they_go(erase_size, erases):
    board = Board(RICH, config=PLAIN, without=("ota_0",))
    ops = board.ops("factory")
    handle = ops.resume(board["ota_0"], erase_size, 0xF00)
    board.chip.flash.record(True)
    ops.write(handle, b"\x00" * 0x200)
    erased = [op.address for op in board.chip.flash.journal() if op.kind == "erase"]
    assert erased == ([0x21000] if erases else [])


# ---------------------------------------------------------------------------------------------------------- write


def test_without_data_write_refuses_before_it_looks_at_the_handle():
    ops = Board(RICH).ops("factory")
    assert code(ops.write, 1, None) == code(ops.write_with_offset, 1, None, 0) == "ESP_ERR_INVALID_ARG"
    assert ops.log.lines == ["E (0) esp_ota_ops: write data is invalid"] * 2


def test_write_with_offset_refuses_in_order():
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    assert code(ops.write_with_offset, 1, b"", 0) == "ESP_ERR_INVALID_ARG", "no shortcut for nothing"
    assert ops.log.lines == ["E (0) esp_ota_ops: OTA handle not found"]
    sequential = ops.begin(board["ota_1"], OTA_WITH_SEQUENTIAL_WRITES)
    assert code(ops.write_with_offset, sequential, b"", 0) == "abort"
    handle = ops.begin(board["ota_0"], 0)
    assert code(ops.write_with_offset, handle, b"", 0x10001) == "ESP_ERR_INVALID_ARG"
    assert code(ops.write_with_offset, handle, b"x", 0x10000) == "ESP_ERR_INVALID_SIZE"
    assert code(ops.write_with_offset, handle, b"", 0x10000) == "ESP_OK"
    assert code(ops.end, handle) == "ESP_ERR_INVALID_ARG", "nothing was counted"


def test_write_with_offset_takes_any_first_byte_and_erases_nothing():
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    handle = ops.begin(board["ota_0"], 0)
    board.chip.flash.record(True)
    ops.write_with_offset(handle, b"\x00", 0)
    assert [op.kind for op in board.chip.flash.journal()] == ["program"]


def test_write_with_offset_wants_whole_units_of_encryption():
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    handle = ops.begin(board["storage"], 0)
    board.chip.efuse = EFuse("esp32c3", flash_crypt_cnt=1)
    assert code(ops.write_with_offset, handle, bytes(17), 0) == "ESP_ERR_INVALID_ARG"
    assert ops.log.lines[-1] == "E (0) esp_ota_ops: Size should be 16byte aligned for flash encryption case"


@pytest.mark.parametrize("order", [1, -1])
def test_flow_a_slot_written_in_pieces_at_their_offsets(order):
    board = Board("two_ota", config=PLAIN, without=("ota_0", "ota_1"))
    ops = board.ops(board.booted())
    image = app("ota_0")
    handle = ops.begin(ops.get_next_update_partition(), 0)
    for start in list(range(0, len(image), SECTOR))[::order]:
        ops.write_with_offset(handle, image[start : start + SECTOR], start)
    ops.end(handle)
    ops.set_boot_partition(board["ota_0"])
    assert board.booted() == "ota_0"


# ------------------------------------------------------------------------------------------ set_boot without validation

SKIP = [
    (RICH, (), None, "ESP_ERR_INVALID_ARG"),
    (RICH, ("ota_0",), "ota_0", "ESP_OK"),
    (RICH, ("factory",), "factory", "ESP_OK"),
    (RICH, (), "nvs", "ESP_ERR_INVALID_ARG"),
    (RICH, (), "boot2", "ESP_ERR_INVALID_ARG"),
    (RICH, ("test",), "test", "ESP_OK"),
    (table(("factory", 0, 0, 0x10000, 0x10000)), (), "factory", "ESP_ERR_NOT_FOUND"),
    (table(("ota_0", 0, 0x10, 0x10000, 0x10000)), (), "ota_0", "ESP_ERR_NOT_FOUND"),
    (slots(0, test=True), (), "test", "ESP_ERR_INVALID_ARG"),
]


@pytest.mark.parametrize(("rows", "without", "label", "expected"), SKIP)
def test_choosing_without_validation_refuses_in_order(rows, without, label, expected):
    board = Board(rows, without=without, config=PLAIN)
    running = next(row.label for row in rows if row.type == 0)
    ops = board.ops(running)
    assert code(ops.set_boot_partition_skip_validate, part(board, label)) == expected
    assert not [line for line in ops.log.lines if "esp_image" in line]


def test_a_broken_app_chosen_without_validation_is_what_the_bootloader_tries_first():
    board = Board(slots(2), "1/VALID", without=("ota_1",))
    board.ops("ota_0").set_boot_partition_skip_validate(board["ota_1"])
    assert board.otadata == ("1/VALID", "2/NEW")
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", "2/PENDING_VERIFY")
