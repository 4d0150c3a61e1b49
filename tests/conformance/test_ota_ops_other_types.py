"""Updates of bootloader, partition table and data partitions: directly, through a free slot, through a spare one."""

from dataclasses import replace

import pytest
from board import PLAIN, ROLLBACK, SECTOR, Board, app, table

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, FlashError, OtaError, Restart
from py_esp_ota.firmware import bootloader
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES

BOTH_BUILDS = pytest.mark.parametrize("config", [PLAIN, ROLLBACK], ids=["plain", "rollback"])
ROWS = table(
    ("bootloader", 2, 0, 0x0, 0x8000),
    ("table", 3, 0, 0x8000, 0x1000),
    ("nvs", 1, 2, 0x9000, 0x4000),
    ("otadata", 1, 0, 0xD000, 0x2000),
    ("factory", 0, 0x00, 0x10000, 0x10000),
    ("ota_0", 0, 0x10, 0x20000, 0x10000),
    ("ota_1", 0, 0x11, 0x30000, 0x10000),
    ("boot2", 2, 1, 0x40000, 0x8000),
    ("table2", 3, 1, 0x48000, 0x1000),
    ("spare", 1, 0x06, 0x50000, 0x8000),
    ("small", 1, 0x06, 0x58000, 0x1000),
    Partition("locked", 1, 0x06, 0x5A000, 0x1000, readonly=True),
)
BOOTLOADER = bootloader(version=7)
TABLE = ROWS.to_bytes()


