"""Writes, operation by operation: the sequence logged from ESP-IDF, addresses and bytes."""

from __future__ import annotations

import re

import pytest
from nvs_bench import BASE, Nvs

from py_esp_ota.errors import PowerLoss


def spelled(text: str) -> bytes:
    """``feff 00*3 ff*2`` as bytes."""
    out = b""
    for word in text.split():
        if match := re.fullmatch(r"([0-9a-f]{2})\*(\d+)", word):
            out += bytes.fromhex(match[1]) * int(match[2])
        else:
            out += bytes.fromhex(word)
    return out


X40 = b"x" * 40
NS = "000101ff 8ae1d870 617070 00*13 01 ff*7"
# (action, [(offset, bytes on flash afterwards)]), in the order logged.
SEQUENCE = [
    (
        lambda nvs, _: nvs.open("app", "readwrite"),
        [(0, "feffffff 00000000 fe ff*19 842dbab9"), (0x40, NS), (0x20, "feffffff")],
    ),
    (lambda _, app: app.set("a", "u8", 7), [(0x60, "010101ff b17d795a 61 00*15 07 ff*7"), (0x20, "faffffff")]),
    (lambda _, app: app.set("a", "u8", 7), []),
    (lambda _, app: app.set("a", "u8", 8), [(0x80, ""), (0x20, "eaffffff"), (0x20, "e2ffffff")]),
    (
        lambda nvs, _: nvs.open("app", "readwrite_purge").set("a", "u8", 9),
        [(0xA0, ""), (0x20, "a2ffffff"), (0x20, "82ffffff"), (0x80, "00*32")],
    ),
    (
        lambda _, app: app.set("s", "str", "x" * 40),
        [
            (0xC0, "012103ff e32a720e 73 00*15 2900 ffff b57809fe"),
            (0x20, "82feffff"),
            (0xE0, X40[:32].hex()),
            (0x20, "82faffff"),
            (0x100, X40[32:].hex() + "00 ff*23"),
            (0x20, "82eaffff"),
        ],
    ),
    (
        lambda _, app: app.set("b", "blob", bytes(range(70))),
        [
            (0x120, ""),
            (0x20, "82aaffff"),
            (0x140, bytes(range(64)).hex()),
            (0x20, "82aafaff"),  # one word for two entries: codes 9 and 10
            (0x180, bytes(range(64, 70)).hex() + " ff*26"),
            (0x20, "82aaeaff"),
            (0x1A0, ""),
            (0x20, "82aaaaff"),
        ],
    ),
    (
        lambda _, app: app.set("b", "blob", bytes(64)),
        [
            (0x1C0, ""),
            (0x20, "82aaaafe"),
            (0x1E0, "00*32"),  # one write of 64 bytes is two programs where a page of the flash ends
            (0x200, "00*32"),
            (0x20, "82aaaaea"),
            (0x220, ""),
            (0x20, "82aaaaaa"),
            (0x20, "82aa2aaa"),  # the old index, entry 11 ...
            (0x20, "822a00aa"),  # ... and its chunk, entries 7 to 10
        ],
    ),
]
"""Where the text is empty, only address and length are compared."""


@pytest.mark.parametrize("step", range(len(SEQUENCE)))
def test_the_logged_reference_sequence(step):
    bench = Nvs(3)
    nvs, app = bench.init(), None
    for action, _ in SEQUENCE[:step]:
        action(nvs, app)
        app = nvs.open("app", "readwrite")
    action, expected = SEQUENCE[step]
    operations = bench.operations(action, nvs, app)
    assert [offset for offset, _ in operations] == [offset for offset, _ in expected]
    for number, (offset, text) in enumerate(expected, 1):
        again = Nvs(3)
        nvs, app = again.init(), None
        for earlier, _ in SEQUENCE[:step]:
            earlier(nvs, app)
            app = nvs.open("app", "readwrite")
        again.flash.fault = f"cut@{number}"
        if number < len(expected):
            with pytest.raises(PowerLoss):
                action(nvs, app)
        else:
            action(nvs, app)
        again.flash.power_on()
        if text:
            assert again.flash.read(BASE + offset, operations[number - 1][1]) == spelled(text), (number, hex(offset))
