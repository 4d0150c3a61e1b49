"""A TCP connection, with or without TLS, that the event loop watches: no transport and no buffers in between."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Self, TypeVar

_T = TypeVar("_T")

#: Makes a connected socket one with TLS, to the server of that name; the handshake comes later.
Wrap = Callable[[socket.socket, str], ssl.SSLSocket]


def wrapped_by(tls: ssl.SSLContext) -> Wrap:
    """A handshake of its own for each connection."""
    return lambda sock, host: tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)


_PORT_LATER = 24  # IP_BIND_ADDRESS_NO_PORT of Linux: the port is chosen when it is known where to


class Line:
    """One connection to a server."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    async def open(cls, host: str, port: int, wrap: Wrap | None, *, source: str | None = None) -> Self:
        """Connect to the first address of ``host`` that lets us, from ``source`` if it is said. Raises ``OSError``."""
        refused: OSError = ConnectionError(f"{host} has no address")
        for family, kind, protocol, _, address in await _addresses(host, port):
            line = cls(socket.socket(family, kind, protocol))
            try:
                line._socket.setblocking(False)
                line._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if source is not None:
                    line._socket.setsockopt(socket.IPPROTO_IP, _PORT_LATER, 1)
                    line._socket.bind((source, 0))
                await asyncio.get_running_loop().sock_connect(line._socket, address)
                if wrap is not None:
                    await line._secure(wrap, host)
            except OSError as error:
                line.close()
                refused = error
            except BaseException:
                line.close()
                raise
            else:
                return line
        raise refused

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises ``OSError``."""
        left = memoryview(data)
        while left:
            left = left[await self._now(lambda: self._socket.send(left), writes=True) :]  # noqa: B023 (called at once)

    async def receive(self, limit: int) -> bytes:
        """What has come, at most ``limit`` bytes; ``b""`` at the end. Raises ``OSError``."""
        return await self._now(lambda: self._socket.recv(limit))

    def close(self) -> None:
        """Close it, whatever the server still sends."""
        self._socket.close()

    def take(self) -> socket.socket:
        """The socket, for who watches and closes it from now on."""
        return self._socket

    async def _secure(self, wrap: Wrap, host: str) -> None:
        secured = wrap(self._socket, host)
        self._socket = secured
        await self._now(secured.do_handshake)

    async def _now(self, step: Callable[[], _T], *, writes: bool = False) -> _T:
        """What the step gives, as soon as it need not wait for the network. TLS may have to read before it writes."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._ready(writes=False)
            except ssl.SSLWantWriteError:
                await self._ready(writes=True)
            except BlockingIOError:
                await self._ready(writes=writes)

    async def _ready(self, *, writes: bool) -> None:
        loop, number = asyncio.get_running_loop(), self._socket.fileno()
        ready = loop.create_future()
        watch, leave = (loop.add_writer, loop.remove_writer) if writes else (loop.add_reader, loop.remove_reader)
        watch(number, _settle, ready)
        try:
            await ready
        finally:
            leave(number)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # whoever waited may have gone
        ready.set_result(None)


async def _addresses(host: str, port: int) -> list[Any]:
    """As ``getaddrinfo`` gives them; for an address it asks nobody, and needs no thread for it. Raises ``OSError``."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
