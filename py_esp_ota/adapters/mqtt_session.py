"""A session over real sockets: QoS 1, acknowledged by hand, kept by the broker while nobody is connected.

paho's client runs in the event loop itself. Thousands of messages a second come this way: one task or queue more for
each of them would cost more than all the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from py_esp_ota.adapters.topics import check_filter, check_topic
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, MqttSession

_IN_FLIGHT = 20_000  # publishes that wait for their PUBACK; MQTT has numbers for 65,535
_INBOX = 10_000  # messages that wait here; then the socket is not read, and the broker keeps the rest
_INBOX_BYTES = 32 << 20
_TURN = 200  # packets read at a time, before others have their turn
_LOOK = 1.0  # seconds between two looks at the keep-alive and at answers that do not come
_FAREWELL = 1.0  # seconds a broker has for closing its side
_REFUSED = 0x80  # a SUBACK's codes from here on


@asynccontextmanager
async def open_session(
    host: str,
    port: int,
    client_id: str,
    *,
    tls: Callable[[str], ssl.SSLContext] | None,
    password: str | None,
    patience: float,
    keep_alive: int,
    dollar_topics: bool,
) -> AsyncIterator[MqttSession]:
    """Connect while the context is entered. Raises ``MqttError`` when the broker does not answer.

    Args:
        host: the broker's address.
        port: the broker's port.
        client_id: whose session it is.
        tls: gives the TLS context for a client id; no TLS when ``None``.
        password: goes with the client id as the user name; none when ``None``.
        patience: seconds for connecting, and without any answer of a broker that owes one.
        keep_alive: seconds of silence before the other side is asked whether it is there.
        dollar_topics: whether the broker delivers topics that begin with ``$``; else publishing to them is refused.
    """
    link = _Link(patience)
    try:
        try:
            context = tls(client_id) if tls else None
            await link.connect(_client(client_id, context, password, patience), host, port, keep_alive)
        except (OSError, MqttError) as error:
            raise MqttError(f"no connection to {host}:{port}: {error}") from error
        yield _Session(link, dollar_topics=dollar_topics)
    finally:
        await link.close()


def _client(client_id: str, tls: ssl.SSLContext | None, password: str | None, patience: float) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=False,
        protocol=MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.max_inflight_messages_set(0)  # no limit of its own: it would walk through all that wait at every PUBACK
    client.connect_timeout = patience
    if password is not None:
        client.username_pw_set(client_id, password)
    if tls is not None:
        client.tls_set_context(tls)
    return client


class _Link:
    """One connection: paho's client, whose socket the event loop watches."""

    def __init__(self, patience: float) -> None:
        self.lost = ""  # why the connection is gone; empty while it is not
        self.inbox: deque[tuple[int, Message]] = deque()  # packet numbers, 0 for what needs no acknowledgement
        self.news = asyncio.Event()  # something arrived, or the connection is lost
        self.room = asyncio.Semaphore(_IN_FLIGHT)
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._opening: asyncio.Future[Any] | None = None
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[Any]] = {}  # by packet number: those of the broker we wait for
        self._heard = 0.0  # when the last of them came
        self._unacknowledged: set[int] = set()
        self._bytes = 0  # in the inbox
        self._reads = False
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------ come and go

    async def connect(self, client: Client, host: str, port: int, keep_alive: int) -> None:
        """Connect. Raises ``OSError``, ``MqttError``."""
        self._client = client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        self._opening = self._loop.run_in_executor(None, client.connect, host, port, keep_alive)
        await asyncio.shield(self._opening)
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        self._heard = self._loop.time()
        self._answers[0] = self._connected
        self._look()
        self._resume()
        await self._connected

    async def close(self) -> None:
        """Disconnect; nothing that waits is acknowledged."""
        client = self._client
        if client is None or self._opening is None:
            return
        await asyncio.wait([self._opening])  # it runs in a thread that cannot be stopped
        sock = None if self._opening.exception() or self.lost else client.socket()
        line = socket.socket(fileno=os.dup(sock.fileno())) if sock else None
        if line:
            client.disconnect()
            client.loop_write()
        self.lose("disconnected")
        if sock := client.socket():  # paho has not closed it: not all was written
            sock.close()
        if line:
            await _hang_up(line)

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        if self.lost:
            return
        self.lost = why
        if self._timer:
            self._timer.cancel()
        if self._client and (sock := self._client.socket()):
            self._leave_alone(sock)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(MqttError(why))
        self._answers.clear()
        self.news.set()

    # -------------------------------------------------------------------------------------------------------- asking

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish; returns at the PUBACK. Raises ``MqttError``."""
        async with self.room:
            info = self._asked().publish(topic, payload, qos=1)
            await self._answer(info.rc, info.mid)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe; returns at the SUBACK. Raises ``MqttError``."""
        codes = await self._answer(*self._asked().subscribe(topic_filter, qos=1))
        if any(code.value >= _REFUSED for code in codes):
            raise MqttError(f"the broker refused the subscription to {topic_filter}")

    def check(self) -> None:
        """Raise ``MqttError`` when the connection is gone."""
        if self.lost:
            raise MqttError(self.lost)

    def _asked(self) -> Client:
        self.check()
        if self._client is None:
            raise MqttError("not connected")
        return self._client

    async def _answer(self, code: int, number: int | None) -> Any:
        if code != MQTT_ERR_SUCCESS or number is None:
            raise MqttError(self.lost or f"the MQTT client refused it: {code}")
        if not self._answers:
            self._heard = self._loop.time()
        answer = self._answers[number] = self._loop.create_future()
        return await answer

    def _answered(self, number: int, result: Any) -> None:
        self._heard = self._loop.time()
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():  # whoever asked may have gone
            answer.set_result(result)

    def _look(self) -> None:
        """Keep the connection alive, and give it up when the broker owes an answer for too long."""
        if self._answers and self._loop.time() - self._heard > self._patience:
            self.lose("timed out")
        elif self._client and not self.lost:
            self._client.loop_misc()
            self._timer = self._loop.call_later(_LOOK, self._look)

    # ----------------------------------------------------------------------------------------------------- receiving

    def take(self, limit: int) -> list[tuple[int, Message]]:
        """What has arrived, at most ``limit``."""
        taken = [self.inbox.popleft() for _ in range(min(limit, len(self.inbox)))]
        self._bytes -= sum(len(message.payload) for _, message in taken)
        if not self._reads and not self._is_full():
            self._resume()
        return taken

    def acknowledge(self, taken: Sequence[tuple[int, Message]]) -> None:
        """Tell the broker that these are done."""
        client = self._asked()
        for number, _ in taken:
            if number:
                self._unacknowledged.discard(number)
                client.ack(number, 1)

    def _is_full(self) -> bool:
        return len(self.inbox) >= _INBOX or self._bytes >= _INBOX_BYTES

    def _resume(self) -> None:
        client = self._asked()
        if sock := client.socket():
            self._reads = True
            self._loop.add_reader(sock.fileno(), self._read)
            self._loop.call_soon(self._read)  # what TLS has decrypted already wakes nobody

    def _read(self) -> None:
        client, packets = self._client, 0
        try:
            while client and self._reads and client.loop_read() == MQTT_ERR_SUCCESS:
                packets += 1
                if not getattr(client.socket(), "pending", int)():
                    return
                if packets == _TURN:
                    self._loop.call_soon(self._read)
                    return
        except Exception as error:  # noqa: BLE001 - whatever the library stumbles over, the connection is of no use
            self.lose(str(error))

    # -------------------------------------------------------------------------------------------- called by paho

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self.lose(str(code))
        else:
            self._answered(0, None)

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self.lose(f"the connection was lost: {code}" if code.is_failure else "disconnected")

    def _on_publish(self, _client: Client, _data: Any, number: int, _code: Any, _properties: Any) -> None:
        self._answered(number, None)

    def _on_subscribe(self, _client: Client, _data: Any, number: int, codes: Any, _properties: Any) -> None:
        self._answered(number, codes)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        number = message.mid if message.qos else 0
        if number in self._unacknowledged:  # sent again though the connection is the same
            return
        if number:
            self._unacknowledged.add(number)
        payload = bytes(message.payload)
        try:
            topic = message.topic
        except UnicodeDecodeError as error:  # a topic that no filter of ours should match: for the owner to judge
            topic = error.object.decode(errors="replace")
        self.inbox.append((number, Message(topic, payload)))
        self._bytes += len(payload)
        self.news.set()
        if self._is_full() and (sock := self._asked().socket()):
            self._reads = False
            self._loop.remove_reader(sock.fileno())

    def _on_socket_close(self, _client: Client, _data: Any, sock: Any) -> None:
        self._leave_alone(sock)

    def _on_register_write(self, client: Client, _data: Any, sock: Any) -> None:
        self._loop.add_writer(sock.fileno(), self._write, client)

    def _on_unregister_write(self, _client: Client, _data: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock.fileno())

    def _leave_alone(self, sock: Any) -> None:
        self._reads = False
        if sock.fileno() >= 0:  # else it is closed
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def _write(self, client: Client) -> None:
        try:
            client.loop_write()
        except Exception as error:  # noqa: BLE001 - as for reading
            self.lose(str(error))


