"""MQTT 3.1.1 as bytes, for a client that publishes and subscribes at QoS 1: pure functions, and what a broker may say.

Whatever a broker says otherwise is a ``ValueError`` with one sentence: nothing after it can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from py_esp_ota.ports import Message

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

PING: Final = bytes((PINGREQ << 4, 0))
FAREWELL: Final = bytes((DISCONNECT << 4, 0))

NUMBERS = 0xFFFF  # packet numbers go from 1 to here

_DUP = 0x08
_QOS1 = 0x02
_LENGTH_BYTES = 4
_SHORTEST = 2  # bytes of the shortest packet
_NAMES = {
    CONNECT: "CONNECT",
    CONNACK: "CONNACK",
    PUBLISH: "PUBLISH",
    PUBACK: "PUBACK",
    5: "PUBREC",
    6: "PUBREL",
    7: "PUBCOMP",
    SUBSCRIBE: "SUBSCRIBE",
    SUBACK: "SUBACK",
    UNSUBSCRIBE: "UNSUBSCRIBE",
    UNSUBACK: "UNSUBACK",
    PINGREQ: "PINGREQ",
    PINGRESP: "PINGRESP",
    DISCONNECT: "DISCONNECT",
}
_SIZES = {CONNACK: 2, PUBACK: 2, SUBACK: 3, UNSUBACK: 2, PINGRESP: 0}  # one topic filter in each SUBSCRIBE
_RETURN_CODES = {
    1: "it speaks another version of MQTT",
    2: "it refuses the client id",
    3: "it is not available",
    4: "it refuses user name or password",
    5: "it does not authorise this client",
}
REFUSED = 0x80  # a SUBACK's code


# ------------------------------------------------------------------------------------------------ what a client says


def connect(
    client_id: str,
    keep_alive: int,
    will: Message | None = None,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """CONNECT with a clean session; the will is published at QoS 1 and not retained.

    Args:
        client_id: who it is.
        keep_alive: seconds.
        will: what the broker publishes when the client is gone without a farewell.
        username: as the broker knows it; without one there is no password either.
        password: the password.

    Raises:
        ValueError: a string, or the will, is longer than 65,535 bytes.
    """
    flags, rest = 0x02, _text(client_id.encode())
    if will is not None:
        flags |= 0x0C
        rest += _text(will.topic.encode()) + _text(will.payload)
    if username is not None:
        flags |= 0x80
        rest += _text(username.encode())
        if password is not None:
            flags |= 0x40
            rest += _text(password.encode())
    return _packet(CONNECT << 4, b"\0\4MQTT\4" + bytes((flags,)) + keep_alive.to_bytes(2, "big") + rest)


def publish(number: int, topic: str, payload: bytes) -> bytes:
    """PUBLISH at QoS 1, not retained. Raises ``ValueError`` for a topic that is too long."""
    return _packet(PUBLISH << 4 | _QOS1, _text(topic.encode()) + number.to_bytes(2, "big") + payload)


def again(packet: bytes) -> bytes:
    """A PUBLISH that is sent once more."""
    return bytes((packet[0] | _DUP,)) + packet[1:]


def puback(number: int) -> bytes:
    """PUBACK."""
    return bytes((PUBACK << 4, 2, number >> 8, number & 0xFF))


def subscribe(number: int, topic_filter: str) -> bytes:
    """SUBSCRIBE to one filter at QoS 1. Raises ``ValueError`` for one that is too long."""
    return _packet(SUBSCRIBE << 4 | 2, number.to_bytes(2, "big") + _text(topic_filter.encode()) + b"\1")


def unsubscribe(number: int, topic_filter: str) -> bytes:
    """UNSUBSCRIBE from one filter. Raises ``ValueError`` for one that is too long."""
    return _packet(UNSUBSCRIBE << 4 | 2, number.to_bytes(2, "big") + _text(topic_filter.encode()))


def _text(data: bytes) -> bytes:
    if len(data) > 0xFFFF:
        raise ValueError(f"a string of {len(data)} bytes is longer than MQTT's 65535")
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    size = len(body)
    if size < 128:  # nearly all of them
        return bytes((first, size)) + body
    head = bytearray((first,))
    while size:
        head.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
    return bytes(head) + body


# ------------------------------------------------------------------------------------------------ what a broker says


class Accepted(NamedTuple):
    """CONNACK that lets the client in."""


class Published(NamedTuple):
    """PUBLISH; ``number`` is 0 when it needs no acknowledgement."""

    topic: str
    payload: bytes
    number: int


class Answered(NamedTuple):
    """PUBACK, SUBACK or UNSUBACK of a packet; a SUBACK may refuse."""

    kind: int
    number: int
    refused: bool = False


class Alive(NamedTuple):
    """PINGRESP."""


Packet: TypeAlias = Accepted | Published | Answered | Alive


class Decoder:
    """What a broker sends, piece by piece as it comes.

    Args:
        limit: bytes of the longest packet; what is announced as longer is refused before it comes.
    """

    __slots__ = ("_limit", "_needs", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()  # of a packet that has not come whole
        self._needs = 0  # so many bytes have to be there before another look is worth it

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are whole now. Raises ``ValueError`` at what is none, after those before it."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needs:
                return
            data = bytes(self._rest)
            self._rest.clear()
        at = 0
        while (whole := self._whole(data, at)) is not None:
            body, end = whole
            first, at = data[at], end
            yield _packet_of(first, data[body:end])
        self._rest += data[at:]

    def _whole(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Where the body of the packet at ``at`` begins and ends; ``None`` when it has not come whole."""
        there = len(data) - at
        if there < _SHORTEST:
            self._needs = _SHORTEST
            return None
        _check_first(data[at])
        size, used = data[at + 1], 1
        if size >= 0x80:
            size, used = 0, 0
            while True:
                if there < 2 + used:
                    self._needs = 2 + used
                    return None
                digit = data[at + 1 + used]
                size |= (digit & 0x7F) << 7 * used
                used += 1
                if digit < 0x80:
                    break
                if used == _LENGTH_BYTES:
                    raise ValueError("the broker sent a packet whose length has more than four bytes")
        _check_size(data[at], size, self._limit)
        if there < 1 + used + size:
            self._needs = 1 + used + size
            return None
        return at + 1 + used, at + 1 + used + size


