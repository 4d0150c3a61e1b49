"""Apps of the ESP32 begin in the instruction memory that their bootloader ran from: where no jump out of it is seen."""

from __future__ import annotations

import struct

import pytest
from board import Board
from builds import ESP32, bootloader, machine_of

from py_esp_ota.firmware import app_desc, image

ENTRY, IROM, OTA_0 = 0x40081308, 0x400D0020, 0x110000
#: l32r a2, the word eight bytes before; jx a2.
TO_IROM = b"\x21\xfe\xff\xa0\x02\x00"


def app(entry):
    """It goes from its entry straight to its code in flash."""
    over = bytearray(0x2000)
    over[entry - 0x40080408 - 8 : entry - 0x40080408 - 4] = struct.pack("<I", IROM)
    over[entry - 0x40080408 : entry - 0x40080408 + len(TO_IROM)] = TO_IROM
    rodata = app_desc("bench", "1.0.0")
    rodata += bytes(-len(rodata) % 4)
    first = (0x3F400020, rodata)
    at = 24 + 8 + len(rodata) + 8
    padding = (IROM - at) % 0x10000
    second = (IROM, b"\x06\xff\xff" + bytes(61))  # j to itself
    pad = (0, bytes(padding - 8))
    return image([first, pad, second, (0x40080408, bytes(over))], chip="esp32", entry_addr=entry)


@pytest.mark.parametrize("build", ESP32, ids=str)
@pytest.mark.parametrize("entry", [ENTRY, 0x40080648, 0x40082000], ids=["over its code", "over its entry", "behind it"])
def test_the_jump_into_such_an_app_is_known_for_what_it_is(build, entry):
    board = Board("two_ota", "1/VALID", config=build.config, chip="esp32")
    board.chip.flash.program(build.offset, bootloader(build))
    board.flash_app("ota_0", app(entry))
    ended = machine_of("esp32").run(board.chip)
    assert (ended.outcome, ended.entry, ended.slot) == ("APP", entry, OTA_0), ended
