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
from py_esp_ota.adapters.limits import KEEP_ALIVE_LIMIT, PACKET_LIMIT
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
        self._patience: float | None = None  # seconds between two packets
        self._deadline: float | None = None  # on the loop's clock, of the next one

    def expect(self, keep_alive: int) -> None:
        """End the connection when nothing comes for one and a half times ``keep_alive`` seconds; amqtt would not.

        As at AWS IoT, nobody may be silent for ever (0) or for longer than ``KEEP_ALIVE_LIMIT``.
        """
        self._patience = 1.5 * min(keep_alive or KEEP_ALIVE_LIMIT, KEEP_ALIVE_LIMIT)
        self._renew()

    def _renew(self) -> None:
        if self._patience is not None:
            self._deadline = asyncio.get_running_loop().time() + self._patience

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
        try:
            async with asyncio.timeout_at(self._deadline):
                packet = await self._whole()
        except TimeoutError:
            self._broken = True
            raise ConnectionResetError("nothing came for too long") from None
        if packet[0] >> 4 == _PUBLISH and self.room is not None:
            await self.room()
        self._broken = False
        self._renew()
        return packet

    async def _whole(self) -> bytes:
        header = await self._reader.readexactly(1)
        self._broken = True  # until the packet is whole: a wait that amqtt gives up half-way cannot be taken up again
        size = 0
        for place in range(_LENGTH_BYTES):
            header += await self._reader.readexactly(1)
            size |= (header[-1] & 0x7F) << 7 * place
            if header[-1] < 0x80:  # else more digits follow
                break
        else:
            raise ConnectionResetError("a packet's length has no end")
        if size > PACKET_LIMIT:
            raise ConnectionResetError(f"a packet of {size} bytes")
        return header + await self._reader.readexactly(size)


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
