"""What stands between a socket and amqtt: whole packets of a bearable size, and who may come in.

amqtt looks up the session of a client id, and ends it, before it asks anybody whether the client may be who it says it
is. So its CONNECT is read here first.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from amqtt.adapters import BufferReader, ReaderAdapter  # type: ignore[import-untyped]
from amqtt.mqtt.connack import NOT_AUTHORIZED, SERVER_UNAVAILABLE, ConnackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.connect import ConnectPacket  # type: ignore[import-untyped]

from py_esp_ota.adapters.certificates import CLOUD
from py_esp_ota.adapters.limits import PACKET_LIMIT
from py_esp_ota.adapters.topics import check_client_id, may_use

_PUBLISH = 3  # the packet type in a fixed header's upper half
_LENGTH_BYTES = 4  # a packet's length has at most so many


class PacketReader(ReaderAdapter):  # type: ignore[misc]
    """Hands amqtt one whole packet after the other. A packet that is too large or cut short ends the connection.

    Args:
        reader: the socket.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.room: Callable[[], Awaitable[None]] | None = None  # waited for before each PUBLISH is handed on
        self._reader = reader
        self._packet = b""
        self._at = 0  # how much of it amqtt has read
        self._broken = False

    async def first(self) -> bytes:
        """The first packet, which stays to be read."""
        self._packet = await self._next()
        return self._packet

    async def read(self, n: int = -1) -> bytes:
        """Bytes of one packet. Raises ``ConnectionResetError``, which amqtt takes for the end."""
        if n == 0:
            return b""
        if self._at == len(self._packet) and n == 1:  # a packet begins: amqtt reads its first byte alone
            self._packet, self._at = await self._next(), 0
        if n < 0 or self._at + n > len(self._packet):
            self._broken = True
            raise ConnectionResetError("a packet ends early")
        self._at += n
        return self._packet[self._at - n : self._at]

    def feed_eof(self) -> None:
        """Nothing more comes."""
        self._reader.feed_eof()

    async def _next(self) -> bytes:
        if self._broken:
            raise ConnectionResetError("the stream of packets is broken")
        header = await self._reader.readexactly(1)
        self._broken = True  # until the packet is whole: a wait that amqtt gives up half-way cannot be taken up again
        kind, size = header[0] >> 4, 0
        for place in range(_LENGTH_BYTES):
            header += await self._reader.readexactly(1)
            size |= (header[-1] & 0x7F) << 7 * place
            if header[-1] < 0x80:  # else more digits follow
                break
        else:
            raise ConnectionResetError("a packet's length has no end")
        if size > PACKET_LIMIT:
            raise ConnectionResetError(f"a packet of {size} bytes")
        packet = header + await self._reader.readexactly(size)
        if kind == _PUBLISH and self.room is not None:
            await self.room()
        self._broken = False
        return packet


async def read_connect(packet: bytes) -> ConnectPacket | None:
    """The CONNECT that a connection begins with, or ``None`` when it is something else or not whole."""
    try:
        connect = await ConnectPacket.from_stream(BufferReader(packet))
    except Exception:  # noqa: BLE001 - amqtt raises whatever its parsing stumbles over
        return None
    parts = (
        (connect.will_flag, connect.will_topic),
        (connect.will_flag, connect.will_message),
        (connect.username_flag, connect.username),
        (connect.password_flag, connect.password),
    )
    return None if any(flag and part is None for flag, part in parts) else connect


def refusal(connect: ConnectPacket, secret: str) -> str:
    """Why a client may not come in; empty when it may."""
    if connect.payload.client_id_is_random:
        return "it has no client id"
    client_id = connect.client_id
    try:
        check_client_id(client_id)
    except ValueError as error:
        return str(error)
    if client_id == CLOUD:
        known = secrets.compare_digest((connect.password or "").encode(), secret.encode())
        return "" if known else "it does not know the cloud's secret"
    if connect.will_flag and not may_use(client_id, connect.will_topic):
        return f"its will is not for it to publish: {connect.will_topic[:80]!r}"
    return ""


def not_authorised() -> bytes:
    """CONNACK for who may not come in."""
    return bytes(ConnackPacket.build(0, NOT_AUTHORIZED).to_bytes())


def unavailable() -> bytes:
    """CONNACK when there are too many already."""
    return bytes(ConnackPacket.build(0, SERVER_UNAVAILABLE).to_bytes())
