"""Cases at the edge: odd tables, odd entries, and calls at the wrong moment. Each was seen on upstream's own code."""

from contextlib import suppress
from functools import partial

import pytest
from board import PLAIN, ROLLBACK, SECTOR, Board, entry, slots, table
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, FlashError, OtaError, Restart
from py_esp_ota.firmware import merge, ota_select_entry
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES

OTADATA = ("otadata", 1, 0, 0xD000, 0x2000)
OTA_0 = ("ota_0", 0, 0x10, 0x20000, 0x10000)
OTA_1 = ("ota_1", 0, 0x11, 0x30000, 0x10000)
OTA_2 = ("ota_2", 0, 0x12, 0x40000, 0x10000)
TEST = ("test", 0, 0x20, 0x50000, 0x10000)
FACTORY = ("factory", 0, 0x00, 0x10000, 0x10000)


# -------------------------------------------------------------------------------------------------- odd entries


def test_a_state_word_flipped_alone_is_believed():
    board = Board(slots(2), "1/VALID", "2/VALID")
    raw = bytearray(board.raw(1))
    raw[24] = 4
    board.put(1, bytes(raw))
    assert board.otadata[1] == "2/ABORTED"
    assert board.booted() == "ota_0"


@pytest.mark.parametrize(("count", "slot"), [(2, 1), (3, 0)])
def test_number_zero_is_a_valid_entry(count, slot):
    assert Board(slots(count), "0/UNDEFINED").booted() == f"ota_{slot}"


def test_the_blank_number_with_its_crc_is_never_chosen_but_has_a_state():
    board = Board(slots(2), "1/VALID", "0xffffffff/ABORTED")
    assert board.booted() == "ota_0"
    board.put(0, b"\xff" * 32)
    assert board.ops("ota_0").get_state_partition(board["ota_0"]).name == "ABORTED"


def test_equal_numbers_choose_the_first_entry():
    board = Board(slots(2), "1/VALID", "1/NEW")
    assert board.boot().state == "VALID"
    assert board.otadata == ("1/VALID", "1/NEW")


def test_equal_numbers_choose_the_second_entry_when_the_first_is_out():
    assert Board(slots(2, factory=True), "1/INVALID", "1/VALID").booted() == "ota_0"


def test_an_unknown_state_is_selectable_and_reported_as_a_number():
    board = Board(slots(2, factory=True), "1/VALID", "2/0x77")
    report = board.boot()
    assert (report.partition.label, report.state) == ("ota_1", "0x00000077")
    assert board.ops("ota_1").get_state_partition(board["ota_1"]) == 0x77


def test_pending_in_a_corrupt_entry_becomes_aborted_and_stays_corrupt():
    board = Board(slots(2), "1/VALID", "2/PENDING_VERIFY!")
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", "2/ABORTED!")


def test_entry_labels_survive_a_boot():
    board = Board(slots(2), "1/VALID")
    labelled = bytearray(entry("2/NEW"))
    labelled[4:24] = b"twenty bytes of text"
    board.put(1, bytes(labelled))
    assert board.boot().state == "PENDING_VERIFY"
    assert board.raw(1)[4:24] == b"twenty bytes of text"


# --------------------------------------------------------------------------------------------- images that do not load


def test_a_new_app_that_does_not_load_is_tried_once_and_aborted_later():
    board = Board(slots(2), "1/VALID", "2/NEW", without=("ota_1",))
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", "2/PENDING_VERIFY")
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", "2/ABORTED")


def test_falling_back_ignores_states():
    assert Board(slots(2), "1/INVALID", "2/VALID", without=("ota_1",)).booted() == "ota_0"


@pytest.mark.parametrize("entries", [("1/ABORTED", "-"), ("1/INVALID", "2/ABORTED"), ("-", "2/INVALID")])
def test_without_factory_even_a_rejected_slot_0_boots_and_nothing_is_repaired(entries):
    board = Board(slots(2), *entries)
    assert [board.booted(), board.booted()] == ["ota_0", "ota_0"]
    assert board.otadata == entries


def test_without_factory_a_corrupt_entry_is_never_repaired():
    board = Board(slots(2), "2/VALID!")
    assert [board.booted(), board.booted()] == ["ota_0", "ota_0"]
    assert board.otadata == ("2/VALID!", "-")