async def _hang_up(line: socket.socket) -> None:
    """End a connection once the broker has read everything; to close it with something unread would take ours back."""
    with line, suppress(OSError, TimeoutError):
        line.setblocking(False)
        line.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_FAREWELL):
            while await asyncio.get_running_loop().sock_recv(line, 1 << 16):
                pass


class _Session:
    """One connection; ``MqttSession`` as its owner sees it."""

    def __init__(self, link: _Link, *, dollar_topics: bool) -> None:
        self._link = link
        self._dollar_topics = dollar_topics

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1, not retained; returns at the PUBACK."""
        check_topic(topic)
        if topic.startswith("$") and not self._dollar_topics:
            raise MqttError(f"this broker does not deliver {topic}: use plain topics (basic ingest off)")
        await self._link.publish(topic, payload)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; returns at the SUBACK."""
        check_filter(topic_filter)
        await self._link.subscribe(topic_filter)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """What has arrived; to ask for the next batch is to acknowledge the last one."""
        return _Batches(self._link, limit, pause)


# An iterator, not a generator: a generator that is abandoned half-way would need closing.
class _Batches:
    def __init__(self, link: _Link, limit: int, pause: float) -> None:
        self._link = link
        self._limit = limit
        self._pause = pause
        self._taken: list[tuple[int, Message]] = []

    def __aiter__(self) -> _Batches:
        return self

    async def __anext__(self) -> Sequence[Message]:
        link = self._link
        link.acknowledge(self._taken)
        self._taken = []
        while not link.inbox:
            link.news.clear()
            await link.news.wait()
            await asyncio.sleep(self._pause)
            link.check()
        self._taken = link.take(self._limit)
        return [message for _, message in self._taken]
