"""What an app may keep in NVS, and how it gets onto a flash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hypothesis import strategies as st

from py_esp_ota._core import Flash, NvsPartition, Partition
from py_esp_ota.strategies.arguments import need

NvsType = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "float", "double", "str", "blob"]
_INTEGERS: tuple[tuple[NvsType, int], ...] = (("u8", 8), ("u16", 16), ("u32", 32), ("u64", 64))
_SIGNED: tuple[tuple[NvsType, int], ...] = (("i8", 8), ("i16", 16), ("i32", 32), ("i64", 64))

#: Entries of 32 bytes that even the smallest partition, of three pages, holds while it is written to.
_ROOM = 200
_NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=15)


@dataclass(frozen=True, slots=True)
class NvsItem:
    """One value under its key."""

    namespace: str
    key: str
    type: NvsType
    value: int | float | str | bytes


@cache
def _values(max_value_size: int) -> st.SearchStrategy[tuple[NvsType, int | float | str | bytes]]:
    def typed(kind: NvsType, values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[NvsType, object]]:
        return st.tuples(st.just(kind), values)

    text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=max_value_size // 4)
    return st.one_of(
        *(typed(kind, st.integers(0, 2**bits - 1)) for kind, bits in _INTEGERS),
        *(typed(kind, st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for kind, bits in _SIGNED),
        typed("float", st.floats(width=32, allow_nan=False)),
        typed("double", st.floats(allow_nan=False)),
        typed("str", text),
        typed("blob", st.binary(max_size=max_value_size)),
    )


@st.composite
def nvs_contents(draw: st.DrawFn, *, max_values: int = 8, max_value_size: int = 64) -> tuple[NvsItem, ...]:
    """Values of every type in some namespaces, each key at most once; ``write_nvs`` puts them on a flash.

    They fit into any NVS partition that can be written to. They shrink to nothing, then to ``u8`` 0 under key ``0``.

    Args:
        max_values: at most so many.
        max_value_size: bytes of the longest text or blob.

    Raises ``InvalidArgument`` when drawn for more than the smallest partition holds.
    """
    for name, value in (("max_values", max_values), ("max_value_size", max_value_size)):
        need(isinstance(value, int) and value >= 0, f"{name} is {value!r}, expected a number from 0 on")
    entries = max_values * (3 + -(-max_value_size // 32))
    need(
        entries <= _ROOM,
        f"{max_values} values of {max_value_size} bytes take {entries} entries; an NVS partition of three pages"
        f" has room for {_ROOM}",
    )
    places = draw(st.lists(st.tuples(_NAMES, _NAMES), max_size=max_values, unique=True))
    return tuple(NvsItem(*place, *draw(_values(max_value_size))) for place in places)


def write_nvs(flash: Flash, partition: Partition, contents: Iterable[NvsItem]) -> NvsPartition:
    """Write the values as an app would, in their order; returns the partition as that app holds it in RAM.

    Raises ``NvsError`` when they do not fit, and ``PowerLoss``.
    """
    nvs = NvsPartition(flash, partition)
    for item in contents:
        nvs.open(item.namespace, "readwrite").set(item.key, item.type, item.value)
    return nvs