@pytest.mark.parametrize("entries", [("2/ABORTED!", "-"), ("1/INVALID!", "2/ABORTED!")])
def test_without_factory_corrupt_and_rejected_entries_are_repaired(entries):
    board = Board(slots(2), *entries)
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", entries[1])


def test_blank_otadata_is_healed_for_the_slot_that_loads():
    board = Board(slots(2), without=("ota_0",))
    assert board.booted() == "ota_1"
    assert board.otadata == ("2/VALID", "-")
    assert board.booted() == "ota_1"


@pytest.mark.parametrize(
    ("count", "factory", "start", "order"),
    [
        (4, True, "1/VALID", ["ota_0", "factory", "ota_1", "ota_2", "ota_3"]),
        (4, True, "3/VALID", ["ota_2", "ota_1", "ota_0", "factory", "ota_3"]),
        (3, True, "-", ["factory", "ota_0", "ota_1", "ota_2"]),
        (3, False, "2/VALID", ["ota_1", "ota_0", "ota_2"]),
    ],
)
def test_the_order_of_falling_back(count, factory, start, order):
    gone = []
    for label in order:
        board = Board(slots(count, factory=factory), start, without=tuple(gone))
        assert board.booted() == label
        gone.append(label)
    dead = Board(slots(count, factory=factory), start, without=tuple(gone)).boot()
    assert not dead.ok
    assert dead.log[-1].endswith("boot: No bootable app partitions in the partition table")


# --------------------------------------------------------------------------------------------------- odd tables


def test_a_gap_between_slots_is_seen_differently_by_bootloader_and_app():
    board = Board(table(OTADATA, OTA_0, OTA_2), "2/VALID")
    assert board.booted() == "ota_0"
    ops = board.ops("ota_0")
    assert ops.get_app_partition_count() == 1
    assert ops.get_next_update_partition().label == "ota_2"
    with pytest.raises(OtaError) as refused:
        ops.set_boot_partition(board["ota_2"])
    assert refused.value.err == EspErr.ESP_ERR_INVALID_ARG


def test_a_slot_beyond_the_gap_never_boots():
    assert not Board(table(OTADATA, OTA_0, OTA_2), "2/VALID", without=("ota_0",)).boot().ok
    assert not Board(table(OTADATA, OTA_2)).boot().ok


def test_of_two_rows_with_one_subtype_the_bootloader_takes_the_last_and_the_app_the_first():
    twin = ("twin", 0, 0x11, 0x40000, 0x10000)
    board = Board(table(OTADATA, OTA_0, OTA_1, twin), "2/VALID")
    assert board.booted() == "twin"
    ops = board.ops("twin")
    assert ops.get_app_partition_count() == 2
    assert ops.get_boot_partition().label == "ota_1"
    board.put(0, entry("3/VALID"))
    assert board.booted() == "twin", "three rows count, so 3 names slot 2, which is not there"


def test_of_two_factory_rows_the_bootloader_takes_the_last():
    board = Board(table(OTADATA, FACTORY, ("factory2", 0, 0, 0x60000, 0x10000), OTA_0))
    assert board.booted() == "factory2"
    assert board.ops("factory2").get_boot_partition().label == "factory"


def test_with_two_otadata_rows_choosing_has_no_effect_on_booting():
    second = ("otadata2", 1, 0, 0x60000, 0x2000)
    board = Board(table(OTADATA, OTA_0, OTA_1, second))
    board["otadata2"].write(board.chip.flash, 0, entry("1/VALID"))
    board.ops("ota_0").set_boot_partition(board["ota_1"])
    assert board.otadata == ("2/NEW", "-")
    assert board.booted() == "ota_0"


def test_otadata_of_one_sector_does_not_boot():
    report = Board(table(("otadata", 1, 0, 0xD000, 0x1000), FACTORY, OTA_0)).boot()
    assert not report.ok
    assert report.log[-1].endswith("boot: ota_info partition size 4096 is too small (minimum 8192 bytes)")


