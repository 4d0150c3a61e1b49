"""otadata: bytes, CRC, predicates, the active entry, and the next sequence number."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota._core import (
    Flash,
    OtaSelectEntry,
    active_otadata,
    ota_select_crc,
    ota_slot,
    read_otadata,
    rewrite_target,
    write_otadata,
)
from py_esp_ota.errors import EspErr, FlashError, OtaError, PowerLoss

MIB = 1 << 20
BLANK = OtaSelectEntry.from_bytes(b"\xff" * 32)
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF

U32 = st.integers(0, 0xFFFFFFFF)
STATES = st.sampled_from([NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED, 5, 0x77]) | U32
SEQS = st.integers(0, 40) | st.integers(0xFFFFFFD0, 0xFFFFFFFF) | U32
ENTRIES = st.builds(OtaSelectEntry, SEQS, STATES, crc=st.none() | st.none() | U32)


# --------------------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize(
    ("ota_seq", "crc"),
    [
        (0, 0xFFFFFFFF),
        (1, 0x4743989A),
        (2, 0x55F63774),
        (3, 0xED4A5011),
        (4, 0x709D68A8),
        (8, 0x3A4BD710),
        (0x100, 0xFE3D95C8),
        (0x12345678, 0x71D6A731),
        (0xFFFFFFFE, 0x99F8B879),
        (0xFFFFFFFF, 0x2144DF1C),
    ],
)
def test_crc_vectors(ota_seq, crc):
    assert ota_select_crc(ota_seq) == crc
    assert OtaSelectEntry(ota_seq, VALID).crc == crc


@given(U32)
def test_the_crc_is_that_of_the_rom(ota_seq):
    assert ota_select_crc(ota_seq) == zlib.crc32(struct.pack("<I", ota_seq), 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("ota_seq", "state", "expected"),
    [
        (1, VALID, "01000000" + "ff" * 20 + "020000009a984347"),
        (1, UNDEFINED, "01000000" + "ff" * 24 + "9a984347"),
        (2, NEW, "02000000" + "ff" * 20 + "000000007437f655"),
        (2, PENDING, "02000000" + "ff" * 20 + "010000007437f655"),
        (3, INVALID, "03000000" + "ff" * 20 + "0300000011504aed"),
    ],
)
def test_entries_have_their_bytes(ota_seq, state, expected):
    assert OtaSelectEntry(ota_seq, state).to_bytes().hex() == expected


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_an_entry(data):
    entry = OtaSelectEntry.from_bytes(data)
    assert entry.to_bytes() == data
    assert (entry.ota_seq, entry.seq_label, entry.ota_state, entry.crc) == struct.unpack("<I20sII", data)
    again = OtaSelectEntry(entry.ota_seq, entry.ota_state, seq_label=entry.seq_label, crc=entry.crc)
    assert again == entry
    assert hash(again) == hash(entry)


@given(st.binary(min_size=32, max_size=32), U32)
def test_a_new_state_changes_the_state_alone(data, state):
    entry = OtaSelectEntry.from_bytes(data)
    assert entry.with_state(state).to_bytes() == data[:24] + struct.pack("<I", state) + data[28:]
    assert entry.to_bytes() == data


@pytest.mark.parametrize(
    "make",
    [
        lambda: OtaSelectEntry.from_bytes(bytes(31)),
        lambda: OtaSelectEntry.from_bytes(bytes(33)),
        lambda: OtaSelectEntry(-1, 0),
        lambda: OtaSelectEntry(0, 1 << 32),
        lambda: OtaSelectEntry(0, 0, crc=-1),
        lambda: OtaSelectEntry(0, 0, seq_label=bytes(19)),
        lambda: BLANK.with_state(-1),
        lambda: ota_select_crc(1 << 32),
    ],
)
def test_what_is_no_entry_is_a_value_error(make):
    with pytest.raises(ValueError):
        make()


def test_the_representation_rebuilds_the_entry():
    for entry in (OtaSelectEntry(1, VALID), BLANK, OtaSelectEntry(7, 0x77, seq_label=bytes(range(20)), crc=5)):
        assert eval(repr(entry)) == entry


# ---------------------------------------------------------------------------------------------------------- predicates


@pytest.mark.parametrize(
    ("entry", "crc_ok", "invalid", "valid"),
    [
        (BLANK, False, True, False),
        (OtaSelectEntry(0xFFFFFFFF, VALID), True, True, False),
        (OtaSelectEntry(0, UNDEFINED), True, False, True),
        (OtaSelectEntry(1, NEW), True, False, True),
        (OtaSelectEntry(1, PENDING), True, False, True),
        (OtaSelectEntry(1, VALID), True, False, True),
        (OtaSelectEntry(1, UNDEFINED), True, False, True),
        (OtaSelectEntry(1, 0x77), True, False, True),
        (OtaSelectEntry(1, INVALID), True, True, False),
        (OtaSelectEntry(1, ABORTED), True, True, False),
        (OtaSelectEntry(1, VALID, crc=0), False, False, False),
        (OtaSelectEntry(1, ABORTED, crc=0), False, True, False),
    ],
)
def test_predicates(entry, crc_ok, invalid, valid):
    assert (entry.crc_ok, entry.invalid, entry.valid) == (crc_ok, invalid, valid)


def test_seq_0_is_valid_with_only_its_first_four_bytes_programmed():
    entry = OtaSelectEntry.from_bytes(b"\0\0\0\0" + b"\xff" * 28)
    assert entry.valid
    assert [ota_slot(entry.ota_seq, count) for count in (2, 3, 4, 5)] == [1, 0, 3, 0]


@given(ENTRIES, ENTRIES)
def test_the_active_entry_is_the_larger_valid_one_and_the_first_of_equals(first, second):
    candidates = [(-entry.ota_seq, index) for index, entry in enumerate((first, second)) if entry.valid]
    assert active_otadata(first, second) == (min(candidates)[1] if candidates else -1)


def test_equal_sequence_numbers_fall_back_to_the_second_entry():
    assert active_otadata(OtaSelectEntry(2, VALID), OtaSelectEntry(2, NEW)) == 0
    assert active_otadata(OtaSelectEntry(2, ABORTED), OtaSelectEntry(2, NEW)) == 1


def test_a_slot_needs_slots():
    with pytest.raises(ValueError):
        ota_slot(1, 0)


# ------------------------------------------------------------------------------------------------- the next sequence


@pytest.mark.parametrize(
    ("app_count", "ota_seq", "slot", "expected"),
    [
        (2, 1, 1, 2),
        (2, 2, 0, 3),
        (2, 5, 1, 6),
        (2, 0, 0, 1),
        (3, 1, 2, 3),
        (3, 3, 0, 4),
        (3, 6, 1, 8),
        (3, 8, 2, 9),
        (5, 7, 0, 11),
        (4, 2, 0, 5),
        (4, 2, 2, 3),
        (4, 2, 3, 4),
        (8, 5, 7, 8),
        (8, 8, 0, 9),
        (16, 16, 0, 17),
        (2, 0xFFFFFFFD, 1, 0xFFFFFFFE),
        (2, 0xFFFFFFFE, 0, 0xFFFFFFFF),  # a dead entry: the boot does not change
        (3, 0, 2, 0),  # names slot 0 again
        (3, 0xFFFFFFFE, 0, 0xFFFFFFFF),  # found after the sum wrapped at 2^32
        (6, 0xFFFFFFFC, 3, 0xFFFFFFFC),
    ],
)
def test_another_slot_goes_into_the_other_entry(app_count, ota_seq, slot, expected):
    entry = OtaSelectEntry(ota_seq, VALID)
    assert rewrite_target(entry, BLANK, slot, app_count) == (1, expected)
    assert rewrite_target(BLANK, entry, slot, app_count) == (0, expected)


@given(ENTRIES, ENTRIES, st.integers(1, 16), st.data())
def test_what_is_written_selects_the_slot(first, second, app_count, data):
    slot = data.draw(st.integers(0, app_count - 1))
    active = active_otadata(first, second)
    if active == -1:
        assert rewrite_target(first, second, slot, app_count) == (0, slot + 1)
        return
    ota_seq = (first, second)[active].ota_seq
    if ota_slot(ota_seq, app_count) == slot:
        assert rewrite_target(first, second, slot, app_count) == (active, ota_seq)
    elif 0 < ota_seq < 0xFFFFFFFF - app_count:
        index, new = rewrite_target(first, second, slot, app_count)
        assert index == 1 - active
        assert ota_seq < new <= ota_seq + app_count
        assert ota_slot(new, app_count) == slot


@pytest.mark.parametrize(
    ("app_count", "ota_seq", "slot"), [(4, 0xFFFFFFFD, 3), (12, 0xFFFFFFFE, 0), (16, 0xFFFFFFFE, 15)]
)
def test_where_the_search_of_the_chip_never_ends_there_is_an_error(app_count, ota_seq, slot):
    with pytest.raises(OtaError) as caught:
        rewrite_target(OtaSelectEntry(ota_seq, VALID), BLANK, slot, app_count)
    assert caught.value.err == EspErr.ESP_FAIL


@pytest.mark.parametrize(("slot", "app_count"), [(0, 0), (2, 2), (-1, 2), (0, 256)])
def test_a_slot_the_app_does_not_have_is_a_value_error(slot, app_count):
    with pytest.raises(ValueError):
        rewrite_target(BLANK, BLANK, slot, app_count)


# ------------------------------------------------------------------------------------------------------------ in flash


def test_entries_stand_one_sector_apart():
    flash = Flash(MIB)
    write_otadata(flash, 0xD000, 0, OtaSelectEntry(3, VALID))
    write_otadata(flash, 0xD000, 1, OtaSelectEntry(4, NEW))
    assert flash.read(0xD000, 32) == OtaSelectEntry(3, VALID).to_bytes()
    assert flash.read(0xE000, 32) == OtaSelectEntry(4, NEW).to_bytes()
    assert read_otadata(flash, 0xD000) == (OtaSelectEntry(3, VALID), OtaSelectEntry(4, NEW))


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("cut@0", "old"),
        ("cut@0:torn", "blank"),
        ("cut@1", "blank"),
        ("cut@1:torn", "seq and half the label"),
        ("cut@2", "new"),
    ],
)
def test_a_cut_write_loses_at_most_the_entry_being_written(index, plan, expected):
    old, new = OtaSelectEntry(1, VALID), OtaSelectEntry(2, NEW, seq_label=bytes(20))
    flash = Flash(MIB)
    for at in (0, 1):
        write_otadata(flash, 0xD000, at, old)
    flash.record(True)
    flash.fault = plan
    if expected == "new":
        write_otadata(flash, 0xD000, index, new)
        found = [(op.kind, op.address, op.length) for op in flash.journal()]
        assert found == [("erase", 0xD000 + index * 0x1000, 0x1000), ("program", 0xD000 + index * 0x1000, 32)]
    else:
        with pytest.raises(PowerLoss):
            write_otadata(flash, 0xD000, index, new)
    flash.power_on()
    entries = read_otadata(flash, 0xD000)
    cut = OtaSelectEntry.from_bytes(new.to_bytes()[:16] + b"\xff" * 16)
    assert entries[index] == {"old": old, "blank": BLANK, "new": new}.get(expected, cut)
    assert entries[1 - index] == old
    assert entries[index].valid == (expected in {"old", "new"})


def test_the_sector_that_is_erased_is_the_one_that_the_entry_begins_in():
    """``bootloader_flash_erase_sector`` counts sectors: otadata off their borders is written all the same."""
    flash = Flash(MIB)
    flash.program(0xE000, bytes(0x1000))
    write_otadata(flash, 0xD100, 1, OtaSelectEntry(7, 2))
    assert read_otadata(flash, 0xD100)[1].ota_seq == 7
    assert flash.is_erased(0xE000, 0x100)


def test_bad_places_are_refused():
    flash = Flash(MIB)
    for offset in (MIB - 0x1000, MIB, 1 << 40, (1 << 64) - 1):
        with pytest.raises(FlashError):
            read_otadata(flash, offset)
    with pytest.raises(FlashError) as caught:
        write_otadata(flash, MIB, 0, BLANK)
    assert caught.value.err == EspErr.ESP_ERR_INVALID_ARG
    for index in (-1, 2):
        with pytest.raises(ValueError):
            write_otadata(flash, 0xD000, index, BLANK)
    flash.power_off()
    with pytest.raises(PowerLoss):
        read_otadata(flash, 0xD000)
