"""One connection to a broker over real sockets: paho's client, whose socket the event loop itself watches.

Thousands of messages a second come this way, and a thousand nodes: one task or queue more for each would cost more than
all the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage

from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message

_TURN = 200  # packets read at a time, before others have their turn
_FAREWELL = 1.0  # seconds a broker has for closing its side
_REFUSED = 0x80  # a SUBACK's codes from here on


class Link:
    """The connection; what is done with a message that comes is its heirs' business.

    Args:
        look: seconds between two looks at the keep-alive.
    """

    def __init__(self, look: float) -> None:
        self.lost = ""  # why the connection is gone; empty while it is not
        self._look_every = look
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._opening: asyncio.Future[Any] | None = None
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[Any]] = {}  # by packet number: those of the broker we wait for
        self._heard = 0.0  # when the last of them came, or anything else
        self._reads = False
        self._timer: asyncio.TimerHandle | None = None

    def _receive(self, number: int, message: Message) -> None:
        """Take a message; its packet number is 0 when it needs no acknowledgement."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ come and go

    async def connect(self, client: Client, host: str, port: int, keep_alive: int) -> None:
        """Connect. Raises ``OSError``, ``MqttError``."""
        self._client = client
        client.max_inflight_messages_set(0)  # no limit of its own: it would walk through all that wait at every PUBACK
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
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
        self._client = None  # which knows us: neither would be freed before the collector comes
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

    # -------------------------------------------------------------------------------------------------------- asking

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish; returns at the PUBACK. Raises ``MqttError``."""
        info = self._asked().publish(topic, payload, qos=1)
        await self._answer(info.rc, info.mid)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe; returns at the SUBACK. Raises ``MqttError``."""
        codes = await self._answer(*self._asked().subscribe(topic_filter, qos=1))
        if any(code.value >= _REFUSED for code in codes):
            raise MqttError(f"the broker refused the subscription to {topic_filter}")

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; returns at the UNSUBACK. Raises ``MqttError``."""
        await self._answer(*self._asked().unsubscribe(topic_filter))

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
        """Keep the connection alive."""
        if self._client and not self.lost:
            self._client.loop_misc()
            self._timer = self._loop.call_later(self._look_every, self._look)

    # ----------------------------------------------------------------------------------------------------- receiving

    def _resume(self) -> None:
        client = self._asked()
        if sock := client.socket():
            self._reads, self._heard = True, self._loop.time()
            self._loop.add_reader(sock.fileno(), self._read)
            self._loop.call_soon(self._read)  # what TLS has decrypted already wakes nobody

    def _pause(self) -> None:
        if sock := self._asked().socket():
            self._reads = False
            self._loop.remove_reader(sock.fileno())

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
        if 0 in self._answers:  # TLS 1.3 refuses a client's certificate after the handshake
            self.lose("the broker hung up")
        self.lose(f"the connection was lost: {code}" if code.is_failure else "disconnected")

    def _on_publish(self, _client: Client, _data: Any, number: int, _code: Any, _properties: Any) -> None:
        self._answered(number, None)

    def _on_subscribe(self, _client: Client, _data: Any, number: int, codes: Any, _properties: Any) -> None:
        self._answered(number, codes)

    def _on_unsubscribe(self, _client: Client, _data: Any, number: int, codes: Any, _properties: Any) -> None:
        self._answered(number, codes)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._heard = self._loop.time()  # an answer comes behind what else the broker sends, and that may be much
        try:
            topic = message.topic
        except UnicodeDecodeError as error:  # a topic that no filter of ours should match: for the owner to judge
            topic = error.object.decode(errors="replace")
        self._receive(message.mid if message.qos else 0, Message(topic, bytes(message.payload)))

    def _on_socket_close(self, _client: Client, _data: Any, sock: Any) -> None:
        self._leave_alone(sock)

    def _on_register_write(self, client: Client, _data: Any, _sock: Any) -> None:
        self._loop.call_soon(self._write, client)  # the socket nearly always takes it at once

    def _on_unregister_write(self, _client: Client, _data: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock.fileno())

    def _leave_alone(self, sock: Any) -> None:
        self._reads = False
        if sock.fileno() >= 0:  # else it is closed
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())

    def _write(self, client: Client) -> None:
        if self.lost:
            return
        try:
            client.loop_write()
            if client.want_write() and (sock := client.socket()):
                self._loop.add_writer(sock.fileno(), self._write, client)
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
