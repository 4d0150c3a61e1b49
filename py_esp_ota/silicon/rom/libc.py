"""The C library and the compiler's helpers that ROM carries: what apps call instead of carrying their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from py_esp_ota.silicon.rom.functions import Calls, Function, block_length, text_at
from py_esp_ota.silicon.words import signed, to_word, word

_WORD, _LONG = 32, 64
#: More than a chip has of RAM.
_LARGEST_ARRAY = 0x100000
_INT_DIGITS = 20
_MASK, _LONG_MASK = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def _raw(cpu: Calls, index: int) -> bytes:
    """The bytes of a C string."""
    return text_at(cpu, cpu.arg(index))


def _order(one: bytes, two: bytes) -> int:
    return (one > two) - (one < two)


# ------------------------------------------------------------------------------------------------------------ string.h


def memmove(cpu: Calls) -> None:
    """``memmove``."""
    cpu.store(cpu.arg(0), cpu.load(cpu.arg(1), block_length(cpu, 2)))


def memchr(cpu: Calls) -> int:
    """``memchr``; the length may be without end, when the byte is known to be there."""
    start, wanted, length = cpu.arg(0), cpu.arg(1) & 0xFF, cpu.arg(2)
    passed = 0
    while passed < length:
        part = cpu.load(start + passed, min(64 - (start + passed) % 64, length - passed))
        at = part.find(wanted)
        if at >= 0:
            return start + passed + at
        passed += len(part)
    return 0


def memrchr(cpu: Calls) -> int:
    """``memrchr``."""
    at = cpu.load(cpu.arg(0), block_length(cpu, 2)).rfind(cpu.arg(1) & 0xFF)
    return 0 if at < 0 else cpu.arg(0) + at


def bzero(cpu: Calls) -> None:
    """``bzero``."""
    cpu.store(cpu.arg(0), bytes(block_length(cpu, 1)))


def strlen(cpu: Calls) -> int:
    """``strlen``."""
    return len(_raw(cpu, 0))


def strnlen(cpu: Calls) -> int:
    """``strnlen``."""
    return min(len(text_at(cpu, cpu.arg(0), longest=cpu.arg(1))), cpu.arg(1))


def strcmp(cpu: Calls) -> int:
    """``strcmp``."""
    return _order(_raw(cpu, 0), _raw(cpu, 1))


def strncmp(cpu: Calls) -> int:
    """``strncmp``."""
    length = cpu.arg(2)
    one, two = (text_at(cpu, cpu.arg(index), longest=length)[:length] for index in range(2))
    return _order(one, two)


def strcasecmp(cpu: Calls) -> int:
    """``strcasecmp``."""
    return _order(_raw(cpu, 0).lower(), _raw(cpu, 1).lower())


def strncasecmp(cpu: Calls) -> int:
    """``strncasecmp``."""
    length = cpu.arg(2)
    one, two = (text_at(cpu, cpu.arg(index), longest=length)[:length].lower() for index in range(2))
    return _order(one, two)


def strcpy(cpu: Calls) -> None:
    """``strcpy``."""
    cpu.store(cpu.arg(0), _raw(cpu, 1) + b"\0")


def strncpy(cpu: Calls) -> None:
    """``strncpy``: filled up with zeros."""
    length = block_length(cpu, 2)
    cpu.store(cpu.arg(0), text_at(cpu, cpu.arg(1), longest=length)[:length].ljust(length, b"\0"))


def strlcpy(cpu: Calls) -> int:
    """``strlcpy``."""
    text, size = _raw(cpu, 1), cpu.arg(2)
    if size:
        cpu.store(cpu.arg(0), text[: size - 1] + b"\0")
    return len(text)


def strcat(cpu: Calls) -> None:
    """``strcat``."""
    cpu.store(cpu.arg(0) + len(_raw(cpu, 0)), _raw(cpu, 1) + b"\0")


def strncat(cpu: Calls) -> None:
    """``strncat``."""
    length = cpu.arg(2)
    cpu.store(cpu.arg(0) + len(_raw(cpu, 0)), text_at(cpu, cpu.arg(1), longest=length)[:length] + b"\0")


def strlcat(cpu: Calls) -> int:
    """``strlcat``: the length that it would have taken."""
    size = cpu.arg(2)
    text, more = text_at(cpu, cpu.arg(0), longest=size)[:size], _raw(cpu, 1)
    if len(text) < size:
        cpu.store(cpu.arg(0) + len(text), more[: size - len(text) - 1] + b"\0")
    return len(text) + len(more)


def strchr(cpu: Calls) -> int:
    """``strchr``; the terminator is part of the string."""
    at = (_raw(cpu, 0) + b"\0").find(cpu.arg(1) & 0xFF)
    return 0 if at < 0 else cpu.arg(0) + at


def strrchr(cpu: Calls) -> int:
    """``strrchr``."""
    at = (_raw(cpu, 0) + b"\0").rfind(cpu.arg(1) & 0xFF)
    return 0 if at < 0 else cpu.arg(0) + at


def strstr(cpu: Calls) -> int:
    """``strstr``."""
    at = _raw(cpu, 0).find(_raw(cpu, 1))
    return 0 if at < 0 else cpu.arg(0) + at


def strspn(cpu: Calls) -> int:
    """``strspn``."""
    text, known = _raw(cpu, 0), _raw(cpu, 1)
    return next((at for at, byte in enumerate(text) if byte not in known), len(text))


def strcspn(cpu: Calls) -> int:
    """``strcspn``."""
    text, known = _raw(cpu, 0), _raw(cpu, 1)
    return next((at for at, byte in enumerate(text) if byte in known), len(text))


def atoi(cpu: Calls) -> int:
    """``atoi``, ``atol``: the number that a text begins with, or zero."""
    text = _raw(cpu, 0).lstrip(b" \t\n\v\f\r")
    sign, digits = (text[:1], text[1:]) if text[:1] in {b"-", b"+"} else (b"", text)
    digits = digits[: next((at for at, byte in enumerate(digits) if not 0x30 <= byte <= 0x39), len(digits))]
    return int(sign + (digits[:_INT_DIGITS] or b"0"))


# ------------------------------------------------------------------------------------------------------------ stdlib.h


def div(cpu: Calls) -> None:
    """``div``, ``ldiv``: quotient and remainder, in a0 and a1; by zero as the CPU's own instructions do."""
    dividend, divisor = signed(cpu.arg(0)), signed(cpu.arg(1))
    quotient, rest = _divided(dividend, divisor)
    cpu.wide_result(quotient & _MASK | (rest & _MASK) << _WORD)


