"""What a chip's ROM prints before the bootloader's first line: the texts and the numbers of the published ROMs.

Both consoles begin with it, that of the model and that of machine code. ``Saved PC`` is not printed: nobody here keeps
the address at which the last run ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from py_esp_ota._core import ImageInfo, inspect_image

_BOOT = "SPI_FAST_FLASH_BOOT"
_MAGIC, _NO_PIN = 0xE9, 0xEE
_MODES = ("QIO", "QOUT", "DIO", "DOUT", "FAST_RD", "SLOW_RD")
_SPEEDS = 3
_EXTENDED = 8
_PINS = ("clk", "q", "d", "cs0", "hd", "wp")


@dataclass(frozen=True, slots=True)
class RomVoice:
    """How one chip's ROM speaks.

    ``banners``: from which revision on (major * 100 + minor) it says what. ``straps``: the word of the strapping pins
    of a board that leaves them free. ``reasons``: the reset reasons' names.
    """

    banners: tuple[tuple[int, tuple[str, ...]], ...]
    straps: int
    reasons: Mapping[int, str]
    #: The pin of the flash's write protection is told even when there is none; a word before the mode.
    tells_wp: bool = True
    before_mode: str = ""
    #: The ESP32's own: always the strength of the pins, and lengths in decimal.
    classic: bool = False


def _named(name: str, date: str) -> tuple[str, ...]:
    return f"ESP-ROM:{name}", f"Build:{date}"


_ESP32 = {
    1: "POWERON_RESET", 3: "SW_RESET", 5: "DEEPSLEEP_RESET", 7: "TG0WDT_SYS_RESET", 8: "TG1WDT_SYS_RESET",
    9: "RTCWDT_SYS_RESET", 12: "SW_CPU_RESET", 16: "RTCWDT_RTC_RESET",
}  # fmt: skip
_RTC = {
    1: "POWERON", 3: "RTC_SW_SYS_RST", 5: "DSLEEP", 7: "TG0WDT_SYS_RST", 8: "TG1WDT_SYS_RST", 9: "RTCWDT_SYS_RST",
    12: "RTC_SW_CPU_RST", 16: "RTCWDT_RTC_RST",
}  # fmt: skip
_LP = {
    1: "POWERON", 3: "LP_SW_HPSYS", 5: "SLEEP_WAKEUP", 7: "TG0_WDT_HPSYS", 8: "TG1_WDT_HPSYS", 9: "LP_WDT_HPSYS",
    12: "SW_CPU", 16: "LP_WDT_SYS",
}  # fmt: skip
_HP = {**_LP, 3: "RTC_SW_HPSYS", 9: "RTC_WDT_HPSYS", 16: "RTC_WDT_SYS"}

VOICES: Mapping[str, RomVoice] = {
    "esp32": RomVoice(
        ((0, ("ets Jun  8 2016 00:22:57", "")), (300, ("ets Jul 29 2019 12:21:46", ""))), 0x13, _ESP32, classic=True
    ),
    "esp32s2": RomVoice(((0, _named("esp32s2-rc4-20191025", "Oct 25 2019")),), 0x8, _RTC),
    "esp32s3": RomVoice(((0, _named("esp32s3-20210327", "Mar 27 2021")),), 0x8, _RTC),
    "esp32c2": RomVoice(((0, _named("esp8684-api2-20220127", "Jan 27 2022")),), 0xC, _RTC),
    "esp32c3": RomVoice(
        (
            (0, _named("esp32c3-20200918", "Sep 18 2020")),
            (3, _named("esp32c3-api1-20210207", "Feb  7 2021")),
            (101, _named("esp32c3-eco7-20230720", "Jul 20 2023")),
        ),
        0xD,
        _RTC,
    ),
    "esp32c5": RomVoice(
        ((0, _named("esp32c5-20240329", "Mar 29 2024")), (100, _named("esp32c5-eco2-20250121", "Jan 21 2025"))),
        0x18,
        _HP,
        tells_wp=False,
        before_mode="SPI ",
    ),
    "esp32c6": RomVoice(((0, _named("esp32c6-20220919", "Sep 19 2022")),), 0xC, _LP),
    "esp32c61": RomVoice(
        ((0, _named("esp32c61-eco3-20250228", "Feb 28 2025")),), 0xC, _HP, tells_wp=False, before_mode="SPI "
    ),
    "esp32h2": RomVoice(((0, _named("esp32h2-20221101", "Nov  1 2022")),), 0xC, _LP),
}


def reset_lines(chip: str, revision: int, reason: int) -> tuple[str, ...]:
    """Which ROM it is, why the chip was reset, what its strapping pins say; nothing for a chip that is not here."""
    voice = VOICES.get(chip)
    if voice is None:
        return ()
    banner = max((since, lines) for since, lines in voice.banners if since <= revision)[1]
    return *banner, f"rst:0x{reason:x} ({voice.reasons.get(reason, 'N/A')}),boot:0x{voice.straps:x} ({_BOOT})"


@lru_cache(maxsize=32)
def loading_lines(chip: str, image: bytes) -> tuple[str, ...]:
    """How the bootloader at the beginning of ``image`` is loaded; nothing where none lies."""
    voice, info = VOICES.get(chip), inspect_image(image)
    if voice is None or info.header is None or info.header.magic != _MAGIC or not info.segments:
        return ()
    return *_flash(voice, image), *_segments(voice, info)


def _flash(voice: RomVoice, image: bytes) -> Iterator[str]:
    """``mode`` and the like: bytes 2 and 3 of the header, and from its 9th on the pins."""
    mode, speed = image[2], image[3] & 0xF
    protect, *strengths = image[_EXTENDED : _EXTENDED + 4]
    if voice.tells_wp or protect != _NO_PIN:
        yield f"{'configsip: 0, ' if voice.classic else ''}SPIWP:0x{protect:02x}"
    if voice.classic or any(strengths):
        nibbles = chain.from_iterable((byte & 0xF, byte >> 4) for byte in strengths)
        yield ",".join(f"{pin}_drv:0x{drive:02x}" for pin, drive in zip(_PINS, nibbles, strict=True))
    name = _MODES[mode] if mode < len(_MODES) else "N/A"
    yield f"{voice.before_mode}mode:{name}, clock div:{speed + 2 if speed < _SPEEDS else 1}"


def _segments(voice: RomVoice, info: ImageInfo) -> Iterator[str]:
    for segment in info.segments:
        length = f"{segment.length}" if voice.classic else f"0x{segment.length:x}"
        yield f"load:0x{segment.load_addr:08x},len:{length}"
    entry = 0 if info.header is None else info.header.entry_addr
    yield f"entry 0x{entry:08x}"
