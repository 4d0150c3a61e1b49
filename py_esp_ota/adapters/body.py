"""A response body on its way: one side puts chunks of any size, the other reads exact amounts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from py_esp_ota.errors import FetchError
from py_esp_ota.ports import METHOD

USER_AGENT = "ESP32 HTTP Client/1.0"  # esp_http_client's own
TIMEOUT = 5.0  # seconds, for each step: connect, send, each read

Piece = bytes | memoryview
"""Of a body: a view is of bytes that nobody changes."""

_WINDOW = 65536  # bytes that may wait for the reader, as in a socket's buffers
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
_BYTES = "bytes="


class Body:
    """The pipe between the two sides.

    Args:
        timeout: seconds a read waits for the next chunk.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._chunks: deque[Piece] = deque()
        self._position = 0  # within the first chunk
        self._waiting = 0  # bytes not yet read
        self._window = _WINDOW
        self._ended = False
        self._error: Exception | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    async def put(self, chunk: Piece) -> None:
        """Add a chunk; waits while the reader is far behind."""
        if chunk:
            self._chunks.append(chunk)
            self._waiting += len(chunk)
            self._readable.set()
        while self._waiting >= self._window:
            self._writable.clear()
            await self._writable.wait()

    def end(self, error: Exception | None = None) -> None:
        """No chunk follows. An error is raised once the reader has had every byte before it."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._readable.set()

    async def read(self, limit: int) -> bytes:
        """Exactly ``limit`` bytes unless the body ends; ``b""`` at its clean end.

        A time-out loses nothing: the bytes that came before it are part of the next read.
        """
        self._open_window(max(_WINDOW, limit))
        while self._waiting < limit and not self._ended:
            self._readable.clear()
            try:
                async with asyncio.timeout(self._timeout):
                    await self._readable.wait()
            except TimeoutError:
                raise FetchError("timeout", f"no byte came for {self._timeout:g} s") from None
        if limit > 0 and self._error and not self._waiting:
            raise self._error
        return self._take(min(limit, self._waiting))

    def _open_window(self, size: int) -> None:
        self._window = size
        if self._waiting < size:
            self._writable.set()

    def _take(self, size: int) -> bytes:
        parts = []
        left = size
        while left:
            chunk, start = self._chunks[0], self._position
            part = chunk[start : start + left]
            parts.append(part)
            left -= len(part)
            self._position = start + len(part)
            if self._position == len(chunk):
                self._chunks.popleft()
                self._position = 0
        self._waiting -= size
        self._open_window(_WINDOW)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)


@dataclass(slots=True)
class BodyResponse:
    """``Response``: status and headers, and a body that is still on its way."""

    status: int
    headers: Mapping[str, str]
    body: Body

    async def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes of the body, exactly ``limit`` unless it ends."""
        return await self.body.read(limit)


class WholeResponse:
    """``Response``: the whole body has come already, or the part of it that was asked for.

    Args:
        body: bytes of all of it.
        asked: what the request's ``Range`` says, one range with a first byte; nothing is asked for otherwise.
    """

    def __init__(self, body: bytes, asked: str = "") -> None:
        size, part, self.status = len(body), range(len(body)), _OK
        if asked.startswith(_BYTES):
            first, _, last = asked.removeprefix(_BYTES).partition("-")
            part = range(int(first), min(int(last) + 1, size) if last else size)
            self.status = _PARTIAL if part else _NOT_SATISFIABLE
        self.headers: Mapping[str, str] = {"content-length": str(len(part))}
        if self.status == _PARTIAL:
            self.headers = {**self.headers, "content-range": f"bytes {part.start}-{part.stop - 1}/{size}"}
        self._body = body[part.start : part.stop]
        self._at = 0

    async def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes of the body, exactly ``limit`` unless it ends."""
        piece = self._body[self._at : self._at + limit]
        self._at += len(piece)
        return piece


def lower_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header lines as a mapping: names in lower case, repeated ones joined by a comma."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def request_headers(headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The method, and what the request carries: the caller's headers, and the client's name unless they have one."""
    sent = {name: value for name, value in headers.items() if name != METHOD}
    if not any(name.lower() == "user-agent" for name in sent):
        sent = {"User-Agent": USER_AGENT, **sent}
    return headers.get(METHOD, "GET"), sent
