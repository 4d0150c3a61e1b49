"""The functions of a chip's ROM that a bootloader calls, each as a small Python function with ROM's own name.

A function gets the machine and reads its arguments with ``arg``; what it returns goes into a0. ``None`` leaves a0 as it
is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import FlashError
from py_esp_ota.silicon.chips.soc import Soc
from py_esp_ota.silicon.clock import Clock
from py_esp_ota.silicon.report import FlashWrite, Outcome
from py_esp_ota.silicon.rom.printf import ets_printf as format_text
from py_esp_ota.silicon.words import crc32_le, md5, sha256, to_word, word

_OK, _ERR = 0, 1
_WP_PAD = 0x3F
_CPU_MHZ = 80
_LONGEST_TEXT = 0x400
#: The most that one call may move: more than any memory of the chips has.
_LONGEST_BLOCK = 0x1000000
_SHA2_256 = 2
#: What code says that stops for good.
LAST_WORDS = ("abort() was called", "assert failed", "Assert failed", "ASSERT failed")


class Calls(Protocol):
    """What a ROM function may do with the chip it runs on."""

    soc: Soc
    chip: Chip
    clock: Clock
    writes: list[FlashWrite]
    digests: dict[int, bytearray]
    #: Address of a text that stands for one of ROM's own.
    no_text: int

    def arg(self, index: int) -> int:
        """Argument ``index``, from a0 on and then from the stack."""

    def load(self, address: int, length: int) -> bytes:
        """Memory or registers."""

    def store(self, address: int, data: bytes) -> None:
        """Into memory or registers."""

    def get_register(self, address: int) -> int:
        """The word of a peripheral's register that was written last."""

    def set_register(self, address: int, value: int) -> None:
        """A store into a peripheral's register."""

    def print(self, text: str) -> None:
        """Text for the console."""

    def end(self, outcome: Outcome) -> None:
        """The run is over."""

    def reset(self, reason: ResetReason) -> None:
        """The chip resets."""

    def map_page(self, entry: int, page: int | None) -> None:
        """One MMU entry."""

    def sync_cache(self) -> None:
        """The cache is on from here: what the MMU maps is seen."""

    def flash_changed(self, address: int, length: int) -> None:
        """What the cache holds of these bytes is old."""

    def wide_result(self, value: int) -> None:
        """A 64-bit result."""


def text_at(cpu: Calls, address: int, *, longest: int = _LONGEST_BLOCK) -> bytes:
    """The bytes of a C string, without its end; at least ``longest`` when there is none before."""
    data = bytearray()
    while len(data) < longest:
        # Up to a boundary that no block of memory crosses, so that a string at its end can be read.
        part = cpu.load(address + len(data), 64 - (address + len(data)) % 64)
        data += part
        if 0 in part:
            break
    return bytes(data).split(b"\0", 1)[0]


def _printed_text(cpu: Calls, address: int) -> str:
    """A C string as text, no longer than 1 KiB; bytes that are no text stay bytes."""
    return text_at(cpu, address, longest=_LONGEST_TEXT)[:_LONGEST_TEXT].decode("utf-8", "surrogateescape")


def _arguments(cpu: Calls, start: int) -> Iterator[int]:
    index = start
    while True:
        yield cpu.arg(index)
        index += 1


# ---------------------------------------------------------------------------------------------------- console and reset


