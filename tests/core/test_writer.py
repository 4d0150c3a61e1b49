"""The flash half of ``esp_ota_write``: erase as it goes, the first byte, and cuts at every operation."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota._core import Flash, OtaWriter, Partition
from py_esp_ota.errors import EspErr, FlashError, OtaError, PowerLoss

SECTOR = 4096
OFFSET = 0x10000
SIZE = 5 * SECTOR
SLOT = Partition("ota_0", 0, 0x10, OFFSET, SIZE)


def used() -> Flash:
    """A strict flash whose partition, and what lies around it, was used before."""
    return Flash.from_bytes(b"\x5a" * (OFFSET + 2 * SIZE))


def image(length: int) -> bytes:
    return (b"\xe9" + bytes(range(251)) * (length // 251 + 1))[:length]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(st.integers(1, SIZE), st.lists(st.integers(0, SIZE), max_size=6))
def test_any_pieces_of_an_image_make_the_image(length, cuts):
    flash, writer, data = used(), OtaWriter(SLOT, need_erase=True), image(length)
    flash.record(True)
    for piece in split(data, cuts):
        writer.write(flash, piece)
    assert writer.wrote_size == length
    end = -(-length // SECTOR) * SECTOR
    assert flash.read(OFFSET, SIZE) == data + b"\xff" * (end - length) + b"\x5a" * (SIZE - end)
    assert flash.read(OFFSET - 1, 1) == flash.read(OFFSET + SIZE, 1) == b"\x5a"
    erased = [op.address for op in flash.journal() if op.kind == "erase"]
    assert erased == list(range(OFFSET, OFFSET + end, SECTOR))


@pytest.mark.parametrize(
    ("pieces", "erased"),
    [
        ([1], [[0]]),
        ([SECTOR], [[0]]),
        ([SECTOR, 1], [[0], [1]]),
        ([SECTOR + 1], [[0, 1]]),
        ([1, SECTOR - 1, 1], [[0], [], [1]]),
        ([1, SECTOR], [[0], [1]]),
        ([100, 3996 + SECTOR], [[0], [1]]),
        ([100, 3997 + SECTOR], [[0], [1, 2]]),
        ([0, 5], [[], [0]]),
        ([SIZE], [[0, 1, 2, 3, 4]]),
    ],
)
def test_each_piece_erases_the_sectors_it_begins(pieces, erased):
    flash, writer = used(), OtaWriter(SLOT, need_erase=True)
    found = []
    for length in pieces:
        flash.record(True)
        writer.write(flash, image(length))
        found.append([(op.address - OFFSET) // SECTOR for op in flash.journal() if op.kind == "erase"])
    assert found == erased


def test_without_need_erase_only_programs_happen():
    flash, writer = used(), OtaWriter(SLOT, need_erase=False)
    with pytest.raises(FlashError) as caught:
        writer.write(flash, image(10))
    assert caught.value.err == EspErr.ESP_ERR_FLASH_OP_FAIL
    assert writer.wrote_size == 0
    SLOT.erase_range(flash, 0, SIZE)
    flash.record(True)
    writer.write(flash, image(300))
    assert {op.kind for op in flash.journal()} == {"program"}
    assert SLOT.read(flash, 0, 300) == image(300)


def test_a_wrong_first_byte_is_seen_after_the_erase_and_may_be_retried():
    flash, writer = used(), OtaWriter(SLOT, need_erase=True)
    for turn in (1, 2):
        with pytest.raises(OtaError) as caught:
            writer.write(flash, b"\x00\xe9")
        assert caught.value.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED
        assert caught.value.fact == {"field": "magic", "offset": 0, "found": "0x00", "expected": "0xe9"}
        assert (writer.wrote_size, flash.stats.erases, flash.stats.programs) == (0, turn, 0)
    writer.write(flash, b"\xe9")
    writer.write(flash, b"\x00\xe9")
    assert SLOT.read(flash, 0, 4) == b"\xe9\x00\xe9\xff"


def test_data_partitions_have_no_magic_byte():
    flash, writer = used(), OtaWriter(SLOT, need_erase=True, magic=b"")
    writer.write(flash, b"\x00")
    assert writer.wrote_size == 1


@pytest.mark.parametrize("need_erase", [True, False])
def test_past_the_end_nothing_of_the_call_is_written(need_erase):
    flash, writer = used(), OtaWriter(SLOT, need_erase=need_erase)
    SLOT.erase_range(flash, 0, SIZE)
    writer.write(flash, image(SIZE - 1))
    before = flash.operations
    with pytest.raises(FlashError) as caught:
        writer.write(flash, b"ab")
    assert caught.value.err == EspErr.ESP_ERR_INVALID_SIZE
    assert (writer.wrote_size, flash.operations) == (SIZE - 1, before)
    writer.write(flash, b"a")
    assert writer.wrote_size == SIZE


@pytest.mark.parametrize("need_erase", [True, False])
def test_a_readonly_partition_is_refused(need_erase):
    flash, slot = used(), Partition("ota_0", 0, 0x10, OFFSET, SIZE, readonly=True)
    with pytest.raises(FlashError) as caught:
        OtaWriter(slot, need_erase=need_erase).write(flash, image(10))
    assert caught.value.err == EspErr.ESP_ERR_NOT_ALLOWED
    assert flash.operations == 0


def test_nothing_is_nothing():
    flash, writer = used(), OtaWriter(SLOT, need_erase=True)
    flash.power_off()
    writer.write(flash, b"")
    with pytest.raises(PowerLoss):
        writer.write(flash, b"\x00")


PIECES = split(image(2 * SECTOR + 700), [1000, SECTOR, 5000])


def write_all(flash: Flash, writer: OtaWriter) -> None:
    for piece in PIECES:
        writer.write(flash, piece)


def operations() -> int:
    flash = used()
    write_all(flash, OtaWriter(SLOT, need_erase=True))
    return flash.operations


@pytest.mark.parametrize("torn", ["", ":torn"])
@pytest.mark.parametrize("cut", range(operations()))
def test_after_a_cut_anywhere_a_new_writer_succeeds(cut, torn):
    flash, writer = used(), OtaWriter(SLOT, need_erase=True)
    flash.fault = f"cut@{cut}{torn}"
    with pytest.raises(PowerLoss) as caught:
        write_all(flash, writer)
    assert caught.value.operation == cut
    assert writer.wrote_size in {sum(map(len, PIECES[:n])) for n in range(len(PIECES))}
    flash.power_on()
    write_all(flash, OtaWriter(SLOT, need_erase=True))
    assert SLOT.read(flash, 0, 2 * SECTOR + 700) == image(2 * SECTOR + 700)


def test_writers_of_two_threads_share_a_flash():
    flash = Flash(8 << 20)
    slots = [Partition(f"ota_{n}", 0, 0x10 + n, n << 21, 1 << 21) for n in range(4)]
    data = image(1 << 21)

    def work(slot: Partition) -> None:
        writer = OtaWriter(slot, need_erase=True)
        for at in range(0, len(data), 50_000):
            writer.write(flash, data[at : at + 50_000])
            assert writer.wrote_size == min(at + 50_000, len(data))

    threads = [threading.Thread(target=work, args=(slot,)) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert flash.to_bytes() == data * 4
