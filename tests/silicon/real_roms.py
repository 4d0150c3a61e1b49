"""Real ROMs by package name, and one function called on both: ours, and the ROM's own machine code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from builds import fetched_release

from py_esp_ota.chip import Chip
from py_esp_ota.cli.corpus import Release
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.engines.engine import MemoryFault
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.rom.elf import read_elf
from py_esp_ota.silicon.rom.real import rom_image
from py_esp_ota.silicon.words import to_word

ROMS = {
    "esp32c3": ("esp32c3_rev300", "19ac22e08707df926fb0cf4c54795d4067b983fae8635f396ded173a6d78fc3c"),
    "esp32c6": ("esp32c6_rev0", "788e1d38724aeb8fd974fa10c4a7b089c02627d35342ce84b9e0b12b239f3551"),
    "esp32c2": ("esp32c2_rev100", "8f1c0fefbe7b2531d34733d0181a1f41d34319f7eba7d808628b54a4e80dcce4"),
    "esp32h2": ("esp32h2_rev0", "f3aa0a0325947c4dfe886d7c342b84682b54c3374324fec08c7347d3cb1f0bde"),
    "esp32c5": ("esp32c5_rev100", "49693d745eb4b4e6e6c77be4f5213765d545d8c7a1d9742a8a619bf596c4e27a"),
    "esp32c61": ("esp32c61_rev100", "c4ee94d3a8e335da4ef5f30a8a1ebb9691e639f1c773f484e9ba721aa1557c2e"),
}
#: Of other revisions.
OTHER_ROMS = {
    "esp32c3_rev0": "11d565922e0a405b477756de748a14046f86dfb40d997766252a04cb378f0694",
    "esp32c3_rev101": "9495e1453f36f7eec4112714ea1dca22d77808776adffa93dda7dda4393e8336",
}
XTENSA_ROMS = {
    "esp32_rev0": "bef39889393de40d7ae8dcf1cfe0bba32435a96a0b6ec35839724a9fddd6049f",
    "esp32_rev300": "920b70635440517866aab2230964a570d2cf2b676658d93c52fbac108c1cca31",
    "esp32s2_rev0": "cabae5c901fe816aea5e74fbb621ad6479ad1b399d6e7212295191559654572d",
    "esp32s3_rev0": "c0ce0f338d1de1bdc6efbef1591779a2a42c1ab7d759d3c6ae8ae63a7dd34cfd",
}
_BUDGET = 2_000_000
_RA, _SP, _A0 = 1, 2, 10
_STAY = b"\x01\xa0"  # c.j to itself


def real_rom(chip: str) -> bytes:
    """The ROM of ``chip`` with its symbols, as Espressif publishes it. Skips the test when it cannot be had."""
    others = {**OTHER_ROMS, **XTENSA_ROMS}
    name, sha256 = (chip, others[chip]) if chip in others else ROMS[chip]
    return fetched_release(
        Release("espflash", "4.5.0", f"espflash-4.5.0/resources/roms/{name}_rom.elf", sha256, crate=True)
    )


@dataclass(frozen=True)
class Reasons:
    """The names of the reset reasons in a ROM, and where the first one's address stands."""

    sections: tuple[tuple[int, bytes], ...]
    first: int

    def name(self, reason: int) -> str:
        """What ROM calls this one."""
        return self._text(int.from_bytes(self._at(self.first + 4 * (reason - 1))[:4], "little"))

    def _at(self, address: int) -> bytes:
        return next(data[address - base :] for base, data in self.sections if base <= address < base + len(data))

    def _text(self, address: int) -> str:
        return self._at(address).split(b"\0", 1)[0].decode()


def reasons(chip: str) -> Reasons:
    """By the one place that holds the address of ``POWERON``."""
    sections = read_elf(real_rom(chip)).sections
    texts = [base + data.index(b"POWERON\0") for base, data in sections if b"POWERON\0" in data]
    places = [base + data.index(to_word(text)) for text in texts for base, data in sections if to_word(text) in data]
    (first,) = places
    return Reasons(sections, first)


