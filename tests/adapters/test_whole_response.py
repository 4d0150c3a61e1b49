"""A body that has come already, and the part of it that was asked for."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota.adapters.body import WholeResponse

DATA = bytes(range(100))


@pytest.mark.parametrize(
    ("asked", "status", "part", "says"),
    [
        ("", 200, DATA, None),
        ("pages=1-2", 200, DATA, None),
        ("bytes=10-19", 206, DATA[10:20], "bytes 10-19/100"),
        ("bytes=90-", 206, DATA[90:], "bytes 90-99/100"),
        ("bytes=90-500", 206, DATA[90:], "bytes 90-99/100"),
        ("bytes=100-", 416, b"", None),
    ],
)
def test_the_part_that_was_asked_for(asked, status, part, says):
    response = WholeResponse(DATA, asked)
    assert (response.status, response.headers.get("content-range")) == (status, says)
    assert response.headers["content-length"] == str(len(part))

    async def pieces():
        return [piece async for piece in _read(response)]

    assert b"".join(asyncio.run(pieces())) == part


async def _read(response):
    while piece := await response.read(7):
        assert len(piece) <= 7
        yield piece
