"""Argument and state checks of ``esp_ota_ops``, in upstream's order: who is refused, and with which code."""

import pytest
from board import PLAIN, ROLLBACK, Board, app, slots, table

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, FlashError, OtaError, Restart
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES

RICH = table(
    ("nvs", 1, 2, 0x9000, 0x4000),
    ("otadata", 1, 0, 0xD000, 0x2000),
    ("factory", 0, 0x00, 0x10000, 0x10000),
    ("ota_0", 0, 0x10, 0x20000, 0x10000),
    ("ota_1", 0, 0x11, 0x30000, 0x10000),
    ("test", 0, 0x20, 0x40000, 0x10000),
    Partition("locked", 0, 0x12, 0x50000, 0x10000, readonly=True),
    ("storage", 1, 0x81, 0x60000, 0x10000),
    ("boot2", 2, 1, 0x70000, 0x8000),
    ("table2", 3, 1, 0x78000, 0x1000),
)
STRANGER = Partition("ota_0", 0, 0x10, 0x21000, 0x10000)


def code(call, *args):
    """The code a C caller would see."""
    try:
        call(*args)
    except (OtaError, FlashError) as error:
        return error.err.name
    return "ESP_OK"


def part(board, label):
    return None if label is None else STRANGER if label == "stranger" else board[label]


# ------------------------------------------------------------------------------------------------------------ begin

