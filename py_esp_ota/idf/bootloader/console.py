"""What the second-stage bootloader prints before it looks at the partition table, and the clock it prints with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from py_esp_ota._core import BootloaderDesc, Flash, ImageHeader, Target, inspect_image
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import ImageError
from py_esp_ota.idf.features import features
from py_esp_ota.idf.log import Line, Log
from py_esp_ota.releases import release_text
from py_esp_ota.sdkconfig import Sdkconfig

#: The version printed when no bootloader image is in flash and no release was asked for.
DEFAULT_IDF_VER = "v6.1"
#: What is printed for an image that does not say its version, when nobody else does.
_UNKNOWN = "unknown"
#: With a zero byte behind it: the text that a build without a descriptor prints as its version.
_VERSION_STRING = re.compile(rb"(?:v\d+\.\d+(?:\.\d+)?|(?<=\0)\d+\.\d+\.\d+(?:\.\d+)?)(?:-[\w.-]+)?(?=\0)")

#: ``bootloader_check_wdt_reset``: the resets by a watchdog that it speaks of. The RTC's, when it resets the RTC as well
#: (RTCWDT_RTC), is not among them.
_WDT_RESETS = frozenset({ResetReason.TG0WDT_SYS, ResetReason.TG1WDT_SYS, ResetReason.RTCWDT_SYS})

#: First address, and the first behind.
Section = tuple[int, int]

_IMAGE_MAGIC = 0xE9
_HEADER_SIZE = 24
_DESC_OFFSET = 0x20
_MOVED_BY = 0x400
_BY_MAJOR = frozenset({"esp32", "esp32s2", "esp32h2"})
_ROOM = 0x8000
_DESC_SIZE = 80
_DIO = 2
_DIV_1 = 0xF
_MIB = 0x100000

#: ``print_flash_info`` (bootloader_support/bootloader_flash/src/bootloader_flash_config_<chip>.c): base clock divided
#: by 1, 2, 3, 4 for the header's speed codes 0xF, 0, 1, 2. Any other code is taken for the slowest.
_SPEED_80 = {0xF: "80MHz", 0: "40MHz", 1: "26.7MHz", 2: "20MHz"}
_SPEED_64 = {0xF: "64MHz", 0: "32MHz", 1: "21.3MHz", 2: "16MHz"}
_SPEED_60 = {0xF: "60MHz", 0: "30MHz", 1: "20MHz", 2: "15MHz"}
_SPEEDS = {
    "esp32c2": _SPEED_60,
    "esp32h2": _SPEED_64,
    "esp32h21": _SPEED_64,
    "esp32h4": _SPEED_64,
}
_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT", 4: "FAST READ"}


class BootLog(Log):
    """The console of one run, with the milliseconds since reset: a deterministic guess, not a simulation.

    The console is 115200 baud and waited for; the flash takes what a typical 4 MiB chip's data sheet says. Nothing else
    takes time.
    """

    _RESET_TO_FIRST_LINE_US = 24_000
    _CHARACTER_US = 87
    _READ_BYTES_PER_US = 10
    _PROGRAM_US = 600
    _ERASE_US = 45_000

    def __init__(self, flash: Flash, sink: Callable[[str], None] | None = None) -> None:
        super().__init__(lambda: 0, sink)
        self._flash = flash
        self._at_reset = flash.stats
        self._console_us = 0

    def block(self, lines: Iterable[Line]) -> None:
        """Lines with nothing between them, so the flash's share of the time is one for all."""
        then, now = self._at_reset, self._flash.stats
        flash_us = (now.read_bytes - then.read_bytes) // self._READ_BYTES_PER_US
        flash_us += (now.programs - then.programs) * self._PROGRAM_US + (now.erases - then.erases) * self._ERASE_US
        start_us = self._RESET_TO_FIRST_LINE_US + flash_us
        for level, tag, text in lines:
            line = f"{level} ({(start_us + self._console_us) // 1000}) {tag}: {text}"
            self._console_us += (len(line) + 2) * self._CHARACTER_US
            self.lines.append(line)
            if self._sink is not None:
                self._sink(line)

    def _print(self, level: str, tag: str, text: str) -> None:
        self.block(((level, tag, text),))


