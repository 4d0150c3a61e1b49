"""``esp_partition_read``, ``esp_partition_write`` and ``esp_partition_erase_range``: arguments in upstream's order."""

from __future__ import annotations

from typing import Literal

import pytest

from py_esp_ota._core import Flash, Partition
from py_esp_ota.errors import EspErr, FlashError, PowerLoss

ARG, SIZE, NOT_ALLOWED = EspErr.ESP_ERR_INVALID_ARG, EspErr.ESP_ERR_INVALID_SIZE, EspErr.ESP_ERR_NOT_ALLOWED
OK = EspErr.ESP_OK
START, LENGTH = 0x10000, 0x3000
PART = Partition("data", 1, 0x81, START, LENGTH)
READONLY = Partition("data", 1, 0x81, START, LENGTH, readonly=True)

Call = Literal["read", "write", "erase"]


def call(flash: Flash, partition: Partition, what: Call, offset: int, length: int) -> EspErr:
    try:
        if what == "read":
            assert len(partition.read(flash, offset, length)) == length
        elif what == "write":
            partition.write(flash, offset, bytes(length))
        else:
            partition.erase_range(flash, offset, length)
    except FlashError as error:
        return error.err
    return OK


# Partition, call, offset, length, result. Where two rules are broken, the first one asked decides.
ARGUMENTS: list[tuple[Partition, Call, int, int, EspErr]] = [
    (PART, "read", 0, LENGTH, OK),
    (PART, "read", LENGTH, 0, OK),
    (PART, "read", 1, 3, OK),
    (PART, "read", LENGTH + 1, 0, ARG),
    (PART, "read", LENGTH + 1, LENGTH, ARG),
    (PART, "read", 0, LENGTH + 1, SIZE),
    (PART, "read", LENGTH, 1, SIZE),
    (PART, "read", 0, 1 << 62, SIZE),
    (PART, "read", 1 << 62, 1, ARG),
    (READONLY, "read", 0, LENGTH, OK),
    (PART, "write", 0, LENGTH, OK),
    (PART, "write", 1, 3, OK),
    (PART, "write", LENGTH, 0, OK),
    (PART, "write", LENGTH + 1, 0, ARG),
    (PART, "write", 1, LENGTH, SIZE),
    (PART, "write", LENGTH + 1, LENGTH + 1, ARG),
    (READONLY, "write", 0, 1, NOT_ALLOWED),
    (READONLY, "write", 0, 0, NOT_ALLOWED),
    (READONLY, "write", LENGTH + 1, 1, NOT_ALLOWED),
    (PART, "erase", 0, LENGTH, OK),
    (PART, "erase", 0x1000, 0x1000, OK),
    (PART, "erase", LENGTH, 0, OK),
    (PART, "erase", 0x10, 0, ARG),
    (PART, "erase", LENGTH + 1, 0, ARG),
    (PART, "erase", LENGTH + 1, 1, ARG),
    (PART, "erase", 0x1000, LENGTH, SIZE),
    (PART, "erase", 1, LENGTH, SIZE),
    (PART, "erase", 0, 1, SIZE),
    (PART, "erase", 1, 1, SIZE),
    (PART, "erase", 0x10, 0x1000, ARG),
    (READONLY, "erase", 0, 0x1000, NOT_ALLOWED),
    (READONLY, "erase", LENGTH + 1, 1, NOT_ALLOWED),
]


@pytest.mark.parametrize(("partition", "what", "offset", "length", "expected"), ARGUMENTS)
def test_argument_checks(partition: Partition, what: Call, offset: int, length: int, expected: EspErr) -> None:
    flash = Flash(0x100000)
    assert call(flash, partition, what, offset, length) == expected
    if expected != OK:
        assert (flash.operations, flash.stats.reads) == (0, 0)


def test_a_refusal_names_the_partition_and_the_address() -> None:
    with pytest.raises(FlashError) as caught:
        PART.erase_range(Flash(), 0x10, 0x1000)
    assert str(caught.value) == (
        "ESP_ERR_INVALID_ARG (0x102): erase of partition data at 0x10010: "
        "found offset 0x10, expected a multiple of 0x1000"
    )
    with pytest.raises(FlashError, match=r"write of partition data at 0x10000: found readonly, expected a writable"):
        READONLY.write(Flash(), 0, b"")


def test_access_lands_where_the_partition_lies() -> None:
    flash = Flash(0x100000)
    PART.write(flash, 0x10, b"hello")
    assert flash.read(START + 0x10, 5) == b"hello"
    assert PART.read(flash, 0x11, 4) == b"ello"
    flash.program(START - 1, b"\x00")
    flash.program(START + LENGTH, b"\x00")
    PART.erase_range(flash, 0, LENGTH)
    assert flash.is_erased(START, LENGTH)
    assert (flash.read(START - 1, 1), flash.read(START + LENGTH, 1)) == (b"\x00", b"\x00")


@pytest.mark.parametrize("what", ["read", "write", "erase"])
def test_a_partition_beyond_the_chip_is_the_flashs_refusal(what: Call) -> None:
    flash = Flash(0x100000)
    for beyond in (Partition("x", 1, 2, 0x100000, 0x1000), Partition("x", 1, 2, 0xFFFFF000, 0x2000)):
        assert call(flash, beyond, what, 0, 0x1000) == ARG
    assert call(flash, Partition("x", 1, 2, 0xFF000, 0x2000), what, 0, 0x1000) == OK
    assert call(flash, Partition("x", 1, 2, 0xFF000, 0x2000), what, 0, 0x2000) == ARG


def test_zeros_are_not_programmed_to_ones() -> None:
    flash = Flash(0x100000)
    PART.write(flash, 0, b"\x00")
    with pytest.raises(FlashError) as caught:
        PART.write(flash, 0, b"\x01")
    assert caught.value.err == EspErr.ESP_ERR_FLASH_OP_FAIL


@pytest.mark.parametrize("partition", [PART, READONLY])
@pytest.mark.parametrize(("what", "offset"), [("read", 0), ("write", LENGTH + 1), ("erase", 1)])
def test_a_dead_device_looks_at_no_argument(partition: Partition, what: Call, offset: int) -> None:
    flash = Flash(0x100000)
    flash.power_off()
    with pytest.raises(PowerLoss):
        call(flash, partition, what, offset, 0x1000)


def test_a_cut_in_the_middle_of_an_erase_is_a_power_loss() -> None:
    flash = Flash(0x100000)
    PART.write(flash, 0, bytes(LENGTH))
    flash.fault = "cut@1"
    with pytest.raises(PowerLoss):
        PART.erase_range(flash, 0, LENGTH)
    flash.power_on()
    assert [PART.read(flash, at, 1) for at in (0, 0x1000)] == [b"\xff", b"\x00"]


def test_negative_arguments_are_misuse() -> None:
    flash = Flash()
    for attempt in (
        lambda: PART.read(flash, -1, 1),
        lambda: PART.read(flash, 0, -1),
        lambda: PART.write(flash, -1, b""),
        lambda: PART.erase_range(flash, 0, -0x1000),
    ):
        with pytest.raises(ValueError, match="out of range"):
            attempt()
