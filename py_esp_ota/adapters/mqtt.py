"""MQTT over real sockets: QoS 1, clean sessions, keep-alive 120 s, as RainMaker nodes connect; and sessions."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client

from py_esp_ota.adapters.certificates import CertificateFiles
from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.adapters.mqtt_session import open_session
from py_esp_ota.adapters.topics import check_client_id, check_filter, check_topic
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, Mqtt, MqttSession

KEEP_ALIVE = 120  # seconds: ESP_RMAKER_MQTT_KEEP_ALIVE_INTERVAL

_KEEP_ALIVE_LOOK_S = 5.0

# Whatever the client library would say is also raised. Not a registered logger: its level is nobody else's business.
_SILENT = logging.Logger("mqtt", logging.CRITICAL)  # noqa: LOG001


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
        link = _Link()
        holder = asyncio.create_task(self._hold(client_id, link, will), name=f"MQTT of {client_id}")
        try:
            client = await asyncio.shield(link.connected)
            yield _Connection(client, link, dollar_topics=self._dollar_topics)
        except BaseException:
            if will is not None and link.connected.done():
                link.connected.result().cut()
            raise
        finally:
            # Connecting runs in a thread that cannot be stopped: when we must go before it is done, it hangs up itself.
            link.leaving = True
            if link.connected.done():
                holder.cancel()
            await asyncio.wait([holder])

    async def _hold(self, client_id: str, link: _Link, will: Message | None) -> None:
        """Keep the connection and receive until it is lost or nobody needs it."""
        why = "disconnected"
        try:
            async with self._client(client_id, will) as client:
                if link.leaving:
                    return
                link.connected.set_result(client)
                async for message in client.messages:
                    payload = message.payload if isinstance(message.payload, bytes) else b""
                    link.inbox.put(Message(str(message.topic), payload))
        except (aiomqtt.MqttError, OSError) as error:  # OSError: its certificate cannot be read
            why = str(error.__cause__ or error)
        finally:
            link.inbox.lose(why)
            link.gone.set()
            if not link.connected.done() and not link.leaving:
                link.connected.set_exception(MqttError(f"no connection to {self._host}:{self._port}: {why}"))

    def _client(self, client_id: str, will: Message | None) -> _Client:
        password = self._password(client_id)
        return _Client(
            self._host,
            self._port,
            identifier=client_id,
            username=self._username if password is None else client_id,
            password=password,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            will=aiomqtt.Will(will.topic, will.payload, qos=1) if will else None,
            keepalive=self._keep_alive,
            timeout=self._timeout,
            logger=_SILENT,
            tls_context=self._tls(client_id) if self._tls else None,
        )


class _Client(aiomqtt.Client):
    """The library's client, which would keep its socket when the broker accepts it and then does not answer."""

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._client.disconnect()
            if self._misc_task is not None:  # runs as long as the socket is open
                await asyncio.wait([self._misc_task], timeout=1)
            raise

    def _on_disconnect(self, *words: Any) -> None:
        """As the library's, which waits for the answer of a broker that has hung up.

        TLS 1.3 refuses a client's certificate after the handshake.
        """
        super()._on_disconnect(*words)
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("the broker hung up"))
            self._connected.exception()  # perhaps nobody waits any more

    def cut(self) -> None:
        """Be gone without a farewell, so that the broker publishes the will."""
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    async def _misc_loop(self) -> None:
        """As the library's, which looks every second whether the keep-alive is due, for each of a thousand clients."""
        while self._client.loop_misc() == MQTT_ERR_SUCCESS:  # noqa: ASYNC110 (nobody tells when it is due)
            await asyncio.sleep(min(self._keepalive / 4, _KEEP_ALIVE_LOOK_S))

    def _on_socket_register_write(self, client: Client, _userdata: object, sock: Any) -> None:
        """As the library's, which would wait for a socket that was closed in the meantime, or for its number's next."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001 - whatever it is, the connection is broken
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(register)


class _Link:
    """What the task that holds the connection and the connection's owner share."""

    def __init__(self) -> None:
        self.connected: asyncio.Future[_Client] = asyncio.get_running_loop().create_future()
        self.leaving = False
        self.gone = asyncio.Event()
        self.inbox = Inbox()


class _Connection:
    """One connection; ``Mqtt`` as its owner sees it."""

    def __init__(self, client: aiomqtt.Client, link: _Link, *, dollar_topics: bool) -> None:
        self._client = client
        self._link = link
        self._dollar_topics = dollar_topics

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:  # noqa: ARG002
        """Publish at QoS 1, not retained; returns at the PUBACK, however long that takes.

        The library has no way to send a message again: with ``dup`` it has a number of its own, and no such flag.
        """
        check_topic(topic)
        if topic.startswith("$") and not self._dollar_topics:
            raise MqttError(f"this broker does not deliver {topic}: use plain topics (basic ingest off)")
        await self._answered(self._client.publish(topic, payload, qos=1, timeout=math.inf))

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; returns at the SUBACK."""
        check_filter(topic_filter)
        granted = await self._answered(self._client.subscribe(topic_filter, qos=1))
        if any(getattr(code, "value", code) >= 0x80 for code in granted):
            raise MqttError(f"the broker refused the subscription to {topic_filter}")

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; returns at the UNSUBACK."""
        check_filter(topic_filter)
        await self._answered(self._client.unsubscribe(topic_filter))

    def messages(self) -> AsyncIterator[Message]:
        """What was received; what came before the connection was lost is still delivered."""
        return self._link.inbox

    async def _answered(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Wait for the broker's answer, but not for that of a broker that is gone."""
        answer = asyncio.create_task(call)
        gone = asyncio.create_task(self._link.gone.wait())
        try:
            await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise MqttError(self._link.inbox.lost)
            return answer.result()
        except aiomqtt.MqttError as error:
            raise MqttError(self._link.inbox.lost or str(error)) from error
        finally:
            gone.cancel()
            answer.cancel()
            await asyncio.wait([answer, gone])


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
