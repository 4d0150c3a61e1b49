"""The formats of ROM's printf."""

from __future__ import annotations

import pytest

from py_esp_ota.silicon.rom.printf import ets_printf

TEXT = {0x10: "otadata", 0x20: "", 0x30: "é"}


@pytest.mark.parametrize(
    ("form", "words", "text"),
    [
        ("100%%", [], "100%"),
        ("%s|%-10s|%9s|%.3s", [0x10] * 4, "otadata|otadata   |  otadata|otadata"),
        ("%d %u", [0xFFFFFFFF, 0xFFFFFFFF], "-1 4294967295"),
        ("%x %X %08x %5x %p|%-6p|", [0xAB, 0xAB, 0xAB, 0xAB, 0x3FC80, 7], "ab AB 000000ab    ab 0x0003fc80|0x7   |"),
        ("%05d|%5d|%-5d|", [0xFFFFFFF9] * 3, "-0007|   -7|-7   |"),
        ("%c%c", [0x68, 0x1069], "hi"),
        ("%-6s|%6s|", [0x30, 0x30], "é    |    é|"),
        ("%lu %5c", [1, 0x68], "1 h"),
        ("%i %zu %hd", [], "%i %zu %hd"),
        ("%q|%3q|%3%|", [], "%q|%q   |%   |"),
        ("%999999999d", [1], "1".rjust(0x100)),
        ("%", [], "%"),
    ],
)
def test_formats(form, words, text):
    assert ets_printf(form, iter(words), TEXT.__getitem__) == text


def test_a_wide_argument_begins_at_an_even_register():
    # a0 is the format, a1 the word, so that a2 and a3 hold the first wide one.
    assert ets_printf("%d %llu %llx", iter([1, 0, 1, 0xFF, 0]), str) == "1 4294967296 ff"
    assert ets_printf("%llx", iter([0xBAD, 2, 1]), str) == "100000002"
    assert ets_printf("%lld", iter([0xBAD, 0xFFFFFFFE, 0xFFFFFFFF]), str) == "-2"