@dataclass(frozen=True, slots=True)
class InstalledBootloader:
    """What the bootloader reads of its own image. The image may be absent: the emulated one needs no machine code.

    ``idf_ver`` is ``None`` when its bytes do not say it, ``""`` without an image.
    """

    idf_ver: str | None
    date_time: str
    spi_speed: int
    spi_mode: int
    flash_size: int
    min_chip_rev_full: int = 0
    min_chip_rev: int = 0


def read_bootloader_header(chip: Chip, address: int) -> InstalledBootloader:
    """``bootloader_read_bootloader_header`` (components/bootloader_support/src/bootloader_init.c).

    Without an image of this chip at ``address``: 80 MHz, DIO, and the size of the flash itself.
    """
    data = chip.flash.mmap(address, _DESC_OFFSET + _DESC_SIZE)
    installed = _installed(data, chip.target.chip_id, chip.flash.size)
    if installed.idf_ver is None:  # releases before v5.2 have no descriptor
        return replace(installed, idf_ver=_version_in(chip.flash.mmap(address, min(_ROOM, chip.flash.size - address))))
    return installed


@lru_cache(maxsize=32)
def _version_in(data: bytes) -> str | None:
    """The first text that is a version. Kept as well: the search takes as long as a boot."""
    said = _VERSION_STRING.search(data)
    return said[0].decode() if said else None


@lru_cache(maxsize=32)
def _installed(data: bytes, chip_id: int, flash_size: int) -> InstalledBootloader:
    """What the first bytes of an image say. The same bytes say the same, so it is kept."""
    header = ImageHeader.from_bytes(data[:_HEADER_SIZE])
    if header.magic != _IMAGE_MAGIC or header.chip_id != chip_id:
        return InstalledBootloader("", "", _DIV_1, _DIO, flash_size)
    # update_flash_config: a size code that is none of the eight means 2 MB.
    coded_size = _MIB << header.spi_size if header.spi_size < 8 else 2 * _MIB
    try:
        desc = BootloaderDesc.from_bytes(data[_DESC_OFFSET:])
    except ImageError:
        version, built = None, ""
    else:
        version, built = desc.idf_ver, desc.date_time
    least = header.min_chip_rev_full, header.min_chip_rev
    return InstalledBootloader(version, built, header.spi_speed, header.spi_mode, coded_size, *least)


def loader_sections(chip: Chip, address: int) -> tuple[Section | None, Section | None]:
    """Where code and data of the bootloader at ``address`` lie, as far as no app may overwrite them.

    ``_loader_text_start`` to ``_loader_text_end`` and ``_dram_start`` to ``_dram_end``, each in a segment of its own;
    ``None`` for one that is not there.
    """
    if chip.flash.mmap(address, 1)[0] != _IMAGE_MAGIC:
        return None, None
    return _sections_in(chip.flash.mmap(address, min(_ROOM, chip.flash.size - address)), chip.target.name)


@lru_cache(maxsize=32)
def _sections_in(data: bytes, name: str) -> tuple[Section | None, Section | None]:
    target = Target(name)
    segments = inspect_image(data, chip=name, kind="bootloader").segments
    low, high = target.loader_text
    text = next((s for s in segments if low <= s.load_addr < high), None)
    begin, end = target.loader_data
    static = next((s for s in segments if begin <= s.load_addr < end), None)
    code = None if text is None else (text.load_addr, text.load_addr + text.length)
    if static is None:
        return code, None
    # What is zeroed lies before what is in the image. Older releases have all of it some whole 4 KiB higher.
    moved = (static.load_addr - begin) // _MOVED_BY * _MOVED_BY
    return code, (begin + moved, static.load_addr + static.length)


def print_banner(log: Log, chip: Chip, installed: InstalledBootloader, config: Sdkconfig) -> bool:
    """``bootloader_init`` (components/bootloader_support/src/<chip>/bootloader_<chip>.c): the lines of a default build.

    The compile time appears only when the image in flash says it. False when the chip is older than that image allows
    (``bootloader_check_bootloader_validity``), which ends the run.
    """
    revisions = chip.efuse.chip_revision, chip.efuse.block_revision
    page = config.mmu_page_size or chip.target.mmu_page_size(installed.flash_size)
    lines = _banner(chip.target.name, revisions, installed, config.idf_version, page, unicore=config.freertos_unicore)
    release = features(config.idf_version)
    number = _one_number(chip.target.name, revisions[0], known=release.says_full_revision)
    fits = revisions[0] >= installed.min_chip_rev_full if release.full_revisions else number >= installed.min_chip_rev
    if fits and chip.reset_reason in _WDT_RESETS:
        lines = (*lines[:-1], *_wdt_lines(chip.target, config.idf_version), lines[-1])
    log.block(lines)
    return fits


