"""A file server for tests, over the ``Fetch`` door: ranges, HEAD, chunks, redirects, a line that breaks or crawls."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from doorkeeper import Doorkeeper

from py_esp_ota.errors import FetchError
from py_esp_ota.ports import METHOD

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Request:
    """One request as it came."""

    method: str
    url: str
    headers: dict[str, str]

    @property
    def range(self) -> str:
        return self.headers.get("Range", "")


@dataclass
class FileServer:
    """Files by path. Everything about it can be changed while it runs.

    Args:
        files: what is served.
        ranges: whether ``Range`` is honoured; else the whole file answers it.
        head: the status of a HEAD, 200 for the truth.
        chunked: without Content-Length, in chunks.
        keep_alive: else every response says ``Connection: close``.
        redirects: from URL to Location, with status 301.
        breaks: the connection is lost after so many body bytes, request by request; ``None`` is a good one.
        pace: seconds between two reads.
        doorkeeper: who may fetch; a 401 for all others. A redirect is for everybody.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    head: int = 200
    chunked: bool = False
    keep_alive: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    breaks: list[int | None] = field(default_factory=list)
    pace: float = 0.0
    doorkeeper: Doorkeeper | None = None
    spoil: Callable[[Request, Reply], None] | None = None
    requests: list[Request] = field(default_factory=list)
    open: int = 0

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Reply]:
        sent = {name: value for name, value in headers.items() if name != METHOD}
        request = Request(headers.get(METHOD, "GET"), url, sent)
        self.requests.append(request)
        reply = self._answer(request)
        if not self.keep_alive:
            reply.headers["connection"] = "close"
        if request.method == "HEAD":
            reply.body = b""
        elif self.breaks:
            reply.breaks_at = self.breaks.pop(0)
        if self.spoil is not None:
            self.spoil(request, reply)
        self.open += 1
        try:
            yield reply
        finally:
            self.open -= 1

    @property
    def asked(self) -> list[str]:
        """Method and range of each request."""
        return [f"{request.method} {request.range}".strip() for request in self.requests]

    def _answer(self, request: Request) -> Reply:
        if request.url in self.redirects:
            return self._reply(301, b"moved", location=self.redirects[request.url])
        keeper = self.doorkeeper
        allowed = request.headers.get("Authorization", "")
        if keeper is not None and not keeper.lets_in(request.method, request.url, allowed):
            return self._reply(401, b"who are you?", www_authenticate=keeper.challenge())
        data = self.files.get(urlsplit(request.url).path)
        if data is None:
            return self._reply(404, b"not found")
        if request.method == "HEAD" and self.head != 200:
            return self._reply(self.head, b"")
        asked = _RANGE.fullmatch(request.range) if self.ranges else None
        if asked is None:
            return self._reply(200, data)
        start, size = int(asked[1]), len(data)
        if start >= size:
            return self._reply(416, b"", content_range=f"bytes */{size}")
        stop = min(int(asked[2]) + 1, size) if asked[2] else size
        return self._reply(206, data[start:stop], content_range=f"bytes {start}-{stop - 1}/{size}")

    def _reply(self, status: int, body: bytes, **headers: str) -> Reply:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        length = {"transfer-encoding": "chunked"} if self.chunked else {"content-length": str(len(body))}
        return Reply(status, {**length, **said}, body, pace=self.pace)


@dataclass
class Reply:
    """One response on its way."""

    status: int
    headers: dict[str, str]
    body: bytes
    breaks_at: int | None = None
    pace: float = 0.0
    at: int = 0

    async def read(self, limit: int) -> bytes:
        if self.pace:
            await asyncio.sleep(self.pace)
        if self.breaks_at is not None and self.at + limit > self.breaks_at:
            limit = self.breaks_at - self.at
            if limit <= 0:
                raise FetchError("closed", "reset", 104)
        data = self.body[self.at : self.at + limit]
        self.at += len(data)
        return data