def test_otadata_of_one_sector_is_read_past_its_end_and_written_only_inside():
    board = Board(table(("otadata", 1, 0, 0xD000, 0x1000), OTA_0, OTA_1), "1/VALID")
    ops = board.ops("ota_0")
    board.put(1, entry("2/VALID"))
    assert ops.get_boot_partition().label == "ota_1"
    with pytest.raises(FlashError) as refused:
        ops.mark_app_invalid_rollback()
    assert refused.value.err == EspErr.ESP_ERR_INVALID_SIZE
    board.put(1, b"\xff" * 32)
    with pytest.raises(FlashError):
        ops.set_boot_partition(board["ota_1"])


def test_without_otadata_the_factory_app_boots_else_the_slots_in_turn():
    assert Board(table(FACTORY, OTA_0)).booted() == "factory"
    assert Board(table(FACTORY, OTA_0), without=("factory",)).booted() == "ota_0"
    assert Board(table(OTA_0, OTA_1)).booted() == "ota_0"
    assert Board(table(OTA_0, OTA_1), without=("ota_0",)).booted() == "ota_1"


def test_sixteen_slots_and_a_test_app_end_any_app_that_counts():
    board = Board(slots(16, test=True), "16/VALID")
    assert board.booted() == "ota_15"
    ops = board.ops("ota_15")
    for call in (ops.get_app_partition_count, ops.get_boot_partition, ops.mark_app_valid_cancel_rollback):
        with pytest.raises(Restart):
            call()
    assert Board(slots(16)).ops("ota_0").get_app_partition_count() == 16


def test_choosing_the_test_app_chooses_slot_0():
    board = Board(table(OTADATA, OTA_0, OTA_1, TEST), "2/VALID")
    board.ops("ota_1").set_boot_partition(board["test"])
    assert board.otadata[1] == "3/NEW"
    assert board.booted() == "ota_0"


def test_with_one_slot_one_entry_is_rewritten_for_ever():
    board = Board(slots(1, factory=True), config=PLAIN)
    ops = board.ops("factory")
    for _ in range(3):
        board.update(ops, "ota_0")
        assert board.otadata == ("1/UNDEFINED", "-")
    assert board.ops("ota_0").get_next_update_partition().label == "ota_0"


def test_only_a_test_app_boots_the_test_app():
    board = Board(table(OTADATA, TEST))
    report = board.boot()
    assert (report.partition.label, report.state) == ("test", "")
    assert "W" in {line[0] for line in report.log}
    assert any(line.endswith("Falling back to test app as only bootable partition") for line in report.log)
    assert board.otadata == ("-", "-")
    assert board.ops("test").get_boot_partition().label == "test"


def test_a_table_without_apps_boots_nothing():
    board = Board(table(OTADATA))
    assert not board.boot().ok


def test_a_label_of_sixteen_bytes_is_accepted():
    assert Board(table(OTADATA, ("abcdefghijklmnop", 0, 0, 0x10000, 0x10000))).booted() == "abcdefghijklmnop"


def test_an_md5_row_in_the_middle_hides_the_rows_after_it_from_the_app_and_one_from_the_bootloader():
    first, second = table(OTADATA, FACTORY, OTA_0), table(OTA_1)
    whole = first.to_bytes()
    md5 = whole[96:128]
    rows = whole[:96] + md5 + second.to_bytes()[:32]
    board = Board(first)
    board.chip.flash.erase(0x8000, SECTOR)
    board.chip.flash.program(0x8000, merge({0: rows}, size=0xC00))
    listed = [line for line in board.boot().log if " boot:  " in line]
    assert len(listed) == 4
    assert listed[-1].split()[-4:-2] == ["ff", "ff"]
    assert not any("ota_1" in line for line in listed)
    assert [row.label for row in board.ops("factory").table] == ["otadata", "factory", "ota_0"]


def test_a_table_without_md5_boots_and_leaves_the_app_without_partitions():
    rows = table(OTADATA, FACTORY, OTA_0)
    board = Board(rows)
    board.chip.flash.erase(0x8000, SECTOR)
    board.chip.flash.program(0x8000, rows.to_bytes()[:96])
    assert board.booted() == "factory"
    ops = board.ops("factory")
    assert ops.log.lines[-1] == "E (0) partition: load_partitions returned 0x105"
    assert len(ops.table) == 0
    assert ops.get_next_update_partition() is None
    with pytest.raises(OtaError) as refused:
        ops.begin(board["ota_0"], 0)
    assert refused.value.err == EspErr.ESP_ERR_NOT_FOUND


