"""Tables, otadata and NVS: valid, varied, and small when shrunk."""

from __future__ import annotations

import random

import pytest
from hypothesis import Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from py_esp_ota import Flash, Partition, PartitionTable
from py_esp_ota._core import NvsPartition, active_otadata, verify_partition_table
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.strategies import NvsItem, OtaData, nvs_contents, otadata, partition_tables, write_nvs

# Nobody reads an explanation of what find() gives, and it takes longer than to shrink it.
QUIET = settings(database=None, max_examples=2000, derandomize=True, phases=[Phase.generate, Phase.shrink])
THOROUGH = settings().max_examples > 100  # HYPOTHESIS_PROFILE=slow
SIZES = [1 << shift for shift in range(20, 28)]


def smallest(strategy, condition=lambda _: True, seed=0):
    return find(strategy, condition, settings=QUIET, random=random.Random(seed))


def labels(table):
    return [row.label for row in table]


def slots(table):
    return [row for row in table if row.ota_slot is not None]


# ------------------------------------------------------------------------------------------------------------- tables


@given(st.data(), st.integers(0, 16), st.sampled_from([None, True, False]), st.sampled_from(SIZES))
def test_tables_are_what_the_generator_would_make(data, least, factory, flash_size):
    if least + (factory is True) > flash_size // 0x10000 - 2:
        return
    table = data.draw(partition_tables(min_ota_slots=least, factory=factory, flash_size=flash_size))
    table.check(flash_size=flash_size)
    assert PartitionTable.from_csv(table.to_csv()) == table
    assert verify_partition_table(table.to_bytes(), flash_size).err == 0
    numbers = sorted(row.ota_slot for row in slots(table))
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= least
    assert factory is None or (table.find(type=0, subtype=0) is not None) == (factory or not numbers)
    assert (table.find(type=1, subtype=0) is not None) == bool(numbers)
    assert any(row.type == 0 for row in table)


