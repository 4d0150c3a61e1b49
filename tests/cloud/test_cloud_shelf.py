"""Firmware in memory: how much of it, and for how long."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cloud.shelf import Shelf


def never() -> bytes:
    pytest.fail("it was here already")


def test_what_is_here_is_not_read_again():
    shelf = Shelf()
    one = shelf.take("a", lambda: b"aaa")
    assert shelf.take("a", never) is one
    assert (one.data, one.etag) == (b"aaa", '"a"')


def test_the_one_that_was_not_read_for_longest_goes():
    shelf = Shelf(room=6)
    for name in "abac":
        shelf.take(name, lambda: b"123")
    gc.collect()
    shelf.take("a", never)
    shelf.take("c", never)
    assert shelf.take("b", lambda: b"again").data == b"again"


def test_what_somebody_still_reads_is_not_read_again():
    shelf = Shelf(room=3)
    reader = shelf.take("a", lambda: b"123")
    shelf.take("b", lambda: b"123")
    assert shelf.take("a", never) is reader
    del reader
    shelf.take("b", lambda: b"123")
    gc.collect()
    assert shelf.take("a", lambda: b"again").data == b"again"


def test_firmware_larger_than_the_room_is_handed_out_and_not_kept():
    shelf = Shelf(room=3)
    assert shelf.take("a", lambda: b"1234").data == b"1234"
    gc.collect()
    assert shelf.take("a", lambda: b"again").data == b"again"


def test_what_cannot_be_read_leaves_nothing_behind():
    def fails() -> bytes:
        raise OSError("disk")

    shelf = Shelf()
    with pytest.raises(OSError, match="disk"):
        shelf.take("a", fails)
    assert shelf.take("a", lambda: b"1").data == b"1"


@given(st.integers(0, 20), st.lists(st.integers(0, 9)))
def test_never_more_than_there_is_room_for(room, numbers):
    shelf = Shelf(room)
    for number in numbers:
        assert len(shelf.take(str(number), lambda size=number: bytes(size)).data) == number
        assert sum(len(each.data) for each in shelf._kept.values()) == shelf._size <= room
