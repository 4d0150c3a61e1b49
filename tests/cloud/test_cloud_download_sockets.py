"""Firmware over real sockets, plain and TLS: many at once, resumed, on one connection, and broken off."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.http import HttpFetch, serve
from py_esp_ota.cloud.api.download import PIECE
from py_esp_ota.firmware import Firmware

pytestmark = pytest.mark.sockets
IMAGE = Firmware("lamp", "1.1.0", size=1 << 20).to_bytes()
AT_ONCE = 40  # ``make bench`` takes 500

Story = Callable[["Server"], Coroutine[Any, Any, Any]]


class Server:
    """One cloud with one image; ``path`` is the link to it."""

    def __init__(self, base: str, path: str, trust: ssl.SSLContext | None, fetch: HttpFetch) -> None:
        self.url = base + path
        self.path = path
        self.fetch = fetch
        self._port = urlsplit(base).port
        self._trust = trust

    @asynccontextmanager
    async def line(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._trust)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    def request(self, method: str = "GET", *headers: str) -> bytes:
        return "\r\n".join([f"{method} {self.path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()

    async def download(self, **headers: str) -> tuple[int, bytes]:
        async with self.fetch(self.url, headers) as response:
            got = bytearray()
            while piece := await response.read(PIECE):
                got += piece
            return response.status, bytes(got)


@pytest.fixture(params=["http", "https"])
def over(request, bench, tmp_path) -> Callable[[Story], Any]:
    path = urlsplit(bench.service.images.url(bench.service.images.add("fw", IMAGE).ota_image_id))

    async def run(story: Story) -> Any:
        ca = LocalCa(tmp_path)
        files = ca.server() if request.param == "https" else None
        both = {"certfile": files.cert, "keyfile": files.key} if files else {}
        async with serve(bench.app, **both) as base, HttpFetch(ca.ca_file) as fetch, asyncio.timeout(60):
            trust = fetch.ssl_context if files else None
            return await story(Server(base, f"{path.path}?{path.query}", trust, fetch))

    return lambda story: asyncio.run(run(story))


def test_many_at_once_get_the_whole_image(over, caplog):
    async def story(server):
        return await asyncio.gather(*(server.download() for _ in range(AT_ONCE)))

    assert all(answer == (200, IMAGE) for answer in over(story))
    assert caplog.records == []


def test_a_download_that_broke_off_is_resumed(over, caplog):
    async def story(server):
        async with server.fetch(server.url, {}) as response:
            begin = await response.read(300_000)
            etag = response.headers["etag"]
        status, rest = await server.download(**{"Range": f"bytes={len(begin)}-", "If-Range": etag})
        return status, begin + rest

    assert over(story) == (206, IMAGE)
    assert caplog.records == []


def test_answers_follow_each_other_on_one_connection(over):
    async def story(server):
        async with server.line() as (reader, writer):
            heads = []
            for method, headers, size in [
                ("HEAD", [], 0),
                ("GET", ["If-None-Match: *"], 0),
                ("GET", ['If-Match: "x"'], 0),
                ("GET", [f"Range: bytes={len(IMAGE)}-"], 0),
                ("GET", ["Range: bytes=5-8"], 4),
                ("GET", [], len(IMAGE)),
            ]:
                writer.write(server.request(method, *headers))
                heads.append(int((await reader.readuntil(b"\r\n\r\n")).split()[1]))
                body = await reader.readexactly(size)
            return heads, body

    statuses, last = over(story)
    assert statuses == [200, 304, 412, 416, 206, 200]
    assert last == IMAGE


def test_requests_sent_ahead_are_answered_in_order(over):
    async def story(server):
        async with server.line() as (reader, writer):
            writer.write(server.request("GET", "Range: bytes=0-9") * 2 + server.request("GET", "Connection: close"))
            return await reader.read(-1)

    answer = over(story)
    assert answer.count(b"HTTP/1.1 206 ") == 2
    assert answer.endswith(IMAGE)


def test_the_image_may_go_while_it_is_downloaded(over, bench):
    async def story(server):
        async with server.line() as (reader, writer):
            writer.write(server.request())
            await reader.readuntil(b"\r\n\r\n")
            bench.service.images.delete(bench.service.images.find().items[0].ota_image_id)
            body = await reader.readexactly(len(IMAGE))
        return body, (await server.download())[0]

    assert over(story) == (IMAGE, 404)