BEGIN = [
    # config, running, entry 0, partition, size, code
    (PLAIN, "factory", "-", None, 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "factory", "-", "stranger", 0, "ESP_ERR_NOT_FOUND"),
    (PLAIN, "factory", "-", "factory", 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "ota_0", "-", "factory", 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "ota_0", "-", "test", 0, "ESP_ERR_INVALID_ARG"),
    (PLAIN, "ota_0", "1/VALID", "ota_0", 0, "ESP_ERR_OTA_PARTITION_CONFLICT"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "ota_0", 0, "ESP_ERR_OTA_PARTITION_CONFLICT"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "factory", 0, "ESP_ERR_INVALID_ARG"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "ota_1", 0, "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "storage", 0, "ESP_OK"),
    (ROLLBACK, "ota_0", "1/NEW", "ota_1", 0, "ESP_OK"),
    (ROLLBACK, "factory", "1/PENDING_VERIFY", "ota_1", 0, "ESP_OK"),
    (PLAIN, "ota_0", "1/PENDING_VERIFY", "ota_1", 0, "ESP_OK"),
    (PLAIN, "factory", "-", "ota_0", 0x10000, "ESP_OK"),
    (PLAIN, "factory", "-", "ota_0", 0x10001, "ESP_ERR_INVALID_SIZE"),
    (PLAIN, "factory", "-", "locked", 0, "ESP_ERR_NOT_ALLOWED"),
    (PLAIN, "factory", "-", "locked", OTA_WITH_SEQUENTIAL_WRITES, "ESP_OK"),
    (PLAIN, "factory", "-", "boot2", 0, "ESP_OK"),
    (PLAIN, "factory", "-", "table2", 0, "ESP_OK"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "boot2", 0, "ESP_OK"),
    (ROLLBACK, "ota_0", "1/PENDING_VERIFY", "table2", 0, "ESP_OK"),
]


@pytest.mark.parametrize("case", BEGIN, ids=lambda case: f"{case[3]}, {case[5]}")
def test_begin_refuses_in_order(case):
    config, running, e0, label, size, expected = case
    board = Board(RICH, e0, config=config)
    ops = board.ops(running)
    assert code(ops.begin, part(board, label), size) == expected
    if expected not in ("ESP_OK", "ESP_ERR_INVALID_SIZE"):
        assert board.chip.flash.read(0x10000, 0x60000) == Board(RICH, e0).chip.flash.read(0x10000, 0x60000)


@pytest.mark.parametrize("label", ["ota_1", "storage"])
def test_begin_refuses_a_partition_that_is_being_written(label):
    board = Board(RICH)
    ops = board.ops("factory")
    first = ops.begin(board[label], 0)
    assert code(ops.begin, board[label], 0) == "ESP_ERR_OTA_ALREADY_IN_PROGRESS"
    assert ops.log.lines == [f"E (0) esp_ota_ops: OTA operation already in progress on partition {label}"]
    ops.abort(first)
    assert ops.begin(board[label], 0) == first + 1


@pytest.mark.parametrize(
    ("size", "erased"),
    [
        (0, 0x10000),
        (OTA_SIZE_UNKNOWN, 0x10000),
        (OTA_WITH_SEQUENTIAL_WRITES, 0),
        (1, 0x1000),
        (0x1000, 0x1000),
        (0x1001, 0x2000),
        (0xFFFFF000, None),
        (0xFFFFF001, 0),
        (0xFFFFFFFD, 0),
    ],
)
def test_begin_erases_what_the_size_asks_for(size, erased):
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    board.chip.flash.record(True)
    expected = "ESP_ERR_INVALID_SIZE" if erased is None else "ESP_OK"
    assert code(ops.begin, board["ota_0"], size) == expected
    sectors = [op.address for op in board.chip.flash.journal()]
    assert sectors == list(range(0x20000, 0x20000 + (erased or 0), 0x1000))


@pytest.mark.parametrize("size", [-1, 1 << 32])
def test_begin_with_a_size_that_is_no_32_bit_number_is_misuse(size):
    board = Board(RICH)
    with pytest.raises(ValueError, match="32 bits"):
        board.ops("factory").begin(board["ota_0"], size)


def test_an_empty_label_matches_any_row():
    board = Board(RICH)
    row = board["ota_0"]
    unnamed = Partition("", row.type, row.subtype, row.offset, row.size)
    assert code(board.ops("factory").begin, unnamed, 0) == "ESP_OK"


# ------------------------------------------------------------------------------------------------ write, end, abort


def test_write_of_nothing_is_fine_even_without_a_handle():
    assert code(Board(RICH).ops("factory").write, 77, b"") == "ESP_OK"


def test_an_unknown_handle_has_a_code_for_each_call():
    ops = Board(RICH).ops("factory")
    assert code(ops.write, 1, b"\xe9") == "ESP_ERR_INVALID_ARG"
    assert ops.log.lines == ["E (0) esp_ota_ops: not found the handle"]
    assert code(ops.end, 1) == code(ops.abort, 1) == "ESP_ERR_NOT_FOUND"


def test_a_handle_ends_once():
    board = Board(RICH)
    ops = board.ops("factory")
    handle = ops.begin(board["ota_0"], 0)
    ops.write(handle, app("ota_0"))
    assert [code(ops.end, handle), code(ops.end, handle), code(ops.abort, handle)] == [
        "ESP_OK",
        "ESP_ERR_NOT_FOUND",
        "ESP_ERR_NOT_FOUND",
    ]


def test_end_without_data_closes_the_handle_with_an_error():
    board = Board(RICH)
    ops = board.ops("factory")
    handle = ops.begin(board["ota_0"], 0)
    assert code(ops.end, handle) == "ESP_ERR_INVALID_ARG"
    assert code(ops.end, handle) == "ESP_ERR_NOT_FOUND"


@pytest.mark.parametrize("size", [0, OTA_WITH_SEQUENTIAL_WRITES])
def test_the_first_byte_of_an_app_is_checked_and_the_handle_stays_usable(size):
    board = Board(RICH)
    ops = board.ops("factory")
    handle = ops.begin(board["ota_0"], size)
    assert code(ops.write, handle, b"\x7fELF") == "ESP_ERR_OTA_VALIDATE_FAILED"
    assert ops.log.lines == ["E (0) esp_ota_ops: OTA image has invalid magic byte (expected 0xE9, saw 0x7f)"]
    assert board.chip.flash.is_erased(0x20000, 0x1000)
    ops.write(handle, app("ota_0"))
    assert code(ops.end, handle) == "ESP_OK"


def test_data_partitions_take_any_bytes_and_are_not_verified():
    board = Board(RICH)
    ops = board.ops("factory")
    handle = ops.begin(board["storage"], 0)
    ops.write(handle, b"hello")
    assert code(ops.end, handle) == "ESP_OK"
    assert board["storage"].read(board.chip.flash, 0, 6) == b"hello\xff"


@pytest.mark.parametrize("size", [0, OTA_WITH_SEQUENTIAL_WRITES])
def test_writing_past_the_end_is_refused_and_written_before_it(size):
    board = Board(RICH, config=PLAIN)
    ops = board.ops("factory")
    handle = ops.begin(board["storage"], size)
    ops.write(handle, bytes(0xF000))
    assert code(ops.write, handle, bytes(0x1001)) == "ESP_ERR_INVALID_SIZE"
    assert board.chip.flash.read(0x70000 - 0x1000, 0x1000) == b"\xff" * 0x1000
    assert code(ops.write, handle, bytes(0x1000)) == "ESP_OK"


def test_a_read_only_slot_fails_at_the_first_sequential_write():
    board = Board(RICH)
    ops = board.ops("factory")
    handle = ops.begin(board["locked"], OTA_WITH_SEQUENTIAL_WRITES)
    assert code(ops.write, handle, b"\xe9") == "ESP_ERR_NOT_ALLOWED"


@pytest.mark.parametrize("chunk", [1, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 0x4000])
@pytest.mark.parametrize("size", [0, OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES, 0x4000])
def test_any_chunk_size_writes_the_same_image(chunk, size):
    board = Board(RICH, without=("ota_0",))
    ops = board.ops("factory")
    image = app("ota_0")
    handle = ops.begin(board["ota_0"], size)
    for start in range(0, len(image), chunk):
        ops.write(handle, image[start : start + chunk])
    ops.end(handle)
    assert board["ota_0"].read(board.chip.flash, 0, len(image)) == image


def test_end_names_the_fault_and_prints_it():
    board = Board(RICH)
    ops = board.ops("factory")
    image = bytearray(app("ota_0"))
    image[-1] ^= 1
    handle = ops.begin(board["ota_0"], 0)
    ops.write(handle, bytes(image))
    with pytest.raises(OtaError) as refused:
        ops.end(handle)
    assert refused.value.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    assert {"field", "offset", "found", "expected", "label", "cause"} <= refused.value.fact.keys()
    assert refused.value.fact["cause"] == "ESP_ERR_IMAGE_INVALID"
    assert str(refused.value).startswith("ESP_ERR_OTA_VALIDATE_FAILED (0x1503): the image in ota_0 is refused")
    assert ops.log.lines[-2:] == [
        "E (0) esp_image: Image hash failed - image is corrupt",
        "E (0) esp_ota_ops: New image failed verification",
    ]
    assert ops.log.lines[0].startswith("I (0) esp_image: segment 0: paddr=00020020 vaddr=3c000020 size=")


def test_an_image_for_another_chip_is_a_validation_failure():
    board = Board(RICH)
    ops = board.ops("factory")
    handle = ops.begin(board["ota_0"], 0)
    ops.write(handle, Firmware("bench", "1", chip="esp32s3").to_bytes())
    with pytest.raises(OtaError) as refused:
        ops.end(handle)
    assert refused.value.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    assert refused.value.fact["cause"] == "ESP_FAIL"
    assert "E (0) boot_comm: mismatch chip ID, expected 5, found 9" in ops.log.lines


# ------------------------------------------------------------------------------------------------ set_boot_partition

NO_OTADATA = table(("factory", 0, 0x00, 0x10000, 0x10000), ("ota_0", 0, 0x10, 0x20000, 0x10000))

SET_BOOT = [
    (RICH, (), None, "ESP_ERR_INVALID_ARG"),
    (RICH, (), "ota_0", "ESP_OK"),
    (RICH, ("ota_0",), "ota_0", "ESP_ERR_OTA_VALIDATE_FAILED"),
    (RICH, (), "factory", "ESP_OK"),
    (RICH, ("factory",), "factory", "ESP_ERR_OTA_VALIDATE_FAILED"),
    (RICH, (), "nvs", "ESP_ERR_OTA_VALIDATE_FAILED"),
    (NO_OTADATA, (), "factory", "ESP_ERR_NOT_FOUND"),
    (NO_OTADATA, (), "ota_0", "ESP_ERR_NOT_FOUND"),
    (slots(0, test=True), (), "test", "ESP_ERR_INVALID_ARG"),
]


@pytest.mark.parametrize(("rows", "without", "label", "expected"), SET_BOOT)
def test_set_boot_partition_refuses_in_order(rows, without, label, expected):
    board = Board(rows, without=without)
    ops = board.ops("test" if rows.find(label="test") else "ota_0")
    assert code(ops.set_boot_partition, part(board, label)) == expected
    if expected != "ESP_OK" and rows is not NO_OTADATA:
        assert board.otadata == ("-", "-")


def test_a_data_partition_with_a_good_image_is_still_no_app():
    board = Board(RICH)
    board["storage"].write(board.chip.flash, 0, app("ota_0"))
    assert code(board.ops("factory").set_boot_partition, board["storage"]) == "ESP_ERR_INVALID_ARG"


# ------------------------------------------------------------------------------------------------ states and marks

STATE = [
    ("1/VALID", "-", None, "ESP_ERR_INVALID_ARG"),
    ("1/VALID", "-", "factory", "ESP_ERR_NOT_SUPPORTED"),
    ("1/VALID", "-", "test", "ESP_ERR_NOT_SUPPORTED"),
    ("1/VALID", "-", "nvs", "ESP_ERR_NOT_SUPPORTED"),
    ("1/VALID", "-", "ota_1", "ESP_ERR_NOT_FOUND"),
    ("1/VALID!", "-", "ota_0", "ESP_ERR_NOT_FOUND"),
]


@pytest.mark.parametrize(("e0", "e1", "label", "expected"), STATE)
def test_get_state_partition_refuses_in_order(e0, e1, label, expected):
    board = Board(RICH, e0, e1)
    assert code(board.ops("factory").get_state_partition, part(board, label)) == expected


def test_get_state_partition_without_otadata():
    board = Board(NO_OTADATA)
    ops = board.ops("factory")
    assert code(ops.get_state_partition, board["ota_0"]) == "ESP_ERR_NOT_FOUND"
    assert ops.log.lines == ["E (0) esp_ota_ops: not found otadata"]


def test_the_first_entry_that_names_the_slot_counts_active_or_not():
    board = Board(slots(2), "1/ABORTED", "3/VALID")
    assert board.ops("ota_0").get_state_partition(board["ota_0"]).name == "ABORTED"


MARKS = [
    # rows, entries, without, mark_valid, mark_invalid, entries after the latter
    (RICH, "-", "-", (), "ESP_FAIL", "ESP_FAIL"),
    (RICH, "1/VALID!", "-", (), "ESP_FAIL", "ESP_FAIL"),
    (RICH, "1/INVALID", "-", (), "ESP_FAIL", "ESP_FAIL"),
    (RICH, "1/VALID", "-", (), "ESP_OK", "ESP_OK"),
    (RICH, "1/VALID", "-", ("factory",), "ESP_OK", "ESP_ERR_OTA_ROLLBACK_FAILED"),
    (RICH, "1/VALID", "2/ABORTED", ("factory",), "ESP_OK", "ESP_ERR_OTA_ROLLBACK_FAILED"),
    (RICH, "3/VALID", "2/UNDEFINED", ("factory",), "ESP_OK", "ESP_OK"),
    (RICH, "3/VALID", "2/VALID", ("ota_1",), "ESP_OK", "ESP_ERR_OTA_ROLLBACK_FAILED"),
    (slots(2), "1/VALID", "-", (), "ESP_OK", "ESP_ERR_OTA_ROLLBACK_FAILED"),
    (slots(2), "1/VALID", "2/VALID!", (), "ESP_OK", "ESP_ERR_OTA_ROLLBACK_FAILED"),
    (slots(2), "1/VALID", "2/PENDING_VERIFY", (), "ESP_OK", "ESP_OK"),
    (slots(0, factory=True), "1/VALID", "-", (), "ESP_FAIL", "ESP_FAIL"),
]


@pytest.mark.parametrize("case", MARKS, ids=lambda case: f"{case[1]}, {case[2]}, {case[5]}")
def test_marks(case):
    rows, e0, e1, without, valid, invalid = case
    running = "factory" if rows.find(label="factory") else "ota_0"
    board = Board(rows, e0, e1, without=without, config=PLAIN)
    assert code(board.ops(running).mark_app_valid_cancel_rollback) == valid
    board = Board(rows, e0, e1, without=without, config=PLAIN)
    ops = board.ops(running)
    assert ops.check_rollback_is_possible() is (invalid == "ESP_OK")
    assert code(ops.mark_app_invalid_rollback) == invalid
    if invalid == "ESP_OK":
        assert [text for text in board.otadata if text.endswith("INVALID")]
        assert ops.log.lines[-1] == "I (0) esp_ota_ops: Rollback to previously worked partition."
    else:
        assert board.otadata == (e0, e1)
        assert (
            ops.log.lines[-1]
            == {
                "ESP_FAIL": "E (0) esp_ota_ops: Running firmware is factory",
                "ESP_ERR_OTA_ROLLBACK_FAILED": (
                    "E (0) esp_ota_ops: Rollback is not possible, do not have any suitable apps in slots"
                ),
            }[invalid]
        )


def test_marks_without_otadata():
    ops = Board(NO_OTADATA).ops("factory")
    assert code(ops.mark_app_valid_cancel_rollback) == code(ops.mark_app_invalid_rollback) == "ESP_ERR_NOT_FOUND"
    assert ops.check_rollback_is_possible() is False
    assert ops.get_last_invalid_partition() is None
    assert ops.get_boot_partition() is None


def test_otadata_beyond_the_flash_is_no_otadata():
    rows = table(("otadata", 1, 0, 0x500000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000))
    ops = Board(rows).ops("ota_0")
    assert code(ops.mark_app_valid_cancel_rollback) == "ESP_ERR_NOT_FOUND"
    assert ops.get_boot_partition() is None


def test_marking_a_valid_app_valid_touches_no_flash():
    board = Board(RICH, "1/VALID")
    operations = board.chip.flash.operations
    board.ops("ota_0").mark_app_valid_cancel_rollback()
    assert board.chip.flash.operations == operations


def test_reject_and_reboot_restarts_only_when_it_could_reject():
    board = Board(RICH, "1/VALID")
    with pytest.raises(Restart):
        board.ops("ota_0").mark_app_invalid_rollback_and_reboot()
    assert board.otadata == ("1/INVALID", "-")
    assert code(board.ops("ota_0").mark_app_invalid_rollback_and_reboot) == "ESP_FAIL"


INACTIVE = [
    # entries, running, what both calls say
    ("1/VALID", "2/VALID", "ota_1", "ESP_OK"),
    ("1/INVALID", "2/VALID", "ota_1", "ESP_OK"),
    ("1/VALID", "2/VALID", "ota_0", "ESP_FAIL"),
    ("-", "2/VALID", "ota_1", "ESP_FAIL"),
    ("1/VALID!", "2/VALID", "ota_1", "ESP_FAIL"),
    ("-", "-", "ota_1", "ESP_FAIL"),
    ("1/INVALID", "2/ABORTED", "ota_1", "ESP_FAIL"),
]


@pytest.mark.parametrize(("e0", "e1", "running", "expected"), INACTIVE)
def test_the_slot_before(e0, e1, running, expected):
    board = Board(slots(2), e0, e1)
    assert code(board.ops(running).invalidate_inactive_ota_data_slot) == expected
    assert board.otadata == (("-", e1) if expected == "ESP_OK" else (e0, e1))
    assert not board.chip.flash.is_erased(board["ota_0"].offset, 0x1000)

    board = Board(slots(2), e0, e1)
    assert code(board.ops(running).erase_last_boot_app_partition) == expected
    assert board.otadata == (("-", e1) if expected == "ESP_OK" else (e0, e1))
    assert board.chip.flash.is_erased(board["ota_0"].offset, board["ota_0"].size) == (expected == "ESP_OK")


def test_the_slot_before_without_otadata():
    assert code(Board(NO_OTADATA).ops("factory").invalidate_inactive_ota_data_slot) == "ESP_FAIL"


def test_a_failed_erase_of_the_app_keeps_its_record():
    rows = table(
        ("otadata", 1, 0, 0xD000, 0x2000),
        Partition("ota_0", 0, 0x10, 0x10000, 0x10000, readonly=True),
        ("ota_1", 0, 0x11, 0x20000, 0x10000),
    )
    board = Board(rows, "1/VALID", "2/VALID", without=("ota_0",))
    assert code(board.ops("ota_1").erase_last_boot_app_partition) == "ESP_ERR_NOT_ALLOWED"
    assert board.otadata == ("1/VALID", "2/VALID")
