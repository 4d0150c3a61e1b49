"""What a chip is told by: its ROM's name, the tags of its bootloader, where its memory lies. And why it was reset."""

from __future__ import annotations

from collections.abc import Mapping

#: How ROM calls itself, behind ``ESP-ROM:``; the longer names first, for one begins like another.
ROM_NAMES: Mapping[str, str] = {
    "esp32c61": "esp32c61",
    "esp32h21": "esp32h21",
    "esp32s31": "esp32s31",
    "esp8684": "esp32c2",
    **{
        name: name
        for name in ("esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32h2", "esp32h4", "esp32p4")
    },
}

#: Why a chip was reset, by what the word behind ``rst:`` stands for: soc/reset_reasons.h of all chips. The few numbers
#: that mean another thing on one chip are told by ROM's word beside them.
POWER, SOFTWARE, SLEEP, BROWNOUT, WATCHDOG, GLITCH, USB, LOCKUP = (
    "power-on", "software", "deep sleep", "brown-out", "watchdog", "glitch", "USB", "lock-up",
)  # fmt: skip
_REASONS: Mapping[int, str] = {
    0x01: POWER, 0x03: SOFTWARE, 0x04: WATCHDOG, 0x05: SLEEP, 0x06: SOFTWARE, 0x07: WATCHDOG, 0x08: WATCHDOG,
    0x09: WATCHDOG, 0x0B: WATCHDOG, 0x0C: SOFTWARE, 0x0D: WATCHDOG, 0x0E: SOFTWARE, 0x0F: BROWNOUT, 0x10: WATCHDOG,
    0x11: WATCHDOG, 0x12: WATCHDOG, 0x13: GLITCH, 0x14: GLITCH, 0x15: USB, 0x16: USB, 0x17: GLITCH, 0x18: USB,
    0x19: GLITCH, 0x1A: LOCKUP, 0x1B: GLITCH,
}  # fmt: skip
_SUPER_WATCHDOG = 0x12
#: On these POWERON is a brown-out, too: CHIP_BROWN_OUT has the same number as CHIP_POWER_ON.
BROWNOUT_IS_POWERON = frozenset({"esp32s2", "esp32s3", "esp32c3", "esp32c5", "esp32c6", "esp32h2"})

#: Addresses that tell a chip: where its bootloader is loaded to, and where an app is mapped.
_LOADED: tuple[tuple[int, int, str], ...] = (
    (0x3FFF0000, 0x40000000, "esp32"),
    (0x40078000, 0x40080400, "esp32"),
    (0x403CC000, 0x403D2000, "esp32c3"),
)
#: Windows of the cache, where an app is mapped and no bootloader is ever loaded to: of the ESP32, of the S2, and of all
#: that came later.
_MAPPED: Mapping[str, tuple[tuple[int, int], ...]] = {
    "esp32": ((0x3F400000, 0x3F800000), (0x400C2000, 0x40400000)),
    "esp32s2": ((0x3F000000, 0x3FF80000), (0x40080000, 0x40800000)),
}
_MAPPED_LATER = ((0x3C000000, 0x3E000000), (0x42000000, 0x44000000))


def chip_of_rom(name: str) -> str | None:
    """The chip that a ROM's name, ``esp32c3-api1-20210207`` for instance, is of."""
    return next((chip for start, chip in ROM_NAMES.items() if name.startswith(start)), None)


def chip_of_tag(tag: str) -> str | None:
    """The chip in a tag like ``boot.esp32s3``."""
    name = tag.removeprefix("boot.")
    return name if tag.startswith("boot.esp32") else None


def reset_cause(code: int, name: str) -> str:
    """What kind of reset it was: one of the words above, ``""`` for a number that no chip has."""
    for word, cause in (("BROWN", BROWNOUT), ("USB", USB), ("GLITCH", GLITCH), ("LOCKUP", LOCKUP)):
        if word in name.upper():
            return cause
    return _REASONS.get(code, "")


def is_mapped(chip: str | None, address: int) -> bool:
    """Whether an app is mapped there: ROM, which copies a bootloader into RAM, cannot load to it."""
    windows = _MAPPED.get(chip or "", _MAPPED_LATER)
    return any(start <= address < end for start, end in windows)


def chip_of_address(address: int) -> str | None:
    """The chip whose bootloader alone is loaded there."""
    return next((chip for start, end, chip in _LOADED if start <= address < end), None)
