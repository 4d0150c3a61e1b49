"""Power cuts in the middle of otadata updates: what boots next, as upstream's own code does it on a host.

Every update of an entry is an erase and a 32-byte program. A cut between the two leaves the entry blank; a cut inside
the program leaves a prefix of it, here 4 bytes (only the number), 28 (all but the CRC) and 30.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from board import PLAIN, ROLLBACK, SECTOR, Board, slots, spell
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.errors import PowerLoss

FACTORY, LARGE = "two_ota", "two_ota_large"
BLANK, NUMBER, NO_CRC, HALF_CRC = 0, 4, 28, 30
TORN = (NUMBER, NO_CRC, HALF_CRC)
LOST = (BLANK, *TORN)

Action = Callable[[Board], object]


def set_boot(label: str, running: str) -> Action:
    def choose(board: Board) -> None:
        board.ops(running).set_boot_partition(board[label])

    choose.__name__ = f"choose {label}"
    return choose


def mark_valid(running: str) -> Action:
    def confirm(board: Board) -> None:
        board.ops(running).mark_app_valid_cancel_rollback()

    return confirm


def mark_invalid(running: str) -> Action:
    def reject(board: Board) -> None:
        board.ops(running).mark_app_invalid_rollback()

    return reject


def reset(board: Board) -> object:
    return board.boot()


class Cut(NamedTuple):
    """One row: a board, what is being done to it, how much of the entry is left, and what comes of it."""

    table: str
    before: tuple[str, str]
    action: Action
    index: int
    prefix: int
    boots: str
    after: tuple[str, str]


WITH, ALONE, EITHER = (FACTORY,), (LARGE,), (FACTORY, LARGE)

# tables | entries before | what is cut | entry it writes | prefixes left | who boots next | entries after that boot.
# "=" is the entry as the cut left it.
ROWS = [
    (EITHER, ("1/VALID", "2/NEW"), reset, 1, LOST, "ota_0", ("1/VALID", "=")),
    (EITHER, ("1/VALID", "2/PENDING_VERIFY"), mark_valid("ota_1"), 1, LOST, "ota_0", ("1/VALID", "=")),
    (EITHER, ("1/VALID", "2/PENDING_VERIFY"), mark_invalid("ota_1"), 1, LOST, "ota_0", ("1/VALID", "=")),
    (EITHER, ("1/VALID", "2/PENDING_VERIFY"), reset, 1, LOST, "ota_0", ("1/VALID", "=")),
    (EITHER, ("1/VALID", "-"), set_boot("ota_1", "ota_0"), 1, LOST, "ota_0", ("1/VALID", "=")),
    (EITHER, ("1/VALID", "2/ABORTED"), set_boot("ota_1", "ota_0"), 1, LOST, "ota_0", ("1/VALID", "=")),
    (EITHER, ("3/VALID", "2/VALID"), set_boot("ota_1", "ota_0"), 1, LOST, "ota_0", ("3/VALID", "=")),
    (EITHER, ("3/VALID", "2/VALID"), set_boot("ota_0", "ota_0"), 0, LOST, "ota_1", ("=", "2/VALID")),
    (WITH, ("-", "-"), set_boot("ota_1", "factory"), 0, LOST, "factory", ("=", "-")),
    (ALONE, ("-", "-"), set_boot("ota_1", "ota_0"), 0, (BLANK,), "ota_0", ("1/VALID", "-")),
    (ALONE, ("-", "-"), set_boot("ota_1", "ota_0"), 0, TORN, "ota_0", ("=", "-")),
    (WITH, ("1/PENDING_VERIFY", "-"), mark_valid("ota_0"), 0, LOST, "factory", ("=", "-")),
    (WITH, ("1/PENDING_VERIFY", "-"), reset, 0, LOST, "factory", ("=", "-")),
    (ALONE, ("1/PENDING_VERIFY", "-"), mark_valid("ota_0"), 0, (BLANK,), "ota_0", ("1/VALID", "-")),
    (ALONE, ("1/PENDING_VERIFY", "-"), mark_valid("ota_0"), 0, TORN, "ota_0", ("=", "-")),
    # An app that should have been aborted is VALID now: a blank entry and a CRC-bad ABORTED one both look unused.
    (ALONE, ("1/PENDING_VERIFY", "-"), reset, 0, (BLANK, NO_CRC, HALF_CRC), "ota_0", ("1/VALID", "-")),
    (ALONE, ("1/PENDING_VERIFY", "-"), reset, 0, (NUMBER,), "ota_0", ("=", "-")),
]
CUTS = [
    pytest.param(
        Cut(table, before, action, index, prefix, boots, after),
        id=f"{table}: {' ; '.join(before)}: {action.__name__}, {prefix} bytes left",
    )
    for tables, before, action, index, prefixes, boots, after in ROWS
    for table in tables
    for prefix in prefixes
]


def cut(board: Board, action: Action, plan: str) -> None:
    board.chip.flash.fault = plan
    with pytest.raises(PowerLoss):
        action(board)
    assert not board.chip.flash.powered
    board.chip.flash.power_on()


def tear(board: Board, action: Action, index: int, prefix: int) -> None:
    """Cut the power after the erase, and leave ``prefix`` bytes of the program that would have followed."""
    whole = Board(board.table, config=board.config)
    whole.chip.flash = board.chip.flash.fork()
    action(whole)
    cut(board, action, "cut@1")
    assert board.otadata[index] == "-"
    if prefix:
        board.chip.flash.program(board["otadata"].offset + index * SECTOR, whole.raw(index)[:prefix])


@pytest.mark.parametrize("case", CUTS)
def test_a_lost_entry(case):
    board = Board(case.table, *case.before)
    tear(board, case.action, case.index, case.prefix)
    left = board.otadata[case.index]
    assert left == "-" if case.prefix == BLANK else left.endswith("!")

    assert board.booted() == case.boots
    # A torn entry that says PENDING_VERIFY is rewritten as ABORTED, its CRC as bad as it was.
    kept = left.replace("PENDING_VERIFY", "ABORTED")
    assert board.otadata == tuple(kept if text == "=" else text for text in case.after)
    assert board.booted() == case.boots, "the same again at the next boot"


@pytest.mark.parametrize("case", CUTS)
def test_a_cut_before_the_erase_changes_nothing(case):
    board = Board(case.table, *case.before)
    cut(board, case.action, "cut@0")
    assert board.otadata == case.before


@pytest.mark.parametrize("case", CUTS)
def test_a_cut_after_the_program_comes_too_late(case):
    board, undisturbed = Board(case.table, *case.before), Board(case.table, *case.before)
    case.action(undisturbed)
    board.chip.flash.fault = "cut@2"
    case.action(board)
    assert board.otadata == undisturbed.otadata


def test_choosing_factory_cut_between_the_entries_boots_the_second_ones_app():
    board = Board(FACTORY, "3/VALID", "2/VALID")
    cut(board, set_boot("factory", "ota_0"), "cut@1")
    assert board.otadata == ("-", "2/VALID")
    assert board.booted() == "ota_1"


def test_choosing_factory_cut_inside_the_second_erase_boots_factory():
    board = Board(FACTORY, "3/VALID", "2/VALID")
    cut(board, set_boot("factory", "ota_0"), "cut@1")
    board.put(1, bytes(range(32)))  # anything an interrupted erase may leave
    assert board.booted() == "factory"


def test_choosing_the_older_slot_without_rollback():
    board = Board(FACTORY, "1/UNDEFINED", "2/UNDEFINED", config=PLAIN)
    cut(board, set_boot("ota_0", "ota_1"), "cut@1")
    assert board.otadata == ("-", "2/UNDEFINED")
    assert board.booted() == "ota_1"


def test_a_cut_while_blank_otadata_is_healed_is_healed_again():
    board = Board(LARGE)
    cut(board, reset, "cut@1")
    assert board.otadata == ("-", "-")
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", "-")


def test_a_torn_heal_is_never_repaired_and_boots_all_the_same():
    board = Board(LARGE)
    tear(board, reset, 0, NO_CRC)
    assert [board.booted(), board.booted()] == ["ota_0", "ota_0"]
    assert board.otadata == ("1/VALID!", "-")


def test_a_cut_while_begin_drops_the_inactive_entry_leaves_the_active_one():
    board = Board(FACTORY, "1/VALID", "2/VALID")
    erases = board["ota_0"].size // SECTOR
    cut(board, lambda b: b.ops("ota_1").begin(b["ota_0"], 0), f"cut@{erases}")
    assert board.otadata == ("1/VALID", "2/VALID")
    assert board.booted() == "ota_1"


def test_number_zero_is_complete_after_four_bytes():
    board = Board(slots(2), "2/VALID")
    board.put(1, (0).to_bytes(4, "little"))
    assert spell(board.raw(1)) == "0/UNDEFINED"
    board.put(0, b"\xff" * 32)
    assert board.booted() == "ota_1"


@pytest.mark.parametrize("plan", ["cut@0", "cut@0:torn", "cut@1", "cut@1:torn"])
@pytest.mark.parametrize("table", [FACTORY, LARGE])
def test_an_update_that_is_cut_while_it_is_chosen_boots_the_old_app(table, plan):
    board = Board(table, "3/VALID", "2/VALID")
    cut(board, set_boot("ota_1", "ota_0"), plan)
    assert board.booted() == "ota_0"


@given(
    count=st.integers(2, 5),
    factory=st.booleans(),
    number=st.integers(0, 40),
    state=st.sampled_from(["VALID", "UNDEFINED"]),
    other=st.sampled_from(["-", "ABORTED", "INVALID", "VALID", "UNDEFINED", "VALID!", "PENDING_VERIFY!"]),
    active=st.sampled_from([0, 1]),
    target=st.integers(0, 4),
    rollback=st.booleans(),
    operation=st.integers(0, 2),
    torn=st.booleans(),
)
def test_after_any_single_cut_while_another_slot_is_chosen_a_whole_app_boots(
    *, count, factory, number, state, other, active, target, rollback, operation, torn
):
    """Always the app that was active or the one that was chosen, whatever the other entry held."""
    number += count  # room for an older number below
    old, new = (number - 1) % count, target % count
    if new == old:
        new = (new + 1) % count
    older = "-" if other == "-" else f"{number - 1}/{other}"
    entries = (f"{number}/{state}", older) if active == 0 else (older, f"{number}/{state}")
    board = Board(slots(count, factory=factory), *entries, config=ROLLBACK if rollback else PLAIN)

    board.chip.flash.fault = f"cut@{operation}" + ":torn" * torn
    chosen = False
    try:
        board.ops(f"ota_{old}").set_boot_partition(board[f"ota_{new}"])
        chosen = True
    except PowerLoss:
        board.chip.flash.power_on()
    board.chip.flash.fault = ""

    assert board.booted() == f"ota_{new if chosen else old}"