def absolute(cpu: Calls) -> int:
    """``abs``, ``labs``."""
    return abs(signed(cpu.arg(0)))


def qsort(cpu: Calls) -> Iterator[tuple[int, ...]]:
    """``qsort``: an insertion sort by halving; each comparison calls the code that the app gave."""
    base, count, size, compare = (cpu.arg(index) for index in range(4))
    if not size or count * size > _LARGEST_ARRAY:
        raise ValueError(f"qsort of {count} elements of {size} bytes")
    items = [cpu.load(base + index * size, size) for index in range(count)]
    for index in range(1, count):
        low, high = 0, index
        while low < high:
            middle = (low + high) // 2
            # Both lie in the array, where the code that compares expects them.
            yield compare, base + index * size, base + middle * size
            low, high = (low, middle) if signed(cpu.arg(0)) < 0 else (middle + 1, high)
        items.insert(low, items.pop(index))
        cpu.store(base, b"".join(items))


def _divided(dividend: int, divisor: int) -> tuple[int, int]:
    """C's division: towards zero."""
    if divisor == 0:
        return -1, dividend
    quotient = abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)
    return quotient, dividend - quotient * divisor


# -------------------------------------------------------------------------------------------------------------- libgcc


def _long(cpu: Calls, index: int) -> int:
    return cpu.arg(index) | cpu.arg(index + 1) << _WORD


