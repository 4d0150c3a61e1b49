"""The guard of the flash driver: where an app may not write, and what becomes of it when it tries."""

from dataclasses import replace

import pytest
from board import PLAIN, Board, app, table

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, FlashError, PowerLoss, Restart

ABORTS = PLAIN
FAILS = replace(PLAIN, spi_flash_dangerous_write_aborts=False, spi_flash_dangerous_write_fails=True)
ALLOWED = replace(PLAIN, spi_flash_dangerous_write_aborts=False, spi_flash_dangerous_write_allowed=True)

ROWS = table(
    ("otadata", 1, 0, 0xD000, 0x2000),
    ("ota_0", 0, 0x10, 0x10000, 0x10000),
    ("ota_1", 0, 0x11, 0x20000, 0x10000),
    Partition("locked", 1, 0x81, 0x40000, 0x2000, readonly=True),
    ("storage", 1, 0x81, 0x50000, 0x4000),
)


def outcome(call, *arguments):
    """The code a C caller would see, or ``"abort"``."""
    try:
        call(*arguments)
    except FlashError as error:
        return error.err.name
    except Restart:
        return "abort"
    return "ESP_OK"


OK, ARG, NOT_ALLOWED = "ESP_OK", "ESP_ERR_INVALID_ARG", "ESP_ERR_NOT_ALLOWED"
REGIONS = [
    # address, length, dangerous
    (0x0, 0x1000, True),
    (0x8000, 0x1000, True),
    (0x8000, 0, True),
    (0x8C00, 1, True),
    (0x8C01, 1, False),
    (0x9000, 0x1000, False),
    (0xF000, 0x1000, False),
    (0xF000, 0x2000, True),
    (0xFFFF, 1, False),
    (0xFFFF, 2, True),
    (0x10000, 0, True),
    (0x10000, 1, True),
    (0x1FFFF, 1, True),
    (0x20000, 1, False),
    (0x0, 0x400000, True),
]


@pytest.mark.parametrize(("address", "length", "dangerous"), REGIONS)
@pytest.mark.parametrize(("config", "answer"), [(ABORTS, "abort"), (FAILS, ARG), (ALLOWED, OK)])
def test_dangerous_regions(config, answer, address, length, dangerous):
    ops = Board(table(*[row for row in ROWS if row.label != "locked"]), config=config).ops("ota_0")
    assert outcome(ops.flash.check_region, address, length) == (answer if dangerous else OK)


@pytest.mark.parametrize("offset", [0x8000, 0x18000])
def test_the_first_safe_address_is_behind_the_table_wherever_it_is(offset):
    board = Board(ROWS, config=replace(FAILS, partition_table_offset=offset))
    flash = board.ops("ota_0").flash
    assert outcome(flash.check_region, offset + 0xC00, 1) == ARG
    last = 0x2FFFF if offset == 0x18000 else offset + 0xC01
    assert outcome(flash.check_region, last, 1) == OK


@pytest.mark.parametrize("call", ["write", "erase_region"])
def test_the_guard_comes_before_bounds_alignment_and_length(call):
    flash = Board(ROWS, config=FAILS).ops("ota_0").flash

    def at(address, length):
        return outcome(getattr(flash, call), address, bytes(length) if call == "write" else length)

    assert at(0x8000, 0) == ARG
    assert at(0x40000, 0) == at(0x40001, 1) == NOT_ALLOWED
    assert at(0x3F000, 0x1001) == NOT_ALLOWED, "not even aligned"
    assert at(0x400001, 1) == ARG
    assert at(0x50000, 0) == OK
    aborting = Board(ROWS).ops("ota_0").flash
    arguments = (b"",) if call == "write" else (0,)
    assert outcome(getattr(aborting, call), 0x8000, *arguments) == "abort"


@pytest.mark.parametrize("config", [ABORTS, FAILS, ALLOWED])
def test_a_read_only_partition_stays_read_only_in_every_build(config):
    board = Board(ROWS, config=config)
    flash = board.ops("ota_0").flash
    flash.set_dangerous_write_protection(False)
    before = board.chip.flash.operations
    for address, length in [(0x40000, 1), (0x41FFF, 1), (0x3FFFF, 2), (0x40000, 0)]:
        assert outcome(flash.write, address, bytes(length)) == NOT_ALLOWED
    assert outcome(flash.erase_region, 0x3F000, 0x2000) == NOT_ALLOWED
    assert board.chip.flash.operations == before
    assert outcome(flash.write, 0x42000, b"x") == outcome(flash.write, 0x3FFFF, b"x") == OK


def test_erasing_the_chip_always_meets_the_guard():
    assert outcome(Board(ROWS).ops("ota_0").flash.erase_chip) == NOT_ALLOWED
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000))
    board = Board(rows)
    ops = board.ops("ota_0")
    assert outcome(ops.flash.erase_chip) == "abort"
    ops.flash.set_dangerous_write_protection(False)
    assert outcome(ops.flash.erase_chip) == OK
    assert board.chip.flash.is_erased(0, board.chip.flash.size)