# ---------------------------------------------------------------------------------------- calls at the wrong moment


def test_confirming_after_choosing_another_confirms_the_app_that_never_ran():
    board = Board(slots(2), "1/VALID")
    ops = board.ops("ota_0")
    ops.set_boot_partition(board["ota_1"])
    ops.mark_app_valid_cancel_rollback()
    assert board.otadata == ("1/VALID", "2/VALID")


def test_confirming_from_an_app_booted_by_falling_back_confirms_the_broken_one():
    board = Board(slots(2), "1/VALID", "2/NEW", without=("ota_1",))
    board.ops(board.booted()).mark_app_valid_cancel_rollback()
    assert board.otadata == ("1/VALID", "2/VALID")


def test_choosing_oneself_again_needs_a_new_confirmation():
    board = Board(slots(2), "3/VALID", "2/VALID")
    board.ops("ota_0").set_boot_partition(board["ota_0"])
    assert board.booted() == "ota_0"
    assert board.booted() == "ota_1"
    assert board.otadata == ("3/ABORTED", "2/VALID")


def test_a_failed_erase_leaves_the_update_open():
    board = Board(slots(2), "1/VALID")
    ops = board.ops("ota_0")
    with pytest.raises(FlashError) as refused:
        ops.begin(board["ota_1"], 0x10001)
    assert refused.value.err == EspErr.ESP_ERR_INVALID_SIZE
    with pytest.raises(OtaError) as busy:
        ops.begin(board["ota_1"], 0)
    assert busy.value.err == EspErr.ESP_ERR_OTA_ALREADY_IN_PROGRESS
    ops.abort(refused.value.fact["handle"])
    ops.begin(board["ota_1"], 0)


def test_begin_with_three_slots_drops_the_record_of_another_slot():
    board = Board(slots(3), "1/VALID", "2/VALID")
    board.ops("ota_1").begin(board["ota_2"], 0)
    assert board.otadata == ("-", "2/VALID")


def test_begin_from_an_app_booted_by_falling_back_drops_nothing():
    board = Board(slots(2), "1/VALID", "2/VALID", without=("ota_1",))
    ops = board.ops(board.booted())
    ops.begin(board["ota_1"], 0)
    assert board.otadata == ("1/VALID", "2/VALID")


def test_begin_without_rollback_drops_nothing():
    board = Board(slots(2), "1/VALID", "2/VALID", config=PLAIN)
    board.ops("ota_1").begin(board["ota_0"], 0)
    assert board.otadata == ("1/VALID", "2/VALID")


def test_begin_on_a_data_partition_drops_nothing():
    board = Board(table(OTADATA, OTA_0, OTA_1, ("storage", 1, 0x81, 0x60000, 0x1000)), "1/VALID", "2/VALID")
    board.ops("ota_1").begin(board["storage"], 0)
    assert board.otadata == ("1/VALID", "2/VALID")


def test_begin_erases_the_slot_before_the_record():
    board = Board(slots(2), "1/VALID", "2/VALID")
    ops = board.ops("ota_1")
    board.chip.flash.record(True)
    ops.begin(board["ota_0"], 0x1800)
    assert [op.address for op in board.chip.flash.journal()] == [0x10000, 0x11000, 0xD000]


def test_a_wrong_first_byte_in_sequential_mode_has_erased_the_first_sector_already():
    board = Board(slots(2), "1/VALID")
    ops = board.ops("ota_0")
    handle = ops.begin(board["ota_1"], OTA_WITH_SEQUENTIAL_WRITES)
    assert not board.chip.flash.is_erased(board["ota_1"].offset, SECTOR)
    with pytest.raises(OtaError):
        ops.write(handle, b"no")
    assert board.chip.flash.is_erased(board["ota_1"].offset, SECTOR)
    assert not board.chip.flash.is_erased(board["ota_1"].offset + SECTOR, SECTOR)


def test_of_two_rejected_slots_the_smaller_number_is_the_last_invalid():
    board = Board(slots(3), "3/INVALID", "2/ABORTED")
    assert board.ops("ota_0").get_last_invalid_partition().label == "ota_1"
    assert Board(slots(3), "3/INVALID", "2/ABORTED!").ops("ota_0").get_last_invalid_partition().label == "ota_2"


