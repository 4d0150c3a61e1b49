"""``esp_rewrite_ota_data``: which entry a selection goes to, and with which sequence number."""

import pytest
from board import PLAIN, ROLLBACK, SECTOR, Board, entry, slots

from py_esp_ota import firmware

BLANK = 0xFFFFFFFF

# slots, active sequence number, target slot, new sequence number
SEQUENCES = [
    (2, 1, 1, 2),
    (2, 2, 0, 3),
    (2, 5, 1, 6),
    (2, 0, 0, 1),
    (3, 1, 2, 3),
    (3, 3, 0, 4),
    (3, 6, 1, 8),
    (3, 8, 2, 9),
    (5, 7, 0, 0x0B),
    (4, 2, 0, 5),
    (4, 2, 2, 3),
    (4, 2, 3, 4),
    (8, 5, 7, 8),
    (8, 8, 0, 9),
    (16, 0x10, 0, 0x11),
    (2, 0xFFFFFFFD, 1, 0xFFFFFFFE),
]


@pytest.mark.parametrize("sequence", SEQUENCES, ids=str)
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("config", "state"), [(ROLLBACK, "NEW"), (PLAIN, "UNDEFINED")])
def test_another_slot_goes_to_the_inactive_entry_with_the_next_number_of_its_class(sequence, index, config, state):
    count, active, target, new = sequence
    board = Board(slots(count), config=config)
    board.put(index, entry(f"{active}/VALID"))
    board.ops("ota_0").set_boot_partition(board[f"ota_{target}"])
    assert board.otadata[index] == f"{active}/VALID"
    assert board.otadata[1 - index] == f"{new}/{state}"
    assert board.ops("ota_0").get_boot_partition().label == f"ota_{target}"
    assert board.booted() == f"ota_{target}"


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_without_an_active_entry_the_first_one_is_used(count):
    for slot in range(count):
        board = Board(slots(count, factory=True) if count < 16 else slots(16))
        board.ops("ota_0").set_boot_partition(board[f"ota_{slot}"])
        assert board.otadata == (f"{slot + 1}/NEW", "-")


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("config", "state"), [(ROLLBACK, "NEW"), (PLAIN, "UNDEFINED")])
def test_the_active_slot_is_rewritten_in_place(index, config, state):
    board = Board(slots(2), config=config)
    board.put(index, entry("4/VALID"))
    board.put(1 - index, entry("3/VALID"))
    board.ops("ota_1").set_boot_partition(board["ota_1"])
    assert board.otadata[index] == f"4/{state}"
    assert board.otadata[1 - index] == "3/VALID"


def test_the_number_after_the_last_makes_a_dead_entry_and_no_error():
    board = Board(slots(2), f"{0xFFFFFFFE}/VALID")
    board.ops("ota_1").set_boot_partition(board["ota_0"])
    assert board.otadata == (f"{0xFFFFFFFE}/VALID", f"{BLANK}/NEW")
    assert board.booted() == "ota_1"


def test_number_zero_ties_with_itself_and_the_first_entry_wins():
    board = Board(slots(3), "0/VALID")
    board.ops("ota_0").set_boot_partition(board["ota_2"])
    assert board.otadata == ("0/VALID", "0/NEW")
    assert board.booted() == "ota_0"


def test_the_label_of_an_entry_is_kept():
    board = Board(slots(2), "1/VALID")
    board.put(1, firmware.ota_select_entry(BLANK, BLANK, seq_label=b"twenty bytes of text"))
    board.ops("ota_0").set_boot_partition(board["ota_1"])
    assert board.otadata[1] == "2/NEW"
    assert board.raw(1)[4:24] == b"twenty bytes of text"


def test_a_selection_is_an_erase_and_a_program_of_one_sector():
    board = Board(slots(2), "1/VALID")
    ops = board.ops("ota_0")
    board.chip.flash.record(True)
    ops.set_boot_partition(board["ota_1"])
    sector = board["otadata"].offset + SECTOR
    assert [(op.kind, op.address, op.length) for op in board.chip.flash.journal()] == [
        ("erase", sector, SECTOR),
        ("program", sector, 32),
    ]


def test_the_factory_app_is_chosen_by_erasing_both_entries():
    board = Board(slots(2, factory=True), "3/VALID", "2/VALID")
    ops = board.ops("ota_0")
    board.chip.flash.record(True)
    ops.set_boot_partition(board["factory"])
    assert board.otadata == ("-", "-")
    assert [(op.kind, op.address) for op in board.chip.flash.journal()] == [("erase", 0xD000), ("erase", 0xE000)]
    assert board.booted() == "factory"