def _wdt_lines(target: Target, idf_version: tuple[int, int, int]) -> Iterator[Line]:
    """``bootloader_check_wdt_reset``: a line for each core, shorter on the ESP32 where a letter matters.

    ESP32 and ESP32-S2 also say where each core was then (``WDT rst info``), which nobody here knows.
    """
    stop = "" if target.name == "esp32" and features(idf_version).short_wdt_lines else "."
    for cpu in ("PRO", "APP")[: target.cores]:
        yield "W", f"boot.{target.name}", f"{cpu} CPU has been reset by WDT{stop}"


def _one_number(name: str, revision: int, *, known: bool) -> int:
    """What releases before v4.4.5 and v5.0.1 compare, and call the revision: on each chip one of its two numbers."""
    major, minor = divmod(revision, 100)
    if name not in {"esp32", "esp32c3"} and not known:
        return 0
    return major if name in _BY_MAJOR else minor


@lru_cache(maxsize=64)
def _banner(
    name: str,
    revisions: tuple[int, int],
    installed: InstalledBootloader,
    idf_version: tuple[int, int, int],
    page: int,
    *,
    unicore: bool,
) -> tuple[Line, ...]:
    target = Target(name)
    tag = f"boot.{name}"
    lines: list[Line] = [("I", "boot", f"ESP-IDF {_version(installed.idf_ver, idf_version)} 2nd stage bootloader")]
    if installed.date_time:
        lines.append(("I", "boot", f"compile time {installed.date_time}"))
    release = features(idf_version)
    if target.cores > 1 and release.says_cores:
        lines.append(("W", "boot", "Unicore bootloader") if unicore else ("I", "boot", "Multicore bootloader"))
    number = _one_number(name, revisions[0], known=release.says_full_revision)
    told = _revision(revisions[0]) if release.says_full_revision else str(number)
    lines.append(("I", "boot", f"chip revision: {told}"))
    least = installed.min_chip_rev
    if not release.full_revisions and number < least:
        text = (
            f"This chip is revision {number} but the application is configured for minimum revision {least}. Can't run."
        )
        return (*lines, ("E", "boot_comm", text))
    if not release.full_revisions and number != least:
        lines.append(("I", "boot_comm", f"chip revision: {number}, min. bootloader chip revision: {least}"))
    if name != "esp32" and release.says_block_revision:
        lines.append(("I", "boot", f"efuse block revision: {_revision(revisions[1])}"))
    if release.full_revisions and revisions[0] < installed.min_chip_rev_full:
        wanted, found = _revision(installed.min_chip_rev_full), _revision(revisions[0])
        new, old = (
            f"chip revision check failed. Required >= {wanted}, found {found}.",
            (f"Image requires chip rev >= {wanted}, but chip is {found}"),
        )
        return (*lines, ("E", "boot_comm", new if release.revision_check else old))
    if name == "esp32c2":
        lines.append(("I", tag, f"MMU Page Size  : {page >> 10}K"))
    speeds = _SPEEDS.get(name, _SPEED_80)
    speed = "Boot SPI Speed" if name == "esp32s3" else "SPI Speed     "
    if name == "esp32c6" and release.corrects_speed:
        # 80 MHz builds for this chip carry code 0 because of its ROM, and correct it before they print.
        speeds = {**speeds, 0: "80MHz"}
    lines += [
        ("I", tag, f"{speed} : {speeds.get(installed.spi_speed, speeds[2])}"),
        ("I", tag, f"SPI Mode       : {_MODES.get(installed.spi_mode, 'SLOW READ')}"),
        ("I", tag, f"SPI Flash Size : {installed.flash_size // _MIB}MB"),
        ("I", "boot", "Enabling RNG early entropy source..."),
    ]
    return tuple(lines)


def _version(said: str | None, idf_version: tuple[int, int, int]) -> str:
    """What the bytes say, else the release that was asked for."""
    asked = idf_version != Sdkconfig().idf_version
    return said or (release_text(idf_version) if asked else _UNKNOWN if said is None else DEFAULT_IDF_VER)


def _revision(full: int) -> str:
    return f"v{full // 100}.{full % 100}"
