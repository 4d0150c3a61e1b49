"""MQTT 3.1.1 by hand, for clients that no library would be: packets as bytes on a socket of one's own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size or not length:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
    return bytes([first]) + bytes(length) + body


def connect(client_id, *, password=None, will=None, clean=True, keep_alive=120) -> bytes:
    flags = 2 * clean | (0xC0 if password is not None else 0) | (0x0C if will else 0)
    body = text("MQTT") + bytes([4, flags]) + keep_alive.to_bytes(2, "big") + text(client_id)
    if will:
        body += text(will[0]) + text(will[1])
    if password is not None:
        body += text(client_id) + text(password)
    return packet(0x10, body)


def publish(topic, payload: bytes, *, number: int = 1, retain: bool = False) -> bytes:
    return packet(0x32 | retain, text(topic) + number.to_bytes(2, "big") + payload)


def subscribe(topic_filter, *, number: int = 1) -> bytes:
    return packet(0x82, number.to_bytes(2, "big") + text(topic_filter) + b"\x01")


ACCEPTED, NOT_AUTHORISED = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"
PUBACK = b"\x40\x02\x00\x01"


class Raw:
    """One socket."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))

    async def hear(self, size: int = 4) -> bytes:
        """So many bytes, or fewer when the broker hangs up."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.readexactly(size)
            except asyncio.IncompleteReadError as error:
                return error.partial
            except ConnectionResetError:
                return b""

    async def ends(self) -> bool:
        """Whether the broker hangs up."""
        try:
            async with asyncio.timeout(5):
                await self.reader.read()
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def raw(port: int, *packets: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Raw(reader, writer)
    client.send(*packets)
    try:
        yield client
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
