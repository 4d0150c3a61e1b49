"""One of many connections to a broker: a socket that the event loop watches, and the packets on it.

No transport, no task and no timer of its own: what comes is decoded and answered where it is read, and what goes out
goes at once into the socket, which nearly always takes it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from py_esp_ota.adapters import mqtt_packets as packets
from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.adapters.limits import PACKET_LIMIT
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message

_READ = 1 << 14  # bytes at a time: a record of TLS
_TURN = 16  # reads before others have their turn
_UNSENT_LIMIT = 1 << 20  # bytes that wait for a broker that does not read
_FAREWELL = 1.0  # seconds a broker has for closing its side


class CrowdLink:
    """A connection, from its CONNECT on.

    Args:
        sock: connected, TLS and all; it is watched and closed here.
        keep_alive: seconds; the broker is asked every half of it whether it is there.
        on_lost: called once, when the connection is gone.
    """

    __slots__ = (
        "_alive_at",
        "_answers",
        "_asked",
        "_broken",
        "_decoder",
        "_half",
        "_loop",
        "_number",
        "_on_lost",
        "_opened",
        "_sock",
        "_unsent",
        "inbox",
    )

    def __init__(self, sock: socket.socket, keep_alive: float, on_lost: Callable[[CrowdLink], object]) -> None:
        self.inbox = Inbox()
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._half = keep_alive / 2
        self._on_lost = on_lost
        self._decoder = packets.Decoder(PACKET_LIMIT)
        self._unsent = bytearray()
        self._broken = ""  # why nothing can be sent any more
        self._number = 0
        self._answers: dict[int, _Asked] = {}  # what the broker owes, by packet number
        self._opened: asyncio.Future[None] | None = None  # until CONNACK
        self._alive_at = self._loop.time()  # when the broker let us in, or said that it is there
        self._asked = False  # whether it is there, and has not said so

    async def open(self, connect: bytes) -> None:
        """Say who we are; returns at CONNACK. Raises ``MqttError``."""
        self._opened = self._loop.create_future()
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._send(connect)
        self._loop.call_soon(self._readable)  # what came with the handshake wakes nobody
        await self._opened

    # -------------------------------------------------------------------------------------------------------- asking

    def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> asyncio.Future[None]:
        """Publish at QoS 1; done at the PUBACK.

        With ``dup`` the oldest one that is the same and waits is sent again, and its PUBACK is waited for. Raises
        ``MqttError`` when the connection is gone.
        """
        self.inbox.check()
        if dup and (waits := self._same(packets.publish(0, topic, payload))) is not None:
            number, asked = waits
            self._send(packets.again(asked.packet))
            return self._owed(number, asked)
        number = self._next()
        asked = _Asked(packets.PUBACK, packets.publish(number, topic, payload))
        self._send(asked.packet)
        return self._owed(number, asked)

    def subscribe(self, topic_filter: str) -> asyncio.Future[None]:
        """Subscribe at QoS 1; done at the SUBACK. Raises ``MqttError``."""
        number = self._next()
        asked = _Asked(packets.SUBACK, packets.subscribe(number, topic_filter), topic_filter)
        self._send(asked.packet)
        return self._owed(number, asked)

    def unsubscribe(self, topic_filter: str) -> asyncio.Future[None]:
        """Unsubscribe; done at the UNSUBACK. Raises ``MqttError``."""
        number = self._next()
        asked = _Asked(packets.UNSUBACK, packets.unsubscribe(number, topic_filter))
        self._send(asked.packet)
        return self._owed(number, asked)

    def _owed(self, number: int, asked: _Asked) -> asyncio.Future[None]:
        """Who waits for an answer may go; its number is free when the answer has come."""
        self.inbox.check()
        answer: asyncio.Future[None] = self._loop.create_future()
        asked.waiting.append(answer)
        self._answers[number] = asked
        return answer

    def _same(self, packet: bytes) -> tuple[int, _Asked] | None:
        """The oldest PUBLISH that waits and differs from this one in its number alone."""
        size = len(packet)
        for number, asked in self._answers.items():
            if asked.kind == packets.PUBACK and len(asked.packet) == size and _unnumbered(asked.packet, packet):
                return number, asked
        return None

    def _next(self) -> int:
        self.inbox.check()
        if len(self._answers) == packets.NUMBERS:
            raise MqttError(f"{packets.NUMBERS} packets wait for the broker's answer already")
        while True:
            self._number = self._number % packets.NUMBERS + 1
            if self._number not in self._answers:
                return self._number

    # ----------------------------------------------------------------------------------------------------- receiving

    def _readable(self) -> None:
        """Take what has come, and answer it in one go."""
        for _ in range(_TURN):
            if self.inbox.lost:
                return
            try:
                data = self._sock.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                self.lose(_words(error))
                return
            if not data:
                self.lose("the broker hung up")
                return
            self._take(data)
            if len(data) < _READ and not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
                return
        self._loop.call_soon(self._readable)

    def _take(self, data: bytes) -> None:
        acknowledged = bytearray()
        try:
            for packet in self._decoder.feed(data):
                self._understand(packet, acknowledged)
        except ValueError as error:
            self._answer(acknowledged)
            self.lose(str(error))
        else:
            self._answer(acknowledged)

    def _answer(self, acknowledged: bytearray) -> None:
        if acknowledged and not self.inbox.lost:
            self._send(acknowledged)

    def _understand(self, packet: packets.Packet, acknowledged: bytearray) -> None:
        """Raises ``ValueError``: the broker may not say this now."""
        if isinstance(packet, packets.Accepted):
            if self._opened is None or self._opened.done():
                raise ValueError("the broker sent a second CONNACK")
            self._alive_at = self._loop.time()
            self._opened.set_result(None)
        elif self._opened is None or not self._opened.done():
            raise ValueError("the broker did not begin with a CONNACK")
        elif isinstance(packet, packets.Published):
            self.inbox.put(Message(packet.topic, packet.payload))
            if packet.number:
                acknowledged += packets.puback(packet.number)
        elif isinstance(packet, packets.Answered):
            self._answered(packet)
        else:
            self._alive_at, self._asked = self._loop.time(), False

    def _answered(self, packet: packets.Answered) -> None:
        asked = self._answers.get(packet.number)
        if asked is None:  # what was sent twice may be acknowledged twice
            return
        if asked.kind != packet.kind:
            raise ValueError(f"the broker answered packet {packet.number} with the answer to another kind of packet")
        del self._answers[packet.number]
        for answer in asked.waiting:
            if answer.done():  # whoever asked has gone
                continue
            if packet.refused:
                answer.set_exception(MqttError(f"the broker refused the subscription to {asked.topic_filter}"))
            else:
                answer.set_result(None)

    # ------------------------------------------------------------------------------------------------------- sending

    def _send(self, data: bytes | bytearray) -> None:
        if self._broken:
            return
        if self._unsent:
            self._unsent += data
            if len(self._unsent) > _UNSENT_LIMIT:
                self.lose(f"the broker does not read: {len(self._unsent)} bytes wait for it")
            return
        sent = self._sent(data)
        if sent < len(data) and not self._broken:
            self._unsent += data[sent:]
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def _writable(self) -> None:
        """Send what waits."""
        # The same bytes again, as TLS asks for: a buffer that grows meanwhile begins with them.
        del self._unsent[: self._sent(self._unsent)]
        if (not self._unsent or self._broken) and not self.inbox.lost:
            self._loop.remove_writer(self._sock.fileno())

    def _sent(self, data: bytes | bytearray) -> int:
        """How many bytes the socket has taken."""
        try:
            return self._sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            self._broken = _words(error)
            self._loop.call_soon(self._give_up)
            return 0

    def _give_up(self) -> None:
        """Nothing can be sent any more: what came before that is still taken, and it may say why."""
        self._readable()
        self.lose(self._broken)

    # ---------------------------------------------------------------------------------------------------- keep-alive

    def look(self, now: float) -> float | None:
        """``process_keepalive`` (``mqtt_client.c``): ask the broker, whatever else was sent; when to look again."""
        if self.inbox.lost:
            return None
        silent = now - self._alive_at
        if self._asked and silent >= 2 * self._half:
            self.lose(f"the broker did not say for {silent - self._half:.0f} s that it is there")
            return None
        if not self._asked and silent >= self._half:
            self._asked = True
            self._send(packets.PING)
        return self._alive_at + self._half * (1 + self._asked)

    # ----------------------------------------------------------------------------------------------------------- end

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        if self.inbox.lost:
            return
        self.inbox.lose(why)
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        waiting = [answer for asked in self._answers.values() for answer in asked.waiting]
        if self._opened is not None:
            waiting.append(self._opened)
        for answer in waiting:
            if not answer.done():
                answer.set_exception(MqttError(why))
        self._answers.clear()
        self._on_lost(self)

    async def close(self, *, farewell: bool) -> None:
        """End it; without a farewell the broker publishes the will. Nothing that waits is acknowledged."""
        try:
            if self.inbox.lost:
                return
            if farewell and not self._unsent:
                self._send(packets.FAREWELL)
            told = farewell and not self._broken and not self._unsent
            self.lose("disconnected")
            if told:
                await _hang_up(self._plain())
        finally:
            self.lose("disconnected")
            self._sock.close()

    def _plain(self) -> socket.socket:
        """The socket without its TLS: what the broker still says is not looked at."""
        family, kind, protocol = self._sock.family, self._sock.type, self._sock.proto
        return socket.socket(family, kind, protocol, fileno=self._sock.detach())


async def _hang_up(line: socket.socket) -> None:
    """End a connection once the broker has read everything; to close it with something unread would take ours back."""
    with line, suppress(OSError, TimeoutError):
        line.setblocking(False)
        line.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_FAREWELL):
            while await asyncio.get_running_loop().sock_recv(line, _READ):
                pass


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError | BrokenPipeError):
        return "the broker hung up"
    return f"the connection was lost: {error}"


class _Asked:
    """What the broker owes an answer to."""

    __slots__ = ("kind", "packet", "topic_filter", "waiting")

    def __init__(self, kind: int, packet: bytes, topic_filter: str = "") -> None:
        self.kind = kind  # of the answer
        self.packet = packet
        self.topic_filter = topic_filter
        self.waiting: list[asyncio.Future[None]] = []


def _unnumbered(one: bytes, other: bytes) -> bool:
    """Whether two PUBLISHes of one length are the same but for their packet numbers."""
    head = 1
    while one[head] >= 0x80:
        head += 1
    at = head + 1 + 2 + (one[head + 1] << 8 | one[head + 2])
    return one[1:at] == other[1:at] and one[at + 2 :] == other[at + 2 :]
