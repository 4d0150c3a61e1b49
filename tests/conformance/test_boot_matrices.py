"""The decision matrices of the bootloader: every pair of otadata entries, and what boots.

Two slots, every image good. Entry 0 has sequence number 1 (ota_0), entry 1 has 2 (ota_1). A cell says which app boots
(F factory, 0, 1), and what is written to otadata before: ``1>P`` entry 1 becomes PENDING_VERIFY, ``0>A`` entry 0
becomes ABORTED, ``*`` entry 0 is written as sequence 1, VALID. Recorded from upstream's own code on a host.
"""

import pytest
from board import PLAIN, ROLLBACK, SECTOR, Board

ROLLBACK_WITH_FACTORY = """
      B       C       N           P           V       U       I       A
B  |  F    |  F    |  1 1>P     | F 1>A     | 1     | 1     | F     | F
C  |  F    |  F    |  1 1>P     | F 1>A     | 1     | 1     | F     | F
N  |  0 0>P|  0 0>P|  1 1>P     | 0 1>A 0>P | 1     | 1     | 0 0>P | 0 0>P
P  |  F 0>A|  F 0>A|  1 0>A 1>P | F 0>A 1>A | 1 0>A | 1 0>A | F 0>A | F 0>A
V  |  0    |  0    |  1 1>P     | 0 1>A     | 1     | 1     | 0     | 0
U  |  0    |  0    |  1 1>P     | 0 1>A     | 1     | 1     | 0     | 0
I  |  F    |  F    |  1 1>P     | F 1>A     | 1     | 1     | F     | F
A  |  F    |  F    |  1 1>P     | F 1>A     | 1     | 1     | F     | F
"""

STATES = {
    "B": None,
    "C": "UNDEFINED",
    "N": "NEW",
    "P": "PENDING_VERIFY",
    "V": "VALID",
    "U": "UNDEFINED",
    "I": "INVALID",
    "A": "ABORTED",
}
APPS = {"F": "factory", "0": "ota_0", "1": "ota_1"}


def parse(matrix: str) -> dict[tuple[str, str], str]:
    head, *rows = matrix.strip().splitlines()
    cells = {}
    for row in rows:
        first, *columns = (part.strip() for part in row.split("|"))
        cells |= {(first, second): cell for second, cell in zip(head.split(), columns, strict=True)}
    return cells


def without_factory(cells: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Where the factory app would boot ota_0 does; blank otadata is healed then."""
    return {pair: cell.replace("F", "0") for pair, cell in cells.items()} | {("B", "B"): "0 *"}


def without_rollback(cells: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """No states are written, and NEW and PENDING_VERIFY are as good as VALID."""
    plain = {"N": "V", "P": "V"}
    return {(a, b): cells[plain.get(a, a), plain.get(b, b)] for a, b in cells}


CELLS = parse(ROLLBACK_WITH_FACTORY)
MATRICES = {
    "rollback, factory": (ROLLBACK, "two_ota", CELLS),
    "rollback, no factory": (ROLLBACK, "two_ota_large", without_factory(CELLS)),
    "no rollback, factory": (PLAIN, "two_ota", without_rollback(CELLS)),
    "no rollback, no factory": (PLAIN, "two_ota_large", without_factory(without_rollback(CELLS))),
}
BOOTS = [
    pytest.param(config, table, pair, cell, id=f"{name}: {'/'.join(pair)}")
    for name, (config, table, cells) in MATRICES.items()
    for pair, cell in cells.items()
]


def spelled(index: int, letter: str) -> str:
    state = STATES[letter]
    return "-" if state is None else f"{index + 1}/{state}" + "!" * (letter == "C")


def board_entries(pair: tuple[str, str]) -> tuple[str, str]:
    return spelled(0, pair[0]), spelled(1, pair[1])


@pytest.mark.parametrize(("config", "table", "pair", "cell"), BOOTS)
def test_decision_matrix(config, table, pair, cell):
    board = Board(table, *board_entries(pair), config=config)
    app, *writes = cell.split()
    before = [board.raw(0), board.raw(1)]

    board.chip.flash.record(True)
    assert board.booted() == APPS[app]

    expected, operations = list(board_entries(pair)), []
    for write in writes:
        index, letter = (0, "V") if write == "*" else (int(write[0]), write[2])
        expected[index] = spelled(index, letter)
        address = board["otadata"].offset + index * SECTOR
        operations += [("erase", address, SECTOR), ("program", address, 32)]
    assert board.otadata == tuple(expected)
    assert [(op.kind, op.address, op.length) for op in board.chip.flash.journal()] == operations
    for index in range(2):
        if not any(write[0] in (str(index), "*") for write in writes):
            assert board.raw(index) == before[index]


def test_every_pair_is_in_every_matrix():
    assert len(BOOTS) == 4 * 64


@pytest.mark.parametrize(("config", "table", "pair", "cell"), BOOTS)
def test_the_report_names_the_state_that_is_in_flash(config, table, pair, cell):
    board = Board(table, *board_entries(pair), config=config)
    report = board.boot()
    slot = report.partition.ota_slot
    good = [text for text in board.otadata if text != "-" and not text.endswith("!")]
    named = [text.split("/")[1] for text in good if slot is not None and int(text.split("/")[0]) - 1 == slot]
    assert report.state == (named[0] if named else "")


@pytest.mark.parametrize("table", ["two_ota", "two_ota_large"])
@pytest.mark.parametrize("pair", CELLS, ids="/".join)
def test_the_app_agrees_on_what_boots_next(table, pair):
    """``esp_ota_get_boot_partition`` reads otadata as a bootloader without rollback does."""
    board = Board(table, *board_entries(pair), config=PLAIN)
    assert board.ops("ota_0").get_boot_partition().label == board.booted()
