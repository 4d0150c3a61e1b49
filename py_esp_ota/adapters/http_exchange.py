"""One HTTP/1.1 exchange on a connection of its own: h11 says what the bytes mean.

A client library's pool of connections, of which none is ever used again, would cost more than the download.
"""

from __future__ import annotations

import ssl
from typing import Self

import h11
import httpx2

from py_esp_ota.adapters.body import Body
from py_esp_ota.adapters.line import Line, wrapped_by

_READ = 65536  # bytes at a time
_HEADER_LIMIT = 100 * 1024  # bytes
_PORTS = {"http": 80, "https": 443}


class Exchange:
    """A connection, one request on it, and its response.

    Args:
        line: to the server.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADER_LIMIT)

    @classmethod
    async def connect(cls, url: httpx2.URL, tls: ssl.SSLContext) -> Self:
        """Connect to the URL's host, with TLS if it says so. Raises ``OSError``, ``ValueError``."""
        if url.scheme not in _PORTS or not url.host:
            raise ValueError(f"{str(url)!r} is no http or https URL")
        secure = wrapped_by(tls) if url.scheme == "https" else None
        return cls(await Line.open(url.host, url.port or _PORTS[url.scheme], secure))

    def check(self, request: httpx2.Request) -> bytes:
        """The request as it is sent. Raises ``h11.LocalProtocolError`` when it is none."""
        method, target = request.method, request.url.raw_path
        head = self._http.send(h11.Request(method=method, target=target, headers=request.headers.raw))
        return (head or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    async def send(self, request: bytes) -> None:
        """Send all of it. Raises ``OSError``."""
        await self._line.send(request)

    async def answer(self) -> h11.Response:
        """Status and headers. Raises ``OSError``, ``h11.RemoteProtocolError``."""
        while not isinstance(event := await self._event(), h11.Response):
            pass  # an interim response, as 100 Continue
        return event

    async def receive(self, body: Body) -> None:
        """The body, as fast as its reader's window allows. Raises ``OSError``, ``h11.RemoteProtocolError``."""
        while isinstance(event := await self._event(), h11.Data):
            await body.put(bytes(event.data))

    def close(self) -> None:
        """Close the connection, whatever the server still sends."""
        self._line.close()

    async def _event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._line.receive(_READ))
        return event
