"""MQTT over real sockets for thousands of nodes in one process: QoS 1, clean sessions, nothing but what a node needs.

``TcpMqtt`` is the field's own client and knows sessions, too; this one costs a fraction of it for each connection.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

from py_esp_ota.adapters import mqtt_packets as packets
from py_esp_ota.adapters.crowd_link import CrowdLink
from py_esp_ota.adapters.crowd_tls import Handshakes
from py_esp_ota.adapters.line import Line
from py_esp_ota.adapters.mqtt import KEEP_ALIVE
from py_esp_ota.adapters.mqtt_connection import Connection
from py_esp_ota.adapters.ping_wheel import PingWheel
from py_esp_ota.adapters.topics import check_client_id
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, Mqtt

#: Connections from one address. Linux gives them even ports first, 14,116 of them, and looks through all of these for
#: each connection after that: a millisecond and a half.
_PORTS = 14_000


class CrowdMqtt:
    """``MqttConnect`` to a broker, for a crowd on one event loop.

    Args:
        host: the broker's address; with TLS its certificate must carry it.
        port: the broker's port.
        tls: gives the TLS context for a client id, which is used at once (``CrowdContexts``); no TLS when not given.
        resume: whether a client that comes back goes on from its last TLS session; chips do not by themselves.
        timeout: seconds for connecting and for each answer of the broker.
        turns: how many connect at a time; the others wait, and their time begins when it is their turn.
        dollar_topics: whether the broker delivers topics that begin with ``$``; else publishing to them is refused.
        password: gives the password of a client id, whose user name is the id too; no password when not given.
        username: gives the user name of a client without a password, ``None`` for none; none when not given.
        keep_alive: seconds, or what gives those of a client id; 0 for none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: Callable[[str], ssl.SSLContext] | None = None,
        resume: bool = False,
        timeout: float = 10.0,
        turns: int = 64,
        dollar_topics: bool = True,
        password: Callable[[str], str | None] | None = None,
        username: Callable[[str], str | None] | None = None,
        keep_alive: int | Callable[[str], int] = KEEP_ALIVE,
    ) -> None:
        self.handshakes = None if tls is None else Handshakes(tls, resume=resume)
        self._host = host
        self._port = port
        self._timeout = timeout
        self._turns = asyncio.Semaphore(turns)
        self._dollar_topics = dollar_topics
        self._password = password or (lambda _client_id: None)
        self._username = username or (lambda _client_id: None)
        self._keep_alive = keep_alive if callable(keep_alive) else (lambda _client_id: keep_alive)
        self._wheel = PingWheel()
        self._opened = 0

    def __call__(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        """Connect as ``client_id`` while the context is entered."""
        return self._clean_session(client_id, will)

    @asynccontextmanager
    async def _clean_session(self, client_id: str, will: Message | None) -> AsyncIterator[Mqtt]:
        check_client_id(client_id)
        link = await self._connected(client_id, will)
        if keep_alive := self._keep_alive(client_id):
            self._wheel.join(link, asyncio.get_running_loop().time() + keep_alive / 2)
        farewell = True
        try:
            yield Connection(link, self._timeout, dollar_topics=self._dollar_topics)
        except BaseException:
            farewell = will is None
            raise
        finally:
            await link.close(farewell=farewell)

    async def _connected(self, client_id: str, will: Message | None) -> CrowdLink:
        """Raises ``MqttError``: also when the certificate cannot be read."""
        try:
            hello = self._hello(client_id, will)
            async with self._turns, asyncio.timeout(self._timeout):
                return await self._open(client_id, hello)
        except (OSError, ValueError, MqttError) as error:
            raise MqttError(f"no connection to {self._host}:{self._port}: {_why(error)}") from error

    def _hello(self, client_id: str, will: Message | None) -> bytes:
        password = self._password(client_id)
        username = self._username(client_id) if password is None else client_id
        return packets.connect(client_id, self._keep_alive(client_id), will, username, password)

    async def _open(self, client_id: str, hello: bytes) -> CrowdLink:
        wrap = self.handshakes.wrap(client_id) if self.handshakes else None
        sock = (await Line.open(self._host, self._port, wrap, source=self._source())).take()
        link = CrowdLink(sock, self._keep_alive(client_id), self._wheel.leave)
        try:
            await link.open(hello)
        except BaseException:
            await link.close(farewell=False)
            raise
        if self.handshakes:
            self.handshakes.done(client_id, cast("ssl.SSLSocket", sock))
        return link

    def _source(self) -> str | None:
        """On loopback, all of which is ours, the next address when the ports of one become dear."""
        turn, self._opened = self._opened // _PORTS % 250, self._opened + 1
        return f"127.0.0.{1 + turn}" if turn and self._host == "127.0.0.1" and sys.platform == "linux" else None


def _why(error: Exception) -> str:
    """Asyncio has words of its own for what the system refuses, and none for a time-out."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or "timed out"