def code(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except (OtaError, FlashError) as error:
        return error.err.name
    except Restart:
        return "abort"
    return "ESP_OK"


def write_all(ops, handle, data, chunk=1000):
    for start in range(0, len(data), chunk):
        ops.write(handle, data[start : start + chunk])


@pytest.fixture
def board():
    return Board(ROWS, config=PLAIN)


@pytest.fixture
def ops(board):
    return board.ops("factory")


CONTENT = {"bootloader": BOOTLOADER, "table": TABLE, "nvs": b"any bytes" * 100}
HOME = [("bootloader", "boot2"), ("table", "table2"), ("nvs", "spare")]


# ------------------------------------------------------------------------------------------ upstream's partition tests


@pytest.mark.parametrize("size", [0, OTA_WITH_SEQUENTIAL_WRITES])
@pytest.mark.parametrize("label", CONTENT)
@BOTH_BUILDS
def test_flow_update_the_primary_directly(label, size, config):
    board = Board(ROWS, config=config)
    ops = board.ops("factory")
    handle = ops.begin(board[label], size)
    write_all(ops, handle, CONTENT[label])
    ops.end(handle)
    assert board[label].read(board.chip.flash, 0, len(CONTENT[label])) == CONTENT[label]
    assert board.booted() == "factory"


@pytest.mark.parametrize(("label", "staging"), HOME)
@BOTH_BUILDS
def test_flow_update_through_a_spare_partition_and_copy_by_hand(label, staging, config):
    board = Board(ROWS, config=config)
    ops = board.ops("factory")
    handle = ops.begin(board[staging], 0)
    write_all(ops, handle, CONTENT[label])
    ops.end(handle)
    ops.partitions.copy(board[label], 0, board[staging], 0, board[label].size if label != "nvs" else 0x4000)
    assert board[label].read(board.chip.flash, 0, len(CONTENT[label])) == CONTENT[label]


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("label", CONTENT)
@BOTH_BUILDS
def test_flow_update_through_a_free_slot_with_a_final_partition(label, copy, config):
    board = Board(ROWS, config=config)
    ops = board.ops("factory")
    slot = ops.get_next_update_partition()
    before = board[label].read(board.chip.flash, 0, board[label].size)
    handle = ops.begin(slot, 0)
    ops.set_final_partition(handle, board[label], finalize_with_copy=copy)
    write_all(ops, handle, CONTENT[label])
    ops.end(handle)
    home = board[label].read(board.chip.flash, 0, board[label].size)
    assert home == (CONTENT[label].ljust(board[label].size, b"\xff") if copy else before)
    lines = [line.split(": ", 1)[1] for line in ops.log.lines if "esp_ota_ops" in line]
    assert (
        lines
        == [f"Staging partition - <ota_0>. Final partition - <{label}>."]
        + [f"Copy from <ota_0> staging partition to <{label}>..."] * copy
    )
    assert board.booted() == "factory"


def test_flow_a_new_factory_app_through_a_slot(board):
    ops = board.ops("ota_1")
    handle = ops.begin(board["ota_0"], 0)
    ops.set_final_partition(handle, board["factory"], finalize_with_copy=True)
    write_all(ops, handle, app("ota_0"))
    ops.end(handle)
    assert board["factory"].read(board.chip.flash, 0, 0x10000) == board["ota_0"].read(board.chip.flash, 0, 0x10000)


def test_a_copy_over_the_running_app_is_stopped_by_the_guard(board, ops):
    handle = ops.begin(board["ota_0"], 0)
    ops.set_final_partition(handle, board["factory"], finalize_with_copy=True)
    write_all(ops, handle, app("ota_0"))
    assert code(ops.end, handle) == "abort"
    assert board.booted() == "factory"


# ------------------------------------------------------------------------------------------------------- what lifts it


LIFTS = [
    (lambda ops, board: ops.begin(board["boot2"], 0), True),
    (lambda ops, board: ops.begin(board["table2"], 0), True),
    (lambda ops, board: ops.begin(board["spare"], 0), False),
    (lambda ops, board: ops.begin(board["ota_0"], 0), False),
    (lambda ops, board: ops.resume(board["boot2"], 0, 0), True),
    (lambda ops, board: ops.resume(board["spare"], 0, 0), False),
    (lambda ops, board: final(ops, board, "bootloader"), True),
    (lambda ops, board: final(ops, board, "table2"), True),
    (lambda ops, board: final(ops, board, "nvs"), False),
    (lambda ops, board: final(ops, board, "factory"), False),
]


def final(ops, board, label):
    handle = ops.begin(board["spare"], 0)
    ops.set_final_partition(handle, board[label], finalize_with_copy=False)
    return handle


@pytest.mark.parametrize(("act", "lifted"), LIFTS)
def test_updates_of_bootloader_and_table_lift_the_write_protection_for_good(board, ops, act, lifted):
    assert code(ops.flash.check_region, 0x8000, 1) == "abort"
    handle = act(ops, board)
    for _ in range(2):
        assert code(ops.flash.check_region, 0x8000, 1) == ("ESP_OK" if lifted else "abort")
        if handle in ops._records:
            ops.abort(handle)
    assert code(board.ops("factory").flash.check_region, 0x8000, 1) == "abort", "a reset brings it back"


def test_the_final_partition_that_is_the_staging_one_changes_nothing(board, ops):
    handle = ops.begin(board["ota_0"], 0)
    ops.set_final_partition(handle, board["ota_0"], finalize_with_copy=True)
    write_all(ops, handle, app("ota_0"))
    ops.end(handle)
    assert not [line for line in ops.log.lines if "esp_ota_ops" in line]


def test_a_row_made_by_hand_is_another_partition_until_it_is_looked_up(board, ops):
    """Upstream compares pointers: any copy of a row is one, and a copy onto itself is refused at the end."""
    handle = ops.begin(board["ota_0"], 0)
    ops.set_final_partition(handle, Partition("", 0, 0x10, 0x20000, 0x10000), finalize_with_copy=True)
    write_all(ops, handle, app("ota_0"))
    assert code(ops.end, handle) == "ESP_ERR_INVALID_ARG"
    assert [line.split(": ", 1)[1] for line in ops.log.lines if "esp_ota_ops" in line] == [
        "Staging partition - <ota_0>. Final partition - <ota_0>.",
        "Copy from <ota_0> staging partition to <ota_0>...",
    ]


# -------------------------------------------------------------------------------------------------- set_final_partition


def test_set_final_partition_refuses_in_order(board, ops):
    handle = ops.begin(board["spare"], 0)
    refuse = ops.set_final_partition
    stranger = Partition("x", 2, 0, 0x60000, 0x1000)
    assert code(refuse, 99, None, finalize_with_copy=False) == "ESP_ERR_INVALID_ARG"
    assert code(refuse, 99, stranger, finalize_with_copy=False) == "ESP_ERR_NOT_FOUND"
    assert code(refuse, handle, stranger, finalize_with_copy=False) == "ESP_ERR_NOT_FOUND"
    ops.write(handle, b"x")
    assert code(refuse, handle, stranger, finalize_with_copy=False) == "ESP_ERR_INVALID_STATE"
    assert code(refuse, handle, board["spare"], finalize_with_copy=False) == "ESP_ERR_INVALID_STATE"
    assert code(refuse, handle, None, finalize_with_copy=False) == "ESP_ERR_INVALID_ARG"


def test_a_resumed_update_may_name_its_final_partition_late(board, ops):
    handle = ops.resume(board["spare"], 0, 16)
    ops.write(handle, b"x")
    assert code(ops.set_final_partition, handle, board["nvs"], finalize_with_copy=False) == "ESP_OK"


def test_a_final_partition_is_in_use_as_well(board, ops):
    handle = ops.begin(board["ota_0"], 0)
    ops.set_final_partition(handle, board["nvs"], finalize_with_copy=False)
    for label in ("ota_0", "nvs"):
        assert code(ops.begin, board[label], 0) == "ESP_ERR_OTA_ALREADY_IN_PROGRESS"
    other = ops.begin(board["spare"], 0)
    assert code(ops.set_final_partition, other, board["nvs"], finalize_with_copy=False) == "ESP_OK", "nobody asks here"


# ------------------------------------------------------------------------------------------------------- first bytes

FIRST = [
    # staging, final, first data, the line it gets
    ("boot2", None, b"\xe8", "OTA image has invalid magic byte (expected 0xE9, saw 0xe8)"),
    ("boot2", None, b"\xe9", None),
    ("table2", None, b"\xaa\x51", "Partition table image has invalid magic word (expected 0x50AA, saw 0x51aa)"),
    ("table2", None, b"\x50\xaa", "Partition table image has invalid magic word (expected 0x50AA, saw 0xaa50)"),
    ("table2", None, b"\xaa\x50", None),
    ("table2", None, b"\x00", None),
    ("spare", None, b"\x00", None),
    ("spare", "bootloader", b"\x00", "OTA image has invalid magic byte (expected 0xE9, saw 0x00)"),
    ("spare", "factory", b"\x00", "OTA image has invalid magic byte (expected 0xE9, saw 0x00)"),
    ("spare", "table", b"\xe9\x00", "Partition table image has invalid magic word (expected 0x50AA, saw 0x00e9)"),
    ("ota_0", "nvs", b"\x00", None),
]


@pytest.mark.parametrize(("staging", "goal", "data", "line"), FIRST)
def test_the_type_of_the_final_partition_decides_the_first_bytes(board, ops, staging, goal, data, line):
    handle = ops.begin(board[staging], 0)
    if goal:
        ops.set_final_partition(handle, board[goal], finalize_with_copy=False)
    assert code(ops.write, handle, data) == ("ESP_ERR_OTA_VALIDATE_FAILED" if line else "ESP_OK")
    assert line is None or ops.log.lines[-1] == f"E (0) esp_ota_ops: {line}"
    assert board[staging].read(board.chip.flash, 0, 2) == (b"\xff\xff" if line else data.ljust(2, b"\xff"))


# --------------------------------------------------------------------------------------------------------------- end


def bad_table():
    return TABLE[:0x30] + b"\x00" + TABLE[0x31:]


END = [
    # staging, final, data, code
    ("boot2", None, BOOTLOADER, "ESP_OK"),
    ("boot2", None, BOOTLOADER[:-40], "ESP_ERR_OTA_VALIDATE_FAILED"),
    ("table2", None, TABLE, "ESP_OK"),
    ("table2", None, bad_table(), "ESP_ERR_OTA_VALIDATE_FAILED"),
    ("table2", None, TABLE[:32], "ESP_OK"),
    ("spare", None, b"anything", "ESP_OK"),
    ("spare", "table", TABLE, "ESP_OK"),
    ("spare", "bootloader", BOOTLOADER, "ESP_OK"),
    ("ota_0", "bootloader", BOOTLOADER, "ESP_OK"),
    ("ota_0", "nvs", b"anything", "ESP_OK"),
]


@pytest.mark.parametrize(("staging", "goal", "data", "expected"), END)
def test_end_judges_by_the_type_of_the_final_partition(board, ops, staging, goal, data, expected):
    handle = ops.begin(board[staging], 0)
    if goal:
        ops.set_final_partition(handle, board[goal], finalize_with_copy=False)
    write_all(ops, handle, data)
    assert code(ops.end, handle) == expected
    assert code(ops.end, handle) == "ESP_ERR_NOT_FOUND"
    own = [line for line in ops.log.lines if "esp_ota_ops" in line]
    assert own[-1:] == ["E (0) esp_ota_ops: New image failed verification"] or expected == "ESP_OK"


def test_a_bootloader_image_is_an_app_where_nobody_stages_one(board, ops):
    handle = ops.begin(board["ota_0"], 0)
    write_all(ops, handle, BOOTLOADER)
    assert code(ops.end, handle) == "ESP_ERR_OTA_VALIDATE_FAILED"


def test_after_end_and_not_after_abort_a_bootloader_lies_only_at_home(board, ops):
    board["boot2"].write(board.chip.flash, 0, BOOTLOADER)
    handle = ops.resume(board["boot2"], 0, len(BOOTLOADER))
    ops.abort(handle)
    assert code(ops.set_boot_partition, board["boot2"]) == "ESP_ERR_INVALID_ARG", "verified, but no app"
    handle = ops.resume(board["boot2"], 0, len(BOOTLOADER))
    ops.end(handle)
    assert code(ops.set_boot_partition, board["boot2"]) == "ESP_ERR_OTA_VALIDATE_FAILED"


def test_a_table_in_a_partition_too_small_to_map_is_the_map_error():
    rows = table(*ROWS, ("tiny", 1, 0x06, 0x60000, 0x800))
    board = Board(rows, config=PLAIN)
    ops = board.ops("factory")
    handle = ops.begin(board["tiny"], OTA_WITH_SEQUENTIAL_WRITES)
    assert code(ops.write, handle, TABLE[:0x100]) == "ESP_ERR_INVALID_SIZE", "its sector cannot be erased"
    ops.abort(handle)
    handle = ops.resume(board["tiny"], 0, 0)
    ops.set_final_partition(handle, board["table"], finalize_with_copy=False)
    ops.write(handle, TABLE[:0x100])
    assert code(ops.end, handle) == "ESP_ERR_INVALID_SIZE"
    assert ops.log.lines[-1] == "E (0) esp_ota_ops: New image failed verification"


def test_a_final_partition_larger_than_the_staging_one_cannot_be_copied(board, ops):
    handle = ops.begin(board["small"], 0)
    ops.set_final_partition(handle, board["nvs"], finalize_with_copy=True)
    ops.write(handle, b"data")
    before = board.chip.flash.operations
    assert code(ops.end, handle) == "ESP_ERR_INVALID_SIZE"
    assert board.chip.flash.operations == before
    assert code(ops.end, handle) == "ESP_ERR_NOT_FOUND"


def test_a_refused_image_is_not_copied(board, ops):
    handle = ops.begin(board["spare"], 0)
    ops.set_final_partition(handle, board["bootloader"], finalize_with_copy=True)
    write_all(ops, handle, BOOTLOADER[:-40])
    before = board.chip.flash.operations
    assert code(ops.end, handle) == "ESP_ERR_OTA_VALIDATE_FAILED"
    assert board.chip.flash.operations == before


def test_the_copy_erases_all_of_the_final_partition_first(board, ops):
    handle = ops.begin(board["spare"], 0)
    ops.set_final_partition(handle, board["nvs"], finalize_with_copy=True)
    ops.write(handle, b"data")
    board.chip.flash.record(True)
    ops.end(handle)
    erased = [op.address for op in board.chip.flash.journal() if op.kind == "erase"]
    assert erased == list(range(0x9000, 0xD000, SECTOR))


def test_a_read_only_final_partition_is_found_out_at_the_end(board, ops):
    handle = ops.begin(board["small"], 0)
    ops.set_final_partition(handle, board["locked"], finalize_with_copy=True)
    ops.write(handle, b"data")
    assert code(ops.end, handle) == "ESP_ERR_NOT_ALLOWED"


# -------------------------------------------------------------------------------------------------------- descriptions


def test_descriptions_of_bootloaders(board, ops):
    assert code(ops.get_bootloader_description) == "ESP_ERR_NOT_FOUND"
    board.chip.flash.program(0, BOOTLOADER)
    board["spare"].write(board.chip.flash, 0, bootloader(version=9))
    assert ops.get_bootloader_description().version == 7
    assert ops.get_bootloader_description(board["spare"]).version == 9, "of any type"
    assert code(ops.get_bootloader_description, board["nvs"]) == "ESP_ERR_NOT_FOUND"
    assert code(ops.get_bootloader_description, Partition("x", 2, 0, 0, 0x40)) == "ESP_ERR_INVALID_SIZE"
    assert code(ops.get_partition_description, board["nvs"]) == "ESP_ERR_NOT_SUPPORTED"


@pytest.mark.parametrize("chip", ["esp32", "esp32p4"])
def test_the_bootloader_lies_where_its_chip_wants_it(chip):
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("factory", 0, 0, 0x10000, 0x10000))
    board = Board(rows, chip=chip)
    board.chip.flash.program(board.chip.target.bootloader_offset, bootloader(chip=chip, version=3))
    assert board.ops("factory").get_bootloader_description().version == 3


def test_the_size_of_the_bootloader_region_ends_at_the_table():
    board = Board(ROWS, config=replace(PLAIN, partition_table_offset=0x8000))
    assert board.ops("factory").primary_bootloader().size == 0x8000


def test_refusals_carry_the_tables_fault(board, ops):
    handle = ops.begin(board["table2"], 0)
    write_all(ops, handle, bad_table())
    with pytest.raises(OtaError) as refused:
        ops.end(handle)
    assert refused.value.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    assert refused.value.fact["label"] == "table2"
    assert {"field", "offset", "found", "expected", "cause"} <= refused.value.fact.keys()
