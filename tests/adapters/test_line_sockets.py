"""A connection that the event loop watches, below downloads."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager

import pytest
from broker_bench import run_real

from py_esp_ota.adapters.line import Line
from py_esp_ota.adapters.mosquitto import free_port

pytestmark = pytest.mark.sockets


@asynccontextmanager
async def server(talk):
    """For one visitor, whom it sees leave."""
    left = asyncio.Event()

    async def visited(reader, writer):
        await talk(reader, writer)
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(visited, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
        await left.wait()


@pytest.fixture
def name_with(monkeypatch):
    """A name with these ports of loopback for its addresses."""

    def know(*ports):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

        async def getaddrinfo(*_asked, **_options):
            return found

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    return know


def test_a_names_next_address_is_tried_when_nobody_listens_at_one(name_with):
    async def greet(_reader, writer):
        writer.write(b"hello")

    async def story():
        async with server(greet) as port:
            name_with(free_port(), port)
            line = await Line.open("cloud.test", 1, None)
            try:
                return await line.receive(10)
            finally:
                line.close()

    assert run_real(story()) == b"hello"


def test_the_last_address_says_why_when_nobody_listens_at_any(name_with):
    name_with(free_port(), free_port())
    with pytest.raises(OSError, match="Connect call failed") as caught:
        run_real(Line.open("cloud.test", 1, None))
    assert caught.value.errno == errno.ECONNREFUSED


def test_what_the_other_side_is_slow_to_take_goes_out_whole():
    got = bytearray()
    data = bytes(range(256)) * 40_000  # more than the sockets' buffers hold

    async def take(reader, _writer):
        await asyncio.sleep(0.1)
        while part := await reader.read(1 << 20):
            got.extend(part)

    async def story():
        async with server(take) as port:
            line = await Line.open("127.0.0.1", port, None)
            await line.send(data)
            line.close()

    run_real(story())
    assert got == data


def test_whoever_stops_waiting_leaves_nothing_behind():
    async def silent(reader, _writer):
        await reader.read()

    async def story():
        async with server(silent) as port:
            line = await Line.open("127.0.0.1", port, None)
            waiting = asyncio.create_task(line.receive(10))
            await asyncio.sleep(0.05)
            number = line._socket.fileno()
            waiting.cancel()
            await asyncio.wait([waiting])
            watched = asyncio.get_running_loop().remove_reader(number)
            line.close()
            return watched

    assert run_real(story()) is False