def ets_printf(cpu: Calls) -> None:
    """``ets_printf``. A bootloader's ``abort`` and ``assert`` print their last words, then wait for the watchdog."""
    text = format_text(_printed_text(cpu, cpu.arg(0)), _arguments(cpu, 1), lambda at: _printed_text(cpu, at))
    cpu.print(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    if any(words in text for words in LAST_WORDS):
        cpu.end("ABORT")


def put_char(cpu: Calls) -> int:
    """``uart_tx_one_char``."""
    cpu.print(chr(cpu.arg(0) & 0xFF))
    return _OK


def rtc_get_reset_reason(cpu: Calls) -> int:
    """``rtc_get_reset_reason``."""
    return int(cpu.chip.reset_reason)


def software_reset(cpu: Calls) -> None:
    """``software_reset``."""
    cpu.reset(ResetReason.SW)


# --------------------------------------------------------------------------------------------------------------- memory


def block_length(cpu: Calls, index: int) -> int:
    """An argument that is the length of a block. Raises ``ValueError`` for one longer than any memory."""
    length = cpu.arg(index)
    if length > _LONGEST_BLOCK:
        raise ValueError(f"a block of {length} bytes is longer than the memory")
    return length


def memset(cpu: Calls) -> None:
    """``memset``; a0 is the result already, as in the next one."""
    cpu.store(cpu.arg(0), bytes([cpu.arg(1) & 0xFF]) * block_length(cpu, 2))


def memcpy(cpu: Calls) -> None:
    """``memcpy``; the source may be a peripheral's buffer."""
    cpu.store(cpu.arg(0), cpu.load(cpu.arg(1), block_length(cpu, 2)))


def memcmp(cpu: Calls) -> int:
    """``memcmp``: what lies behind the first difference need not be memory."""
    one, two, length = (cpu.arg(index) for index in range(3))
    while length:
        part = min(length, 64 - one % 64, 64 - two % 64)
        left, right = cpu.load(one, part), cpu.load(two, part)
        if left != right:
            return (left > right) - (left < right)
        one, two, length = one + part, two + part, length - part
    return 0


def udivdi3(cpu: Calls) -> None:
    """``__udivdi3``: all ones for a division by zero."""
    dividend = cpu.arg(0) | cpu.arg(1) << 32
    divisor = cpu.arg(2) | cpu.arg(3) << 32
    cpu.wide_result(dividend // divisor if divisor else (1 << 64) - 1)


# ---------------------------------------------------------------------------------------------------------------- flash


def bootloader_offset(cpu: Calls) -> int:
    """``ets_get_bootloader_offset``: where ROM found the bootloader that runs."""
    return cpu.chip.target.bootloader_offset


#: Words of ``esp_rom_spiflash_chip_t``: device_id, chip_size, block_size, sector_size, page_size, status_mask.
_LEGACY_WORDS = 6


def chip_size(cpu: Calls) -> int:
    """What the driver was told that the flash has, bytes."""
    return word(cpu.load(cpu.soc.legacy_struct + 4, 4))


def config_param(cpu: Calls) -> int:
    """``esp_rom_spiflash_config_param``."""
    cpu.store(cpu.soc.legacy_struct, b"".join(to_word(cpu.arg(index)) for index in range(_LEGACY_WORDS)))
    return _OK


def write(cpu: Calls) -> int:
    """``esp_rom_spiflash_write``; a strict flash refuses what would need an erase first."""
    address, length = cpu.arg(0), cpu.arg(2)
    if address + length > chip_size(cpu):
        return _ERR
    try:
        cpu.chip.flash.program(address, cpu.load(cpu.arg(1), length))
    except FlashError:
        return _ERR
    cpu.writes.append(FlashWrite("program", address, length))
    cpu.flash_changed(address, length)
    return _OK


def read(cpu: Calls) -> int:
    """``esp_rom_spiflash_read``: address, destination, length."""
    address, length = cpu.arg(0), block_length(cpu, 2)
    if address + length > min(chip_size(cpu), cpu.chip.flash.size):
        return _ERR
    cpu.store(cpu.arg(1), cpu.chip.flash.read(address, length))
    return _OK


def sync(cpu: Calls) -> int:
    """``Cache_Enable_ICache``, ``Cache_Resume_ICache``."""
    cpu.sync_cache()
    return 0


def mmu_init(cpu: Calls) -> int:
    """``Cache_MMU_Init``: nothing is mapped."""
    for entry in range(cpu.soc.mmu.entries):
        cpu.map_page(entry, None)
    return 0


def mmu_set(cpu: Calls) -> int:
    """``Cache_Ibus_MMU_Set``, ``Cache_Dbus_MMU_Set``: ext, virtual, physical, page in KiB, pages, fixed."""
    virtual, physical, kib, count, fixed = (cpu.arg(index) for index in range(1, 6))
    page = cpu.soc.mmu.pages.sizes[0]
    if kib << 10 != page or count > cpu.soc.mmu.entries:
        return _ERR
    first = virtual % cpu.soc.flash_windows[0][1].size // page
    for index in range(min(count, cpu.soc.mmu.entries - first)):
        cpu.map_page(first + index, physical // page + (0 if fixed else index))
    return _OK


# --------------------------------------------------------------------------------------------------------------- hashes


def digest_begin(cpu: Calls) -> None:
    """``MD5Init``: the context is known by its address."""
    cpu.digests[cpu.arg(0)] = bytearray()


def sha_init(cpu: Calls) -> int:
    """``ets_sha_init``: context and algorithm, of which bootloaders use SHA-256."""
    if cpu.arg(1) != _SHA2_256:
        raise ValueError(f"SHA algorithm {cpu.arg(1)} is not here, only SHA-256 (2)")
    cpu.digests[cpu.arg(0)] = bytearray()
    return 0


def digest_update(cpu: Calls) -> int:
    """``MD5Update``, ``ets_sha_update``: context, data, length."""
    cpu.digests.setdefault(cpu.arg(0), bytearray()).extend(cpu.load(cpu.arg(1), block_length(cpu, 2)))
    return 0


def mbedtls_md5_finish(cpu: Calls) -> int:
    """``mbedtls_md5_finish_ret``: context, digest."""
    cpu.store(cpu.arg(1), md5(bytes(cpu.digests.pop(cpu.arg(0), b""))))
    return 0


def mbedtls_md5_starts(cpu: Calls) -> int:
    """``mbedtls_md5_starts_ret``."""
    digest_begin(cpu)
    return 0


def md5_final(cpu: Calls) -> None:
    """``MD5Final``: digest, context."""
    cpu.store(cpu.arg(0), md5(bytes(cpu.digests.pop(cpu.arg(1), b""))))


def sha_finish(cpu: Calls) -> int:
    """``ets_sha_finish``: context, digest."""
    cpu.store(cpu.arg(1), sha256(bytes(cpu.digests.pop(cpu.arg(0), b""))))
    return 0


def crc(cpu: Calls) -> int:
    """``crc32_le``: crc, data, length."""
    return crc32_le(cpu.arg(0), cpu.load(cpu.arg(1), block_length(cpu, 2)))


def constant(value: int | None) -> Callable[[Calls], int | None]:
    """A function that does nothing that can be seen here."""
    return lambda _cpu: value


#: What a function of ROM is: it returns a0, or ``None``; one that calls code of the app yields address and arguments.
Function = Callable[[Calls], int | Iterator[tuple[int, ...]] | None]

FUNCTIONS: Mapping[str, Function] = {
    "rtc_get_reset_reason": rtc_get_reset_reason,
    "ets_printf": ets_printf,
    "uart_tx_one_char": put_char,
    "ets_install_uart_printf": constant(None),
    "ets_delay_us": constant(None),
    "uart_tx_flush": constant(None),
    "uart_tx_wait_idle": constant(None),
    "uart_div_modify": constant(None),
    "software_reset": software_reset,
    "esp_rom_spiflash_wait_idle": constant(_OK),
    "esp_rom_spiflash_write": write,
    "esp_rom_spiflash_read": read,
    "esp_rom_spiflash_config_param": config_param,
    "esp_rom_spiflash_config_clk": constant(_OK),
    "spi_dummy_len_fix": constant(None),
    "wdt_hal_init": constant(None),
    "wdt_hal_config_stage": constant(None),
    "wdt_hal_write_protect_disable": constant(None),
    "wdt_hal_write_protect_enable": constant(None),
    "wdt_hal_enable": constant(None),
    "wdt_hal_set_flashboot_en": constant(None),
    "memset": memset,
    "memcpy": memcpy,
    "memcmp": memcmp,
    "ROM_Boot_Cache_Init": constant(None),
    "Cache_Get_Mode": constant(0),
    "Cache_Occupy_ICache_MEMORY": constant(None),
    "Cache_Invalidate_All": constant(0),
    "Cache_Suspend_Cache": constant(0),
    "Cache_Resume_Cache": sync,
    "Cache_WriteBack_Addr": constant(0),
    "Cache_WriteBack_All": constant(None),
    "Cache_WriteBack_Invalidate_Addr": sync,
    "Cache_WriteBack_Invalidate_All": sync,
    "Cache_Freeze_Enable": constant(None),
    "Cache_Freeze_Disable": sync,
    "Cache_Invalidate_ICache_All": constant(None),
    "Cache_Disable_ICache": constant(0),
    "Cache_Enable_ICache": sync,
    "Cache_Disable_Cache": constant(0),
    "Cache_Enable_Cache": sync,
    "Cache_Suspend_ICache": constant(0),
    "Cache_Resume_ICache": sync,
    "Cache_MMU_Init": mmu_init,
    "Cache_Ibus_MMU_Set": mmu_set,
    "Cache_Dbus_MMU_Set": mmu_set,
    "ets_get_bootloader_offset": bootloader_offset,
    "ets_get_cpu_frequency": constant(_CPU_MHZ),
    "ets_update_cpu_frequency": constant(None),
    "gpio_pad_set_drv": constant(None),
    "MD5Init": digest_begin,
    "MD5Update": digest_update,
    "MD5Final": md5_final,
    "mbedtls_md5_starts_ret": mbedtls_md5_starts,
    "mbedtls_md5_update_ret": digest_update,
    "mbedtls_md5_finish_ret": mbedtls_md5_finish,
    "crc32_le": crc,
    "ets_sha_enable": constant(None),
    "ets_sha_disable": constant(None),
    "ets_sha_init": sha_init,
    "ets_sha_update": digest_update,
    "ets_sha_finish": sha_finish,
    "ets_efuse_get_spiconfig": constant(0),
    "ets_efuse_get_wp_pad": constant(_WP_PAD),
    "__udivdi3": udivdi3,
    "rom_i2c_writeReg": constant(None),
    "rom_i2c_writeReg_Mask": constant(None),
}