def test_a_rejected_slot_is_reported_only_while_its_image_is_whole():
    board = Board(slots(3), "3/INVALID", "2/ABORTED", without=("ota_1",))
    ops = board.ops("ota_0")
    assert ops.get_last_invalid_partition() is None
    assert not any("invalid magic byte" in line for line in ops.log.lines), "the check is silent"


@pytest.mark.parametrize(
    ("start", "following"), [("ota_0", "ota_1"), ("ota_1", "ota_2"), ("ota_2", "ota_0"), ("factory", "ota_0")]
)
def test_the_next_update_partition_goes_round(start, following):
    board = Board(slots(3, factory=True))
    assert board.ops("ota_1").get_next_update_partition(board[start]).label == following
    assert board.ops(start).get_next_update_partition().label == following


def test_the_next_update_partition_after_a_stranger_is_misuse():
    with pytest.raises(ValueError, match="not in the partition table"):
        Board(slots(2)).ops("ota_0").get_next_update_partition(Partition("x", 0, 0x10, 0x300000, 0x1000))


def test_there_is_no_next_update_partition_without_slots():
    assert Board(slots(0, factory=True)).ops("factory").get_next_update_partition() is None


def test_the_running_partition_is_the_row_that_holds_the_code():
    board = Board(slots(2))
    assert board.ops("ota_1").get_running_partition().label == "ota_1"


def test_the_boot_partition_does_not_care_who_runs_or_whether_it_would_boot():
    board = Board(slots(2, factory=True), "2/PENDING_VERIFY", without=("ota_1",), config=ROLLBACK)
    assert board.ops("factory").get_boot_partition().label == "ota_1"


def test_without_slots_the_boot_partition_is_the_default_whatever_otadata_says():
    assert Board(slots(0, factory=True), "1/VALID").ops("factory").get_boot_partition().label == "factory"


def test_no_app_partition_at_all_is_no_boot_partition():
    board = Board(table(OTADATA, ("storage", 1, 0x81, 0x60000, 0x1000)))
    ops = board.ops("storage")
    assert ops.get_boot_partition() is None
    assert ops.log.lines == ["E (0) esp_ota_ops: invalid partition table, no app partitions"]


def test_corrupt_otadata_is_reported_on_the_console():
    ops = Board(slots(2, factory=True), "1/VALID!").ops("factory")
    assert ops.get_boot_partition().label == "factory"
    assert ops.log.lines == ["E (0) esp_ota_ops: ota data invalid, no current app. Assuming factory"]


# ------------------------------------------------------------------------------------------------------- any otadata

ENTRY = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.builds(
        ota_select_entry,
        st.sampled_from([0, 1, 2, 3, 4, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]),
        st.sampled_from([0, 1, 2, 3, 4, 0x77, 0xFFFFFFFF]),
    ),
)


@given(
    count=st.integers(0, 4),
    factory=st.booleans(),
    entries=st.tuples(ENTRY, ENTRY),
    running=st.integers(0, 4),
    rollback=st.booleans(),
)
def test_no_otadata_makes_a_call_end_otherwise_than_with_a_code(count, factory, entries, running, rollback):
    rows = slots(count, factory=factory or count == 0)
    board = Board(rows, config=ROLLBACK if rollback else PLAIN)
    for index, data in enumerate(entries):
        board.put(index, data)
    apps = [row for row in rows if row.type == 0]
    ops = board.ops(apps[running % len(apps)].label)
    calls = [
        ops.get_boot_partition,
        ops.get_next_update_partition,
        ops.get_last_invalid_partition,
        ops.check_rollback_is_possible,
        *(partial(ops.get_state_partition, app) for app in apps),
        *(partial(ops.begin, app, 1) for app in apps),
        ops.invalidate_inactive_ota_data_slot,
        ops.mark_app_valid_cancel_rollback,
        ops.mark_app_invalid_rollback,
        ops.mark_app_invalid_rollback_and_reboot,
        *(partial(ops.set_boot_partition, app) for app in apps),
        ops.erase_last_boot_app_partition,
    ]
    for call in calls:
        with suppress(OtaError, FlashError, Restart):
            call()
    assert board.boot().why