def test_tables_differ():
    seen = set()
    sizes = set()

    @settings(max_examples=300, derandomize=True)
    @given(partition_tables(min_ota_slots=2))
    def collect(table):
        seen.add(tuple(labels(table)))
        sizes.add(len({row.size for row in slots(table)}) > 1)

    collect()
    assert len(seen) > 20
    assert sizes == {True, False}


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, [("factory", 0x10000, 0x10000)]),
        (
            {"min_ota_slots": 2},
            [("otadata", 0x9000, 0x2000), ("ota_0", 0x10000, 0x10000), ("ota_1", 0x20000, 0x10000)],
        ),
        ({"factory": False}, [("otadata", 0x9000, 0x2000), ("ota_0", 0x10000, 0x10000)]),
    ],
)
def test_tables_shrink_to_what_was_asked_for(options, rows):
    table = smallest(partition_tables(**options))
    assert [(row.label, row.offset, row.size) for row in table] == rows


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min_ota_slots": 17}, "min_ota_slots is 17, expected 0 to 16"),
        ({"min_ota_slots": 3, "max_ota_slots": 2}, "min_ota_slots is 3 and max_ota_slots is 2"),
        ({"factory": False, "max_ota_slots": 0}, "no app partition is left"),
        ({"factory": "yes"}, "factory is 'yes', expected True, False, or None"),
        ({"flash_size": 3 << 20}, "flash_size is 3145728, expected a power of two"),
        ({"min_ota_slots": 15, "flash_size": 1 << 20}, "15 app partitions do not fit into 1048576 bytes of flash"),
    ],
)
def test_tables_that_cannot_be(options, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        find(partition_tables(**options), lambda _: True)


# ------------------------------------------------------------------------------------------------------------ otadata


def condition_of(entry):
    if entry.ota_seq == 0xFFFFFFFF and not entry.crc_ok and entry.ota_state == 0xFFFFFFFF:
        return "blank"
    return "sound" if entry.crc_ok else "broken"


def test_otadata_is_in_every_state_on_both_sides():
    """In eight hundred of them; there is nothing to wait for once all were seen."""
    seen, states, active = set(), set(), set()
    conditions = ("blank", "sound", "broken")
    pairs = {(one, other) for one in conditions for other in conditions}
    both = {(index, int(state)) for index in (0, 1) for state in OtaImgState}

    @settings(max_examples=100, database=None)
    @given(otadata())
    def collect(data):
        first, second = data.entries
        seen.add((condition_of(first), condition_of(second)))
        states.update((index, entry.ota_state) for index, entry in enumerate((first, second)) if entry.crc_ok)
        active.add(active_otadata(first, second))
        assert len(data.to_bytes()) == 0x2000
        assert data.to_bytes()[0x1000:0x1020] == data.second

    for number in range(8):
        if THOROUGH or not (seen >= pairs and states >= both and active >= {-1, 0, 1}):
            seed(number)(collect)()
    assert seen == pairs
    assert states >= both
    assert active == {-1, 0, 1}


@pytest.mark.parametrize("seed", range(3 if THOROUGH else 1))
def test_otadata_shrinks_to_the_simplest_entries(seed):
    assert repr(smallest(otadata(), seed=seed)) == "OtaData(-, -)"
    found = smallest(otadata(), lambda data: active_otadata(*data.entries) == 1, seed=seed)
    assert repr(found) == "OtaData(-, 1/VALID)"
    found = smallest(otadata(), lambda data: data.entries[0].ota_state == OtaImgState.ABORTED, seed=seed)
    assert repr(found) == "OtaData(1/ABORTED, -)"
    # "a bootloader that does not look at the CRC": what is read as NEW or PENDING_VERIFY and is torn or wrong
    found = smallest(otadata(), lambda data: condition_of(data.entries[1]) == "broken", seed=seed)
    assert repr(found) in {"OtaData(-, 1/VALID!)", "OtaData(-, 4294967041/UNDEFINED!)"}


def test_states_of_ones_own():
    @given(otadata(states=[OtaImgState.NEW], slots=16))
    def holds(data):
        # The CRC of number 0 is what erased flash reads as: torn behind its number, that entry has a right one.
        sound = [entry for entry in data.entries if entry.crc_ok and entry.ota_seq]
        assert all(entry.ota_state == OtaImgState.NEW for entry in sound)

    holds()
    for options, sentence in (
        ({"slots": 0}, "slots is 0, expected 1 to 16"),
        ({"states": []}, "states is empty"),
        ({"states": [-1]}, r"states is \[-1\], expected words of 32 bits"),
    ):
        with pytest.raises(InvalidArgument, match=sentence):
            find(otadata(**options), lambda _: True)


def test_otadata_is_a_value():
    assert OtaData(b"\xff" * 32, b"\xff" * 32) == OtaData(b"\xff" * 32, b"\xff" * 32)


# ---------------------------------------------------------------------------------------------------------------- NVS

NVS = Partition("nvs", 1, 2, 0x9000, 0x3000)


@given(nvs_contents())
def test_what_is_written_is_read_after_a_reset(contents):
    flash = Flash(0x100000)
    write_nvs(flash, NVS, contents)
    again = NvsPartition(flash, NVS)
    assert {(entry.namespace, entry.key, entry.type) for entry in again.entries()} == {
        (item.namespace, item.key, item.type) for item in contents
    }
    for item in contents:
        assert again.open(item.namespace).get(item.key, item.type) == item.value


def test_every_type_is_drawn():
    kinds = set()

    @settings(max_examples=200, derandomize=True)
    @given(nvs_contents())
    def collect(contents):
        kinds.update(item.type for item in contents)

    collect()
    assert kinds == {"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "float", "double", "str", "blob"}


def test_the_largest_contents_fit_the_smallest_partition():
    @settings(max_examples=40)
    @given(nvs_contents(max_values=10, max_value_size=500) | nvs_contents(max_values=50, max_value_size=32))
    def holds(contents):
        write_nvs(Flash(0x100000), NVS, contents)

    holds()
    items = [NvsItem(f"n{number}", "k", "blob", bytes(500)) for number in range(10)]
    write_nvs(Flash(0x100000), NVS, items)
    with pytest.raises(InvalidArgument, match="20 values of 512 bytes take 380 entries"):
        find(nvs_contents(max_values=20, max_value_size=512), lambda _: True)
    with pytest.raises(InvalidArgument, match="max_values is -1, expected a number from 0 on"):
        find(nvs_contents(max_values=-1), lambda _: True)


def test_contents_shrink_to_one_small_value():
    assert smallest(nvs_contents()) == ()
    assert smallest(nvs_contents(), len) == (NvsItem("0", "0", "u8", 0),)
    assert smallest(nvs_contents(), lambda items: any(i.type == "str" for i in items)) == (
        NvsItem("0", "0", "str", ""),
    )