def _long_math(function: Callable[[int, int], int]) -> Callable[[Calls], None]:
    """Of two 64-bit numbers."""
    return lambda cpu: cpu.wide_result(function(_long(cpu, 0), _long(cpu, 2)) & _LONG_MASK)


def _shift(function: Callable[[int, int], int]) -> Callable[[Calls], None]:
    """Of a 64-bit number by a count."""
    return lambda cpu: cpu.wide_result(function(_long(cpu, 0), cpu.arg(2) & 63) & _LONG_MASK)


def _bits(function: Callable[[int, int], int], width: int) -> Callable[[Calls], int]:
    """Of one number of ``width`` bits."""
    return lambda cpu: function(cpu.arg(0) if width == _WORD else _long(cpu, 0), width)


def _trailing(value: int, width: int) -> int:
    return (value & -value).bit_length() - 1 if value else width


def _signed_long(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    return lambda one, two: function(signed(one, _LONG), signed(two, _LONG))


def _compared(one: int, two: int) -> int:
    return (one > two) - (one < two) + 1


LIBC: Mapping[str, Function] = {
    "memmove": memmove,
    "memchr": memchr,
    "memrchr": memrchr,
    "bzero": bzero,
    "strlen": strlen,
    "strnlen": strnlen,
    "strcmp": strcmp,
    "strncmp": strncmp,
    "strcasecmp": strcasecmp,
    "strncasecmp": strncasecmp,
    "strcpy": strcpy,
    "strncpy": strncpy,
    "strlcpy": strlcpy,
    "strcat": strcat,
    "strncat": strncat,
    "strlcat": strlcat,
    "strchr": strchr,
    "strrchr": strrchr,
    "strstr": strstr,
    "strspn": strspn,
    "strcspn": strcspn,
    "atoi": atoi,
    "atol": atoi,
    "div": div,
    "ldiv": div,
    "abs": absolute,
    "labs": absolute,
    "qsort": qsort,
    "__ashldi3": _shift(lambda value, count: value << count),
    "__lshrdi3": _shift(lambda value, count: value >> count),
    "__ashrdi3": _shift(lambda value, count: signed(value, _LONG) >> count),
    "__muldi3": _long_math(lambda one, two: one * two),
    "__umoddi3": _long_math(lambda one, two: one % two if two else one),
    "__divdi3": _long_math(_signed_long(lambda one, two: _divided(one, two)[0])),
    "__moddi3": _long_math(_signed_long(lambda one, two: _divided(one, two)[1])),
    "__negdi2": _long_math(lambda one, _two: -one),
    "__clzsi2": _bits(lambda value, width: width - value.bit_length(), _WORD),
    "__clzdi2": _bits(lambda value, width: width - value.bit_length(), _LONG),
    "__ctzsi2": _bits(_trailing, _WORD),
    "__ctzdi2": _bits(_trailing, _LONG),
    "__ffssi2": _bits(lambda value, width: (_trailing(value, width) + 1) if value else 0, _WORD),
    "__ffsdi2": _bits(lambda value, width: (_trailing(value, width) + 1) if value else 0, _LONG),
    "__popcountsi2": _bits(lambda value, _width: value.bit_count(), _WORD),
    "__popcountdi2": _bits(lambda value, _width: value.bit_count(), _LONG),
    "__paritysi2": _bits(lambda value, _width: value.bit_count() & 1, _WORD),
    "__bswapsi2": _bits(lambda value, _width: word(to_word(value)[::-1]), _WORD),
    "__bswapdi2": lambda cpu: cpu.wide_result(
        word(to_word(cpu.arg(1))[::-1]) | word(to_word(cpu.arg(0))[::-1]) << _WORD
    ),
    "__cmpdi2": lambda cpu: _compared(signed(_long(cpu, 0), _LONG), signed(_long(cpu, 2), _LONG)),
    "__ucmpdi2": lambda cpu: _compared(_long(cpu, 0), _long(cpu, 2)),
}