def test_protection_can_be_switched_on_again_by_the_app_alone_and_is_on_after_a_reset():
    board = Board(ROWS)
    ops = board.ops("ota_0")
    ops.flash.set_dangerous_write_protection(False)
    assert outcome(ops.flash.write, 0x8C00, b"") == OK
    ops.flash.set_dangerous_write_protection(True)
    assert outcome(ops.flash.write, 0x8C00, b"") == "abort"
    ops.flash.set_dangerous_write_protection(False)
    assert outcome(board.ops("ota_0").flash.write, 0x8C00, b"") == "abort"


def test_reading_is_never_dangerous():
    assert len(Board(ROWS).ops("ota_0").flash.read(0x8000, 0x1000)) == 0x1000


def test_a_dead_device_asks_nobody():
    board = Board(ROWS)
    ops = board.ops("ota_0")
    board.chip.flash.power_off()
    with pytest.raises(PowerLoss):
        ops.flash.write(0, b"x")


def test_the_error_names_the_place():
    flash = Board(ROWS, config=FAILS).ops("ota_0").flash
    with pytest.raises(FlashError, match="running app ota_0 at 0x10000") as error:
        flash.write(0x10000, b"x")
    assert error.value.fact["offset"] == 0x10000
    with pytest.raises(FlashError, match="read-only partition locked"):
        flash.write(0x40000, b"x")


# ----------------------------------------------------------------------------------------------- through esp_partition


def test_argument_checks_of_esp_partition_come_before_the_guard():
    board = Board(ROWS)
    ops = board.ops("ota_0")
    running = board["ota_0"]
    for call in (
        lambda: ops.partitions.write(running, 0x10001, b""),
        lambda: ops.partitions.erase_range(running, 0x10001, 0),
        lambda: ops.partitions.erase_range(running, 1, 0),
    ):
        assert outcome(call) == ARG
    for call in (
        lambda: ops.partitions.write(running, 0x10000, b"x"),
        lambda: ops.partitions.erase_range(running, 0, 1),
        lambda: ops.partitions.erase_range(running, 0, 0x11000),
    ):
        assert outcome(call) == "ESP_ERR_INVALID_SIZE"
    assert outcome(ops.partitions.write, running, 0, b"") == "abort"
    assert outcome(ops.partitions.erase_range, running, 0, 0) == "abort"


def test_a_data_partition_over_the_running_app_is_dangerous_too():
    overlap = ("overlap", 1, 0x81, 0xF000, 0x2000)
    board = Board(table(*ROWS, overlap), config=FAILS)
    ops = board.ops("ota_0")
    with pytest.raises(FlashError) as refused:
        ops.begin(board["overlap"], 0)
    assert refused.value.err == EspErr.ESP_ERR_INVALID_ARG
    ops.abort(refused.value.fact["handle"])
    handle = ops.begin(board["overlap"], 0x1000)
    ops.write(handle, bytes(0x1000))
    assert outcome(ops.write, handle, b"x") == ARG
    assert outcome(ops.write_with_offset, handle, b"x", 0x1000) == ARG
    assert board.chip.flash.read(0x10000, 0x100) == app("ota_0")[:0x100]


def test_sequential_writes_into_the_running_app_end_before_the_erase():
    overlap = ("overlap", 1, 0x81, 0xF000, 0x2000)
    board = Board(table(*ROWS, overlap))
    ops = board.ops("ota_0")
    handle = ops.begin(board["overlap"], 0xFFFFFFFE)
    ops.write(handle, bytes(0x800))
    with pytest.raises(Restart):
        ops.write(handle, bytes(0x1000))
    assert board.chip.flash.read(0x10000, 0x100) == app("ota_0")[:0x100]


def test_without_erase_a_wrong_first_byte_is_seen_before_the_guard():
    rows = table(("ota_0", 0, 0x10, 0x10000, 0x10000), ("twin", 0, 0x11, 0x18000, 0x10000))
    ops = Board(rows, config=ALLOWED, without=("twin",)).ops("ota_0")
    guarded = Board(rows, without=("twin",)).ops("ota_0")
    for one in (ops, guarded):
        handle = one.resume(one.table[1], 0, 0)
        with pytest.raises(Exception, match="ESP_ERR_OTA_VALIDATE_FAILED"):
            one.write(handle, b"\x00")
    with pytest.raises(Restart):
        guarded.write(1, b"\xe9")


def test_the_erase_ahead_meets_the_guard_before_the_first_byte_is_seen():
    rows = table(("ota_0", 0, 0x10, 0x10000, 0x10000), ("twin", 0, 0x11, 0x18000, 0x10000))
    board = Board(rows, without=("twin",))
    ops = board.ops("ota_0")
    handle = ops.begin(board["twin"], 0xFFFFFFFE)
    with pytest.raises(Restart):
        ops.write(handle, b"\x00")
    assert board.chip.flash.operations == Board(rows, without=("twin",)).chip.flash.operations
