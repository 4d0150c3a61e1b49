"""What one chip is to machine code, as data: memory, ROM functions by address, and the few registers that matter.

A chip more is a table more: ``esp32c3.py`` and its like, all listed in ``chips.py``. Addresses are those of ESP-IDF:
``components/soc/<chip>/**/*_reg.h`` and ``components/esp_rom/<chip>/ld/*.ld``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

READ, WRITE, EXECUTE = 1, 2, 4
#: RISC-V with Espressif's extensions, and the two Xtensa cores: of the ESP32, and of the S2 and S3.
Core = Literal["riscv", "lx6", "lx7"]


@dataclass(frozen=True, slots=True)
class Memory:
    """One block of memory, and where the buses show it: base address and access."""

    size: int
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Pages:
    """The sizes an MMU page can have, and the register field that holds the number of the one in use.

    Without a register there is one size.
    """

    sizes: tuple[int, ...] = (0x10000,)
    register: int | None = None
    bit: int = 0

    def size(self, word: int) -> int:
        """The size in use, bytes, when the register holds ``word``. A number that means nothing is the last size."""
        number = word >> self.bit & 3 if self.register is not None else 0
        return self.sizes[min(number, len(self.sizes) - 1)]


@dataclass(frozen=True, slots=True)
class MmuTable:
    """An MMU whose entries are words in memory at ``address``; one with the bit ``invalid`` set shows nothing."""

    address: int
    entries: int
    invalid: int
    pages: Pages = Pages()


@dataclass(frozen=True, slots=True)
class MmuItems:
    """An MMU whose entries lie behind two registers: the number of one, and its content.

    A content shows the flash page in its bits ``mask`` when the bit ``valid`` is set.
    """

    index: int
    content: int
    entries: int
    valid: int
    mask: int
    pages: Pages = Pages()


@dataclass(frozen=True, slots=True)
class Gpio:
    """The registers of the pins: output, its enable, input; and the first of the words that say how a pin is pulled."""

    out: int
    enable: int
    input: int
    mux: int


@dataclass(frozen=True, slots=True)
class RomData:
    """The window at ``base`` through which code sees ROM from ``offset`` on as data."""

    base: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class SpiLayout:
    """Where the flash controller has its registers, as offsets.

    ``address_above``: the address of a user command is in the upper bits of its register.
    """

    user: int = 0x18
    user1: int = 0x1C
    user2: int = 0x20
    sent: int = 0x24
    received: int = 0x28
    status: int = 0x2C
    data: int = 0x58
    address_above: bool = False


#: Of all chips but the ESP32.
NEWER = SpiLayout()


@dataclass(frozen=True, slots=True)
class Sha:
    """The SHA accelerator: its base; whether state and message share one memory, as on the ESP32."""

    base: int
    shared: bool = False


#: One piece of an eFuse field: register, lowest bit, width. A field has one or two, the lowest bits first.
Fuse = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Soc:
    """One chip. Sizes and addresses are bytes."""

    name: str
    ram: tuple[Memory, ...]
    #: Never empty of code: every word returns to its caller, and the table says what happened before.
    rom: Memory
    #: Where ROM's data is seen, when that is not ROM's own place.
    rom_data: RomData | None
    #: Words of its data that code reads: ROM's layout, by which newer chips protect its memory.
    rom_words: Mapping[int, int]
    #: What the cache shows of the flash, through the MMU: which part of all that the MMU maps, from which byte on, is
    #: shown by this memory.
    flash_windows: tuple[tuple[int, Memory], ...]
    mmu: MmuTable | MmuItems
    #: Where registers are, the CPU's own among them: from one address up to another.
    registers: tuple[tuple[int, int], ...]
    stack_top: int
    #: Where ROM keeps the address of ``esp_rom_spiflash_chip_t``, and a place for that.
    legacy_data: int
    legacy_struct: int
    rom_functions: Mapping[int, str]
    #: Bases of SPI0 (the cache's) and SPI1 (the one commands are sent by).
    spi0: int
    spi1: int
    #: A word written here is a letter printed.
    consoles: frozenset[int]
    rng: int
    #: Bit 31 of this register resets the chip.
    reset_register: int
    #: Registers that do not begin at zero.
    reset_values: Mapping[int, int]
    #: Bits by which hardware says that it is done or ready, which it always is here, by register.
    ready: Mapping[int, int]
    #: Bits that start something, and read as zero when it is done: at once.
    taken: Mapping[int, int]
    #: eFuse fields by ESP-IDF's names, in lower case.
    efuses: Mapping[str, tuple[Fuse, ...]]
    #: CSRs that count cycles, and those that are written only.
    cycle_csrs: frozenset[int]
    #: Counters of the RISC-V standard that the CPU under us has too, running with the host's time; and ours instead.
    standard_counters: Mapping[int, int]
    silent_csrs: frozenset[int]
    core: Core = "riscv"
    #: Where ROM begins to run after a reset. Such a chip runs on its real ROM alone, which loads the bootloader itself
    #: and finds here the registers that it wants; ``None``: our functions stand for ROM, and the bootloader is in RAM.
    rom_start: int | None = None
    #: Where the real ROM has some of its functions, by which it is known.
    rom_marks: Mapping[str, int] = field(default_factory=dict)
    #: Registers that the bus shows at other addresses too: from, up to, and where they are.
    aliases: tuple[tuple[int, int, int], ...] = ()
    #: Bits that switch the cache on: what the MMU maps by then is seen.
    cache_on: Mapping[int, int] = field(default_factory=dict)
    #: Bits that follow others: while the first is set the second reads as one, else as zero.
    follows: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    #: Registers whose word is gone once it was read: commands that are under way for a moment.
    fleeting: frozenset[int] = frozenset()
    #: Where the reason of the last reset stands: register and lowest bit, for each core.
    reset_reasons: tuple[tuple[int, int], ...] = ()
    spi_layout: SpiLayout = NEWER
    #: The timer group by which a bootloader measures clocks, and the fast RC oscillator, Hz.
    timer_group: int | None = None
    fast_hz: int = 17_500_000
    #: The accelerator that ROM hashes with.
    sha: Sha | None = None
    #: How eFuses tell the major revision, where that is not the number itself.
    major_codes: tuple[int, ...] = ()
    #: Functions of ROM that have no place in its list: code calls them at an address that it takes from the revision.
    unlisted: Mapping[int, str] = field(default_factory=dict)
    #: Where ROM keeps its ``UartDevice``, and the address of the functions that an app's C library lends it.
    uart_device: int = 0
    syscall_table: int = 0
    #: ``None`` where pins read as they were written.
    gpio: Gpio | None = None
