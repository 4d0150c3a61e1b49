"""A flash as a picture: every sector is drawn once, where it is, as what it is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_nodes import flash

from py_esp_ota.cloud.virtual_nodes import Region
from py_esp_ota.cloud.web.flash import CELL, ROW, SLIVER, WIDTH, picture, strip


def region(fill: list[int], erases: list[int] | None = None) -> Region:
    return Region(
        label="ota_0",
        kind="app",
        offset=0x10000,
        size=4096 * len(fill),
        note="",
        fill=fill,
        erases=[0] * len(fill) if erases is None else erases,
    )


def cells(boxes) -> list[int]:
    """The sectors under some boxes."""
    return [
        (box.y // CELL + row) * ROW + box.x // CELL + column
        for box in boxes
        for row in range(box.height // CELL)
        for column in range(box.width // CELL)
    ]


@given(st.lists(st.tuples(st.sampled_from([0, 1, 5, 8]), st.sampled_from([0, 1, 9])), min_size=1, max_size=200))
def test_each_sector_is_drawn_once_and_as_what_it_is(sectors):
    fill, erases = [list(column) for column in zip(*sectors, strict=True)]
    drawn = picture(region(fill, erases))
    found = {}
    for run in drawn.runs:
        for cell in cells(run.boxes):
            assert cell not in found
            found[cell] = run.fill, run.worn
    steps = {0: 0, 1: 1, 5: 2, 8: 3}
    assert found == {
        n: (steps[full], {0: 0, 1: 1, 9: 3}[worn]) for n, (full, worn) in enumerate(zip(fill, erases, strict=True))
    }
    assert sorted(cells(drawn.rows)) == list(range(len(fill)))
    assert drawn.height == -(-len(fill) // ROW) * CELL


def test_a_run_says_where_it_is_and_what_happened_there():
    drawn = picture(region([8, 8, 0], [2, 2, 0]))
    assert [run.title for run in drawn.runs] == [
        "0x010000 to 0x012000: written, erased 2 times",
        "0x012000: empty, not erased yet",
    ]
    assert drawn.words == "ota_0: 3 sectors, 2 written, 4 erases"
    assert (drawn.erases, drawn.most) == (4, 2)


def test_of_a_dump_nobody_says_how_often_it_was_erased():
    drawn = picture(region([8, 0], []))
    assert drawn.words == "ota_0: 2 sectors, 1 written"
    assert drawn.erases is None
    assert [run.title for run in drawn.runs] == ["0x010000: written", "0x011000: empty"]


@pytest.mark.parametrize("written", [0, 384])
def test_the_strip_is_full_and_shows_the_smallest_region(written):
    pieces = strip(flash(written, None))
    assert min(piece.width for piece in pieces) == SLIVER
    assert pieces[-1].x + pieces[-1].width == pytest.approx(WIDTH, abs=0.1)
    for one, other in pairwise(pieces):
        assert one.x + one.width == pytest.approx(other.x, abs=0.02)
