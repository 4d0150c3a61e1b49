"""Firmware in memory: how much of it, and for how long."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cloud.shelf import Shelf


def never() -> bytes:
    pytest.fail("it was here already")


def test_the_same_bytes_are_there_once_under_every_name():
    shelf = Shelf()
    one = shelf.take("one", "a", lambda: b"aaa")
    assert shelf.take("two", "a", never) is one
    assert shelf.find("one") is shelf.find("two") is one
    assert one.etag == '"a"'


def test_nobody_else_is_found():
    shelf = Shelf()
    shelf.take("one", "a", lambda: b"aaa")
    assert shelf.find("two") is None
    shelf.forget("one")
    shelf.forget("never there")
    assert shelf.find("one") is None


def test_the_one_that_was_not_read_for_longest_goes():
    shelf = Shelf(room=6)
    for name in "ab":
        shelf.take(name, name, lambda: b"123")
    shelf.find("a")
    shelf.take("c", "c", lambda: b"123")
    gc.collect()
    assert [name for name in "abc" if shelf.find(name)] == ["a", "c"]


def test_what_somebody_still_reads_is_not_read_again():
    shelf = Shelf(room=3)
    read = shelf.take("a", "a", lambda: b"123")
    shelf.take("b", "b", lambda: b"123")
    assert shelf.find("a") is read
    del read
    shelf.take("b", "b", lambda: b"123")
    gc.collect()
    assert shelf.find("a") is None


def test_an_image_larger_than_the_room_is_handed_out_and_not_kept():
    shelf = Shelf(room=3)
    assert shelf.take("a", "a", lambda: b"1234").data == b"1234"
    gc.collect()
    assert shelf.find("a") is None


def test_what_cannot_be_read_leaves_nothing_behind():
    shelf = Shelf()
    with pytest.raises(OSError, match="disk"):
        shelf.take("a", "a", lambda: (_ for _ in ()).throw(OSError("disk")))
    assert shelf.find("a") is None
    assert shelf.take("a", "a", lambda: b"1").data == b"1"


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_never_more_than_there_is_room_for(room, steps):
    shelf = Shelf(room)
    for number, forget in steps:
        if forget:
            shelf.forget(str(number))
        elif shelf.find(str(number)) is None:
            assert len(shelf.take(str(number), str(number), lambda size=number: bytes(size)).data) == number
        assert sum(len(each.data) for each in shelf._kept.values()) == shelf._size <= room