@dataclass(frozen=True)
class Called:
    """What a call left: a0 and a1, and the memory that it was given."""

    a0: int
    a1: int
    memory: bytes
    text: str


class Side:
    """One of the two. It is the watcher of its CPU."""

    def __init__(self, chip: str, rom: bytes | None) -> None:
        soc = SOCS[chip]
        image = None if rom is None else rom_image(rom, soc)
        self.hardware = Hardware(soc, count=False, rom=image)
        self.hardware.attach(Chip(chip))
        self.hardware.clear()
        base = soc.ram[0].windows[0][0]
        self.space, self._back = base + 0x8000, soc.ram[0].windows[-1][0] + 0x1000
        if rom is not None:
            self.lend_newlib(symbols_of(chip)["syscall_table_ptr"])
        self.hardware.cpu.watcher = self
        self.hardware.cpu.watch_blocks(lambda _address: self.hardware.cpu.stop(), self._back, self._back)

    @property
    def table(self) -> int:
        """What an app gives to ROM's C library: functions by a table, all of which return ``lent``."""
        return self.space + 0x4000

    @property
    def lent(self) -> int:
        """Where errno is, and free memory."""
        return self.space + 0x5000

    def lend_newlib(self, pointer: int) -> None:
        """Let ROM have the table."""
        table, errno = self.table, self.lent
        upper = errno + 0x800 & 0xFFFFF000
        give_errno = [upper | 10 << 7 | 0x37, (errno - upper & 0xFFF) << 20 | 10 << 15 | 10 << 7 | 0x13, 0x00008067]
        self.hardware.store(self.code + 0x100, b"".join(map(to_word, give_errno)))
        self.hardware.store(table, to_word(self.code + 0x100) * 64)
        self.hardware.store(pointer, to_word(table))

    def knows(self, address: int, name: str, function: Callable[..., object]) -> None:
        """This function of ours is at ``address``."""
        self.hardware.functions[address] = (name, function)

    def call(self, address: int, args: list[int], memory: bytes, *, code: bytes = b"") -> Called:
        """Call it with ``memory`` at ``space`` and ``code`` that can be executed."""
        cpu = self.hardware.cpu
        self.hardware.ended = self.hardware.trapped = None
        self.hardware.text.clear()
        cpu.store(self.space, memory)
        cpu.store(self._back, _STAY + b"\0\0" + code)
        for index in range(8):
            cpu.engine.set_register(_A0 + index, args[index] if index < len(args) else 0)
        for index in (*range(5, 8), *range(28, 32)):
            cpu.engine.set_register(index, 0)
        cpu.engine.set_register(_SP, self.hardware.soc.stack_top - 0x100)
        cpu.engine.set_register(_RA, self._back)
        cpu.grant(100_000)
        cpu.go(address, _BUDGET)
        assert self.hardware.trapped is None, self.hardware.trapped
        assert cpu.pc == self._back, f"still at 0x{cpu.pc:08x}"
        a0, a1 = (cpu.engine.register(_A0 + index) for index in range(2))
        return Called(a0, a1, cpu.load(self.space, len(memory)), str(self.hardware.text))

    @property
    def code(self) -> int:
        """Where ``code`` of a call lies."""
        return self._back + 4

    # What the CPU asks.

    def rom_call(self, address: int) -> bool:
        return self.hardware.call_rom(address)

    def exception(self, cause: int, address: int) -> None:
        self.hardware.trap(f"exception {cause}", address)

    def fault(self, error: MemoryFault, address: int) -> None:
        self.hardware.trap(str(error), address)

    def csr(self, number: int) -> int | None:
        return self.hardware.csr(number)


@cache
def symbols_of(chip: str) -> Mapping[str, int]:
    """The names in the ROM of ``chip``."""
    return read_elf(real_rom(chip)).symbols


@cache
def both_sides(chip: str) -> tuple[Side, Side]:
    """Ours and the real one, kept for all tests of a process."""
    return Side(chip, None), Side(chip, real_rom(chip))
