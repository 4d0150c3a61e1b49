"""MQTT over real sockets: QoS 1, clean sessions, keep-alive 120 s, as RainMaker nodes connect; and sessions."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from py_esp_ota.adapters.certificates import CertificateFiles
from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.adapters.mqtt_connection import Connection
from py_esp_ota.adapters.mqtt_link import Link
from py_esp_ota.adapters.mqtt_session import open_session
from py_esp_ota.adapters.topics import check_client_id
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, Mqtt, MqttSession

KEEP_ALIVE = 120  # seconds: ESP_RMAKER_MQTT_KEEP_ALIVE_INTERVAL

_LOOK = 5.0  # seconds at most between two looks whether the keep-alive is due, for each of a thousand clients


class TcpMqtt:
    """``MqttConnect`` to a broker; its method ``session`` is ``MqttSessionConnect``.

    Args:
        host: the broker's address; with TLS its certificate must carry it.
        port: the broker's port.
        tls: gives the TLS context for a client id, which decides who the client is; no TLS when not given.
        timeout: seconds for connecting and for each answer of the broker.
        dollar_topics: whether the broker delivers topics that begin with ``$``; else publishing to them is refused.
        password: gives the password of a client id, whose user name is the id too; no password when not given.
        username: the user name of a client without a password; none when not given.
        keep_alive: seconds.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: Callable[[str], ssl.SSLContext] | None = None,
        timeout: float = 10.0,
        dollar_topics: bool = True,
        password: Callable[[str], str | None] | None = None,
        username: str | None = None,
        keep_alive: int = KEEP_ALIVE,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout = timeout
        self._dollar_topics = dollar_topics
        self._password = password or (lambda _client_id: None)
        self._username = username
        self._keep_alive = keep_alive

    def __call__(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        """Connect as ``client_id`` while the context is entered."""
        return self._clean_session(client_id, will)

    def session(self, client_id: str) -> AbstractAsyncContextManager[MqttSession]:
        """Take up the session of ``client_id`` while the context is entered."""
        check_client_id(client_id)
        return open_session(
            self._host,
            self._port,
            client_id,
            tls=self._tls,
            password=self._password(client_id),
            patience=self._timeout,
            keep_alive=self._keep_alive,
            dollar_topics=self._dollar_topics,
        )

    @asynccontextmanager
    async def _clean_session(self, client_id: str, will: Message | None) -> AsyncIterator[Mqtt]:
        check_client_id(client_id)
        link = _Link(self._keep_alive)
        try:
            await self._connect(link, client_id, will)
            yield Connection(link, self._timeout, dollar_topics=self._dollar_topics)
        except BaseException:
            if will is not None:
                link.cut()
            raise
        finally:
            await link.close()

    async def _connect(self, link: _Link, client_id: str, will: Message | None) -> None:
        """Raises ``MqttError``: also when the certificate cannot be read."""
        try:
            client = self._client(client_id, will)
            async with asyncio.timeout(self._timeout):
                await link.connect(client, self._host, self._port, self._keep_alive)
        except (OSError, MqttError) as error:  # a time-out is the former, and says nothing
            raise MqttError(f"no connection to {self._host}:{self._port}: {str(error) or 'timed out'}") from error

    def _client(self, client_id: str, will: Message | None) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv311, reconnect_on_failure=False)
        client.connect_timeout = self._timeout
        password = self._password(client_id)
        if password is not None or self._username is not None:
            client.username_pw_set(self._username if password is None else client_id, password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1)
        if self._tls is not None:
            client.tls_set_context(self._tls(client_id))
        return client


class _Link(Link):
    """The connection of a clean session: what has come waits for whoever iterates."""

    def __init__(self, keep_alive: int) -> None:
        super().__init__(look=min(keep_alive / 4, _LOOK))
        self.inbox = Inbox()

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:  # noqa: ARG002
        """The library has no way to send a message again: with ``dup`` it has a number of its own, and no such flag."""
        await super().publish(topic, payload)

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        super().lose(why)
        self.inbox.lose(why)

    def cut(self) -> None:
        """Be gone without a farewell, so that the broker publishes the will."""
        sock = self._client.socket() if self._client else None
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.lose("cut")

    def _receive(self, _number: int, message: Message) -> None:
        self.inbox.put(message)


def client_context(ca_file: Path | None, client: CertificateFiles) -> ssl.SSLContext:
    """TLS as a node speaks it: trust one authority (or the system's), check the host name, show the certificate."""
    context = ssl.create_default_context(cafile=ca_file)
    context.load_cert_chain(client.cert, client.key)
    context.sslsocket_class = _TidySocket
    return context


class _TidySocket(ssl.SSLSocket):
    """A socket that closes itself when the handshake fails; the client library would leave it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise
