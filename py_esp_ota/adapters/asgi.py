"""HTTP without sockets: a request straight into an ASGI app, under virtual time as well.

An HTTP library's in-process transport lets the app finish before it returns anything. Here the body comes while the app
still sends it, so that a stalled or broken response looks as it does over a socket.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urlsplit

from py_esp_ota.adapters.body import TIMEOUT, Body, BodyResponse, Piece, lower_headers, request_headers
from py_esp_ota.errors import FetchError
from py_esp_ota.ports import Response

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]], Awaitable[None]
]

_log = logging.getLogger(__name__)
_NO_BODY = {204, 304}


class AsgiFetch:
    """``Fetch`` that calls an app of this process. Its lifespan is the caller's business.

    Args:
        app: the ASGI app that answers.
        origin: the app's ``scheme://host[:port]``; nobody answers elsewhere. Everywhere, when not given.
        timeout: seconds to wait for the header and for each read.
    """

    def __init__(self, app: AsgiApp, *, origin: str | None = None, timeout: float = TIMEOUT) -> None:
        self._app = app
        self._origin = origin
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        """Nothing to open; so that it stands where ``HttpFetch`` stands."""
        return self

    async def __aexit__(self, *_raised: object) -> None:
        """Nothing to close: each response closes itself."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        """Send the request while the context is entered."""
        return self._exchange(url, headers)

    @asynccontextmanager
    async def _exchange(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        parts = _split(url)
        if self._origin is not None and f"{parts.scheme}://{parts.netloc}" != self._origin:
            raise FetchError("connect", f"nobody listens at {parts.scheme}://{parts.netloc}", errno.ECONNREFUSED)
        exchange = _Exchange(_scope(parts, headers), Body(self._timeout))
        task = asyncio.create_task(exchange.run(self._app), name=f"HTTP {parts.path}")
        try:
            await asyncio.sleep(0)
            if not exchange.started.is_set():  # an app that has nothing to wait for has begun to answer
                try:
                    async with asyncio.timeout(self._timeout):
                        await exchange.started.wait()
                except TimeoutError:
                    raise FetchError("timeout", f"no response header came for {self._timeout:g} s") from None
            if exchange.response is None:
                raise FetchError("closed", "the app ended without a response")
            yield exchange.response
        finally:
            exchange.gone.set()
            task.cancel()
            await asyncio.wait([task])


@lru_cache(64)  # a fleet asks for one image
def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.netloc.encode("ascii")
        _ = parts.port  # raises for a port that is no number
    except ValueError as error:
        raise FetchError("connect", f"{url!r} is no URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.netloc.isprintable():
        raise FetchError("connect", f"{url!r} is no http or https URL")
    return parts


def _scope(parts: SplitResult, headers: Mapping[str, str]) -> AsgiMessage:
    path = parts.path or "/"
    method, given = request_headers(headers)
    sent = {"Host": parts.netloc.rpartition("@")[2], **given}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": parts.scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)),
        "state": {},
    }


class _Exchange:
    """One request and its response, as the app and as the client see them."""

    def __init__(self, scope: AsgiMessage, body: Body) -> None:
        self.started = asyncio.Event()
        self.gone = asyncio.Event()  # the client
        self.response: BodyResponse | None = None
        self._scope = scope
        self._body = body
        self._asked = False
        self._left: int | None = None  # bytes promised by Content-Length and not yet sent

    async def run(self, app: AsgiApp) -> None:
        """The server's side: whatever the app does, the client sees a response and its end."""
        try:
            await app(self._scope, self._receive, self._send)
        except Exception:  # noqa: BLE001 - a server outlives its app's mistakes
            _log.exception("the app failed at %s %s", self._scope["method"], self._scope["path"])
            if self.response is None:
                await self._fail()
            self._body.end(FetchError("closed", "the server failed while it was sending"))
        else:
            if self.response is None:
                await self._fail()
            self._end()
        finally:
            self.started.set()

    async def _fail(self) -> None:
        text = b"Internal Server Error"
        length = str(len(text)).encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length)]
        await self._send({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send({"type": "http.response.body", "body": text})

    async def _receive(self) -> AsgiMessage:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self._start(message["status"], lower_headers(list(message.get("headers", []))))
        elif message["type"] == "http.response.body":
            chunk: Piece = message.get("body", b"")  # of an image that thousands fetch, a view
            if self._left is not None:
                chunk = chunk[: self._left]  # surplus is not body
                self._left -= len(chunk)
            await self._body.put(chunk)
            if not message.get("more_body", False):
                self._end()

    def _start(self, status: int, headers: dict[str, str]) -> None:
        if status in _NO_BODY or self._scope["method"] == "HEAD":
            self._left = 0
        elif "content-length" in headers:
            self._left = int(headers["content-length"])
        else:
            headers["transfer-encoding"] = "chunked"  # what an HTTP/1.1 server does with a body of unknown length
        self.response = BodyResponse(status, headers, self._body)
        self.started.set()

    def _end(self) -> None:
        short = FetchError("closed", f"the connection was closed {self._left} bytes early") if self._left else None
        self._body.end(short)
