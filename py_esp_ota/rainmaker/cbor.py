"""CBOR as tinycbor writes and reads it: what a node asks of a stream, and how it takes what comes.

A node reads forgivingly: the first key of a name counts, whatever stands behind the last one it needs is not looked at,
numbers are narrowed to 32 bits, strings may come in pieces. Bounded by the message: no count in it is believed.
"""

from __future__ import annotations

from collections.abc import Iterable

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE = 31
_BREAK = 0xFF
_LARGEST_MAP = 0x7FFFFFFF
_DEEPEST = 1024  # CBOR_PARSER_MAX_RECURSIONS


class CborError(ValueError):
    """What tinycbor does not read, or what is of another type than the node expects."""


# -------------------------------------------------------------------------------------------------------------- writing


def encode_map(members: Iterable[tuple[str, int | bytes]]) -> bytes:
    """A map in the given order, each head as short as it can be."""
    pairs = list(members)
    out = bytearray(_head_of(_MAP, len(pairs)))
    for key, value in pairs:
        out += _string(_TEXT, key.encode())
        if isinstance(value, int):
            out += _head_of(_UNSIGNED, value) if value >= 0 else _head_of(_NEGATIVE, -1 - value)
        else:
            out += _string(_BYTES, value)
    return bytes(out)


def _string(major: int, data: bytes) -> bytes:
    return _head_of(major, len(data)) + data


def _head_of(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
    return bytes([major << 5 | 23 + size.bit_length()]) + number.to_bytes(size, "big")


# -------------------------------------------------------------------------------------------------------------- reading


def find_int(message: bytes, key: str) -> int:
    """``cbor_value_map_find_value`` and ``cbor_value_get_int``: narrowed to 32 bits. Raises ``CborError``."""
    major, number, _ = _head(message, _find(message, key))
    if major not in (_UNSIGNED, _NEGATIVE) or number is None:
        raise CborError(f"{key!r} is no integer")
    narrow = _signed(number)
    return narrow if major == _UNSIGNED else _signed(-narrow - 1)


def find_bytes(message: bytes, key: str, limit: int) -> bytes:
    """The same and ``cbor_value_copy_byte_string``. Raises ``CborError``, also above ``limit`` bytes."""
    at = _find(message, key)
    if message[at] >> 5 != _BYTES:
        raise CborError(f"{key!r} is no byte string")
    pieces, _ = _pieces(message, at)
    length = sum(end - start for start, end in pieces)
    if length > limit:
        raise CborError(f"{key!r} has {length} bytes, more than {limit}")
    return b"".join(message[start:end] for start, end in pieces)


def _find(message: bytes, key: str) -> int:
    """Where the value of the first such key begins."""
    major, count, at = _head(message, 0)
    if major != _MAP:
        raise CborError("the message is no map")
    if count is not None and count > _LARGEST_MAP:
        raise CborError("the map is too large")
    while count is None or count > 0:
        if count is None and _at_break(message, at):
            break
        at = _skip_tags(message, at)
        found, at = _key(message, at)
        if found == key.encode():
            _head(message, at)  # it is there
            return at
        at = _skip(message, _skip_tags(message, at))
        count = None if count is None else count - 1
    raise CborError(f"{key!r} is missing")


def _key(message: bytes, at: int) -> tuple[bytes | None, int]:
    """A key, ``None`` when it is no text, and where its value begins."""
    if at < len(message) and message[at] >> 5 == _TEXT:
        pieces, end = _pieces(message, at)
        return b"".join(message[start:stop] for start, stop in pieces), end
    return None, _skip(message, at)


def _head(message: bytes, at: int) -> tuple[int, int | None, int]:
    """Major type, number (``None`` for an indefinite length), and where it ends."""
    if at >= len(message):
        raise CborError("the message is cut off")
    major, info = message[at] >> 5, message[at] & 0x1F
    at += 1
    if info < 24:
        return major, info, at
    if info > 27:
        if info == _INDEFINITE and major in (_BYTES, _TEXT, _ARRAY, _MAP):
            return major, None, at
        raise CborError("a number of no known size")
    end = at + (1 << info - 24)
    if end > len(message):
        raise CborError("the message is cut off")
    number = 0
    for byte in message[at:end]:
        number = number << 8 | byte
    if major == _SIMPLE and info == 24 and number < 32:
        raise CborError("a simple value in two bytes that has one")
    return major, number, end


def _pieces(message: bytes, at: int) -> tuple[list[tuple[int, int]], int]:
    """Where the bytes of a string are, and where it ends."""
    major, length, at = _head(message, at)
    if length is not None:
        return [(at, _within(message, at + length))], at + length
    pieces = []
    while not _at_break(message, at):
        kind, length, at = _head(message, at)
        if kind != major or length is None:
            raise CborError("a piece of a string is something else")
        pieces.append((at, _within(message, at + length)))
        at += length
    return pieces, at + 1


def _within(message: bytes, end: int) -> int:
    if end > len(message):
        raise CborError("the message is cut off")
    return end


def _at_break(message: bytes, at: int) -> bool:
    return at < len(message) and message[at] == _BREAK


def _skip_tags(message: bytes, at: int) -> int:
    while at < len(message) and message[at] >> 5 == _TAG:
        _, _, at = _head(message, at)
    return at


def _skip(message: bytes, at: int) -> int:
    """``cbor_value_advance``: over one item, however it is nested."""
    left: list[int | None] = [1]  # items still to come, by depth; None until a break
    maps = [False]
    seen = [0]  # items of the innermost so far: a break may not stand where a value must
    while left:
        if left[-1] is None and _at_break(message, at):
            if maps[-1] and seen[-1] % 2:
                raise CborError("a key without a value")
            at += 1
        elif left[-1] != 0:
            seen[-1] += 1
            left[-1] = None if left[-1] is None else left[-1] - 1
            at = _skip_tags(message, at)
            major, number, after = _head(message, at)
            if major in (_ARRAY, _MAP):
                if number is not None and number > _LARGEST_MAP:
                    raise CborError("a container is too large")
                if len(left) > _DEEPEST:
                    raise CborError("nested too deep")
                left.append(None if number is None else number * (2 if major == _MAP else 1))
                maps.append(major == _MAP)
                seen.append(0)
                at = after
            else:
                at = _pieces(message, at)[1] if major in (_BYTES, _TEXT) else after
            continue
        left.pop()
        maps.pop()
        seen.pop()
    return at


def _signed(number: int) -> int:
    """The cast to ``int``."""
    return (number + 0x80000000 & 0xFFFFFFFF) - 0x80000000