def _check_first(first: int) -> None:
    """Kind and flags of a packet, before anything else of it has come."""
    kind, flags = first >> 4, first & 0x0F
    if kind == PUBLISH:
        qos = flags >> 1 & 3
        if qos > 1:
            wrong = "whose QoS is 3" if qos == 3 else "at QoS 2, for which nobody asked"
            raise ValueError(f"the broker sent a PUBLISH {wrong}")
        if flags & _DUP and not qos:
            raise ValueError("the broker sent a PUBLISH at QoS 0 as if it were sent again")
    elif kind not in _SIZES:
        name = _NAMES.get(kind, f"a packet of the reserved kind {kind}")
        raise ValueError(f"the broker sent {name}, which no broker sends to a client at QoS 1")
    elif flags:
        raise ValueError(f"the broker sent a {_NAMES[kind]} with the reserved bits 0x{flags:x}")


def _check_size(first: int, size: int, limit: int) -> None:
    """A packet's length, before the packet has come."""
    kind = first >> 4
    if kind in _SIZES and size != _SIZES[kind]:
        raise ValueError(f"the broker sent a {_NAMES[kind]} of {size} bytes, not {_SIZES[kind]}")
    if size > limit:
        raise ValueError(f"the broker sent a PUBLISH of {size} bytes, more than {limit}")


def _packet_of(first: int, body: bytes) -> Packet:
    kind = first >> 4
    if kind == PUBLISH:
        return _published(body, number=bool(first & _QOS1))
    if kind == CONNACK:
        return _accepted(body[0], body[1])
    if kind == PINGRESP:
        return Alive()
    number = body[0] << 8 | body[1]
    if not number:
        raise ValueError(f"the broker sent a {_NAMES[kind]} for the packet number 0")
    if kind == SUBACK:
        if body[2] > 2 and body[2] != REFUSED:
            raise ValueError(f"the broker sent a SUBACK with the reserved code 0x{body[2]:02x}")
        return Answered(kind, number, body[2] == REFUSED)
    return Answered(kind, number)


def _published(body: bytes, *, number: bool) -> Published:
    size = body[0] << 8 | body[1] if len(body) >= 2 else 0
    end = 2 + size
    start = end + 2 * number
    if not size or start > len(body):
        raise ValueError("the broker sent a PUBLISH whose topic is empty or longer than the packet")
    try:
        topic = body[2:end].decode()
    except UnicodeDecodeError:
        raise ValueError("the broker sent a PUBLISH whose topic is not UTF-8") from None
    if "\0" in topic or "+" in topic or "#" in topic:
        raise ValueError(f"the broker sent a PUBLISH to {topic[:80]!r}, which is no topic")
    if not number:
        return Published(topic, body[end:], 0)
    named = body[end] << 8 | body[end + 1]
    if not named:
        raise ValueError("the broker sent a PUBLISH at QoS 1 with the packet number 0")
    return Published(topic, body[start:], named)


def _accepted(flags: int, code: int) -> Accepted:
    if flags & 0xFE or code > max(_RETURN_CODES):
        raise ValueError(f"the broker sent a CONNACK with the reserved bits 0x{flags:02x}{code:02x}")
    if code:
        raise ValueError(f"the broker does not let us in: {_RETURN_CODES[code]}")
    if flags:
        raise ValueError("the broker goes on with an earlier session, and a clean one was asked for")
    return Accepted()
