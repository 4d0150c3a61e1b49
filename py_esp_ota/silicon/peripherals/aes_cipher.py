"""AES, block by block (FIPS 197): what the chip's accelerator does in hardware, in plain Python."""

from __future__ import annotations

from functools import lru_cache

_BLOCK = 16
_FIELD = 0x11B
_COLUMN = (2, 3, 1, 1)
_INVERSE_COLUMN = (14, 11, 13, 9)


def _times(left: int, right: int) -> int:
    """The product in the field of 256 elements."""
    product = 0
    while right:
        if right & 1:
            product ^= left
        left, right = left << 1 ^ (_FIELD if left & 0x80 else 0), right >> 1
    return product


def _substitution() -> bytes:
    inverses = [0] * 256
    for left in range(1, 256):
        if not inverses[left]:
            right = next(right for right in range(1, 256) if _times(left, right) == 1)
            inverses[left], inverses[right] = right, left
    return bytes(
        0x63 ^ _turned(one, 0) ^ _turned(one, 1) ^ _turned(one, 2) ^ _turned(one, 3) ^ _turned(one, 4)
        for one in inverses
    )


def _turned(value: int, by: int) -> int:
    return (value << by | value >> 8 - by) & 0xFF


@lru_cache(maxsize=1)
def _tables() -> tuple[bytes, bytes, dict[int, bytes]]:
    """The S-box, its inverse, and the multiples that columns are mixed with."""
    box = _substitution()
    inverse = bytes(box.index(value) for value in range(256))
    factors = {factor: bytes(_times(value, factor) for value in range(256)) for factor in (1, 2, 3, 9, 11, 13, 14)}
    return box, inverse, factors


@lru_cache(maxsize=16)
def _round_keys(key: bytes) -> tuple[bytes, ...]:
    box, _, _ = _tables()
    words, length, power = [key[at : at + 4] for at in range(0, len(key), 4)], len(key) // 4, 1
    while len(words) < 4 * (length + 7):
        new = words[-1]
        if len(words) % length == 0:
            new = bytes(box[value] for value in new[1:] + new[:1])
            new = bytes([new[0] ^ power, *new[1:]])
            power = _times(power, 2)
        elif length > 6 and len(words) % length == 4:
            new = bytes(box[value] for value in new)
        words.append(_xor(words[-length], new))
    return tuple(b"".join(words[at : at + 4]) for at in range(0, len(words), 4))


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _mixed(state: bytes, column: tuple[int, ...]) -> bytes:
    _, _, factors = _tables()
    rows = [factors[factor] for factor in column]
    return bytes(
        rows[-row % 4][state[at]]
        ^ rows[(1 - row) % 4][state[at + 1]]
        ^ rows[(2 - row) % 4][state[at + 2]]
        ^ rows[(3 - row) % 4][state[at + 3]]
        for at in range(0, _BLOCK, 4)
        for row in range(4)
    )


def encrypted(key: bytes, block: bytes) -> bytes:
    """One block of 16 bytes, with a key of 16, 24 or 32."""
    box, _, _ = _tables()
    first, *between, last = _round_keys(key)
    state = _xor(block, first)
    for round_key in (*between, last):
        state = bytes(box[state[(at + 4 * (at % 4)) % _BLOCK]] for at in range(_BLOCK))
        if round_key is not last:
            state = _mixed(state, _COLUMN)
        state = _xor(state, round_key)
    return state


def decrypted(key: bytes, block: bytes) -> bytes:
    """The same, back."""
    _, inverse, _ = _tables()
    first, *between, last = _round_keys(key)
    state = _xor(block, last)
    for round_key in (*reversed(between), first):
        state = bytes(inverse[state[(at - 4 * (at % 4)) % _BLOCK]] for at in range(_BLOCK))
        state = _xor(state, round_key)
        if round_key is not first:
            state = _mixed(state, _INVERSE_COLUMN)
    return state
