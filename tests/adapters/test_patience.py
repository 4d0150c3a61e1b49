"""Clients that never come to an end: each is told or cut off, and nobody else is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from broker_bench import run_real

from py_esp_ota.adapters import http, patience
from py_esp_ota.adapters.http import serve

pytestmark = pytest.mark.sockets
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(patience, "HEADER_S", 0.4)
    monkeypatch.setattr(patience, "BODY_S", 0.4)
    monkeypatch.setattr(patience, "BODY_RATE", 64 << 10)


async def echo(scope, receive, send):
    """Reads the whole body and says how long it was; ``/refuse`` does not read it, ``/stream`` does not end."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
        return
    size, more = 0, scope["path"] != "/refuse"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(8 if scope["path"] == "/stream" else 0):
        await send({"type": "http.response.body", "body": b"tick ", "more_body": True})
        await asyncio.sleep(0.15)
    await send({"type": "http.response.body", "body": b"%d bytes" % size})


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serve(echo) as url, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        try:
            yield reader, writer
        finally:
            writer.close()


def answer_to(*pieces: bytes, pause: float = 0.0) -> bytes:
    """All that the server says until it closes, to pieces that come one by one and then to silence."""

    async def story() -> bytes:
        async with connection() as (reader, writer):
            answer = asyncio.create_task(reader.read(-1))
            for piece in pieces:
                if answer.done():
                    break
                writer.write(piece)
                await asyncio.sleep(pause)
            try:
                return await answer
            except ConnectionResetError:
                return b"reset"

    return run_real(story())


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [((b"GET / HTTP/1.1\r\nHost:",), 0.0), ([bytes([byte]) for byte in b"GET / HTTP/1.1\r\nHost: xxxxxxxxxxx"], 0.05)],
    ids=["stalled", "dripping"],
)
def test_a_header_that_does_not_come_is_408(caplog, pieces, pause):
    answer = answer_to(*pieces, pause=pause)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The header of the request took too long." in answer
    assert caplog.records == []


def test_a_connection_in_reserve_is_closed_without_a_word():
    assert answer_to() == b""


def test_a_second_header_that_does_not_come_is_408():
    answer = answer_to(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT", pause=0.1)
    assert answer.index(b"0 bytes") < answer.index(b"408")


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [((POST % 100, b"x"), 0.0), ((POST % 100, *[b"x"] * 40), 0.05)],
    ids=["stalled", "dripping"],
)
def test_a_body_that_does_not_come_is_408(caplog, pieces, pause):
    answer = answer_to(*pieces, pause=pause)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The body of the request took too long." in answer
    assert b"200" not in answer
    assert caplog.records == []


def test_a_chunked_body_that_does_not_end_is_408():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_to(head, *[b"1\r\nx\r\n"] * 40, pause=0.05).startswith(b"HTTP/1.1 408 ")


def test_who_was_answered_and_goes_on_sending_is_cut_off(caplog):
    answer = answer_to(POST.replace(b"/ ", b"/refuse ", 1) % 100, *[b"x"] * 40, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 200 ") or answer == b"reset"
    assert caplog.records == []


def test_a_long_body_that_gets_on_is_taken():
    pieces = [b"x" * 20_000] * 10  # for a second, which is longer than any limit here
    answer = answer_to(POST % 200_000, *pieces, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", pause=0.1)
    assert b"200000 bytes" in answer
    assert answer.count(b"HTTP/1.1 200 ") == 2


def test_a_long_response_is_none_of_its_business():
    answer = answer_to(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.count(b"tick ") == 8


def test_requests_one_behind_the_other_are_all_answered():
    one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = answer_to(one * 3 + POST % 3, b"abc" + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"0 bytes") == 4
    assert answer.count(b"3 bytes") == 1


def test_too_many_at_once_are_told(monkeypatch, caplog):
    monkeypatch.setattr(http, "CONNECTIONS", 3)
    caplog.set_level(logging.ERROR)

    async def story() -> bytes:
        async with serve(echo) as url, asyncio.timeout(10):
            port = urlsplit(url).port
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await reader.read(-1)
            for _, each in [*idle, (reader, writer)]:
                each.close()
            return answer

    assert run_real(story()).startswith(b"HTTP/1.1 503 ")
    assert caplog.records == []
