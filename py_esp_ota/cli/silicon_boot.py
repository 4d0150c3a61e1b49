"""``esp-ota boot --silicon``: the compiled bootloader runs, and what it did is told beside what our model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from py_esp_ota._core import EFuse, Flash, Target
from py_esp_ota.adapters.emulators import EspEmu, Qemu
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.cli.bootloader_file import placed, read_bootloader
from py_esp_ota.cli.files import Unusable, read_input
from py_esp_ota.cli.inputs import FlashInput
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.roms import rom_of
from py_esp_ota.idf.bootloader.compare import (
    Options,
    as_compiled,
    compiled_options,
    difference,
    engine_difference,
    read_build,
)
from py_esp_ota.idf.bootloader.machine_code import SiliconBoot, SiliconBootDict, silicon_boot
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.can_roll_back import CanRollBack, can_roll_back
from py_esp_ota.silicon.engines.choice import ENGINES, EngineName
from py_esp_ota.silicon.oracle import BootOracle, OwnMachine
from py_esp_ota.silicon.report import Trap
from py_esp_ota.view.visible import uncoloured

if TYPE_CHECKING:
    from py_esp_ota.elf import Symbols

#: Options that a compiled bootloader may contradict.
TOLD = (
    "bootloader_app_rollback_enable",
    "bootloader_app_anti_rollback",
    "bootloader_factory_reset",
    "bootloader_app_test",
    "bootloader_skip_validate_in_deep_sleep",
    "bootloader_skip_validate_always",
    "bootloader_skip_validate_on_power_on",
    "idf_env_bringup",
)

_WRITES_SHOWN = 8


@dataclass(frozen=True)
class Wish:
    """What is to be run and how: the options that go with ``--silicon``.

    ``said`` are options of ``Sdkconfig`` that the user named, in a file or on the command line.
    """

    bootloader: Path | None
    detect_size: bool
    compare: bool
    elf_files: tuple[Path, ...]
    emulator: str
    timeout_s: float
    rom: str | None
    said: Mapping[str, bool]

    def refuse(self, config: Sdkconfig, *, pins: tuple[str, ...], reset_reason: str) -> None:
        """Refuse what cannot be had with machine code. Raises ``Unusable``."""
        if pins and self.emulator not in ENGINES:
            raise Unusable(f"--hold-pin does not go with --emulator {self.emulator}: nobody holds its pins")
        if self.emulator not in ENGINES and self.rom is not None:
            raise Unusable(f"--rom does not go with --emulator {self.emulator}, which has its own")
        if config.secure_boot or config.secure_flash_enc_enabled:
            raise Unusable("--silicon runs no bootloader with CONFIG_SECURE_BOOT or CONFIG_SECURE_FLASH_ENC_ENABLED")
        if self.emulator not in ENGINES and reset_reason != "poweron":
            raise Unusable(f"--reset-reason does not go with --emulator {self.emulator}, which begins with power-on")

    def put(self, given: FlashInput, chip: str) -> tuple[Target, FlashInput]:
        """The chip, and the flash to run: a fork with ``--bootloader`` in it. Raises ``Unusable``."""
        if self.bootloader is None:
            return given.target(chip), given
        image, target = read_bootloader(self.bootloader)
        if chip != "auto":
            target = given.target(chip)
        return target, replace(given, flash=placed(given, image, target, self.bootloader, detect=self.detect_size))

    def take(self, given: FlashInput, original: Flash, target: Target) -> FlashInput:
        """What ``--write`` saves: with the bootloader of ``original``, when ``--bootloader`` took its place."""
        if self.bootloader is None:
            return given
        saved, start = given.flash.fork(), target.bootloader_offset
        length = given.config.partition_table_offset - start
        saved.erase(start, length)
        saved.program(start, original.read(start, length))
        return replace(given, flash=saved)


class AskedDict(SiliconBootDict):
    """The JSON of one boot, with what the bootloader answered."""

    rollback: bool | None
    rollback_reason: str


class CompareDict(TypedDict):
    """The key ``compare``."""

    agree: bool
    difference: str | None
    engines: list[str]
    options: Options


class ComparedDict(AskedDict):
    """The JSON of one boot with ``--compare``."""

    compare: CompareDict


@dataclass(frozen=True)
class Told:
    """One boot, as it is shown."""

    silicon: SiliconBoot
    symbols: tuple[Symbols, ...]
    options: Options
    can: CanRollBack
    #: Who was asked besides the model, with ``--compare``.
    engines: tuple[str, ...] = ()
    difference: str | None = None

    @property
    def compared(self) -> bool:
        """Whether anybody was asked besides the bootloader."""
        return bool(self.engines)

    @property
    def ok(self) -> bool:
        """An app starts, and the model says the same if it was asked."""
        return self.silicon.report.ok and self.difference is None

    def to_dict(self) -> AskedDict:
        """As JSON-ready values."""
        facts = AskedDict(**self.silicon.to_dict(), rollback=self.can.answer, rollback_reason=self.can.reason)
        trap = facts["silicon"]["trap"]
        if trap is not None and trap["symbol"] is None:
            trap["symbol"] = _name(trap["pc"], self.symbols) or None
        if not self.compared:
            return facts
        agree = self.difference is None
        compare: CompareDict = {
            "agree": agree,
            "difference": self.difference,
            "engines": list(self.engines),
            "options": self.options,
        }
        return ComparedDict(**facts, compare=compare)

    def can_roll_back(self) -> str:
        """For people: what the bootloader answers, whatever was booted."""
        word = {True: "yes", False: "no", None: "not known"}[self.can.answer]
        return f"  can roll back: {word}: {self.can.reason}"

    def lines(self) -> list[str]:
        """For people: the console, the reasons, the figures, the comparison."""
        report, run = self.silicon.report, self.silicon.last
        lines = [*map(uncoloured, report.console), "", *(f"  {reason}" for reason in report.why)]
        where = _place(run.trap, self.symbols) if run.trap else ""
        lines += [f"  {where}"] if where else []
        writes = [write for one in self.silicon.runs for write in one.flash_writes]
        shown = [f"{write.kind} 0x{write.address:x}+0x{write.length:x}" for write in writes[:_WRITES_SHOWN]]
        more = [f"{len(writes) - _WRITES_SHOWN} more"] if len(writes) > _WRITES_SHOWN else []
        lines.append(f"  flash writes: {', '.join([*shown, *more]) or 'none'}")
        if self.silicon.instructions:
            lines.append(f"  instructions: {self.silicon.instructions}")
        if self.compared:
            agree = "the model agrees: the same app, the same flash, the same lines"
            lines.append(f"  {agree if self.difference is None else f'the model differs: {self.difference}'}")
            lines += [f"  engines: {', '.join(self.engines)}"] if len(self.engines) > 1 else []
        return lines


def machine_code(board: Chip, config: Sdkconfig, wish: Wish, times: int) -> list[Told]:
    """Boot ``board`` by machine code ``times`` times, or until the model differs. Raises ``Unusable``."""
    oracle = _oracle(wish)
    reason = oracle.unavailable(board.target.name)
    if reason is not None:
        elsewhere = wish.emulator in ENGINES and board.target.name in {*Qemu.chips, *EspEmu.chips} - {*oracle.chips}
        raise Unusable(f"{reason}; --emulator has programs that run others" if elsewhere else reason)
    symbols = _symbols(wish.elf_files)
    rom = rom_of(wish.rom, board) if wish.emulator in ENGINES else None
    try:
        return _boots(board, config, wish, times, rom, symbols)
    except ValueError as error:
        raise Unusable(str(error)) from error


def _boots(
    board: Chip, config: Sdkconfig, wish: Wish, times: int, rom: bytes | None, symbols: tuple[Symbols, ...]
) -> list[Told]:
    oracle = _oracle(wish, rom)
    build = read_build(board)
    asked = wish.compare or bool(wish.said)
    options = compiled_options(board, _oracle(wish, rom, count=False), config) if asked else {}
    for name, value in wish.said.items():
        if options.get(name, value) != value:
            raise Unusable(
                f"CONFIG_{name.upper()}={'y' if value else 'n'} contradicts the bootloader, which was compiled "
                f"{'without' if value else 'with'} it"
            )
    model = as_compiled(config, build, options)
    own = OwnMachine(rom, engine=_engine(wish), count=False)
    can = can_roll_back(board, own, table_offset=config.partition_table_offset)
    peer = _peer(wish, board, rom)
    engines = (oracle.name, *(() if peer is None else (peer.name,))) if wish.compare else ()
    told = []
    for _ in range(times):
        before, first = board.flash.fork(), board.reset_reason
        done = silicon_boot(board, oracle, config)
        found = None
        if wish.compare:
            ours = Chip(board.target.name, flash=before.fork(), efuse=EFuse.from_json(board.efuse.to_json()))
            ours.reset_reason, ours.pins = first, board.pins
            found = _peer_difference(done, board, peer, config, before, first)
            found = found or difference(done, boot(ours, model), (board.flash, ours.flash), build.prints)
        told.append(Told(done, symbols, options, can, engines, found))
        if found is not None:
            break
        board.reset_reason = ResetReason.SW
    return told


def _peer(wish: Wish, board: Chip, rom: bytes | None) -> BootOracle | None:
    """The other engine of our own machine, to be compared with, when it is here and has this chip."""
    if not wish.compare or wish.emulator not in ENGINES:
        return None
    own = OwnMachine(engine=_engine(wish)).name
    other = OwnMachine(rom, engine="core" if own == "unicorn" else "unicorn", count=False)
    return other if other.unavailable(board.target.name) is None else None


def _peer_difference(
    done: SiliconBoot, board: Chip, peer: BootOracle | None, config: Sdkconfig, before: Flash, reason: ResetReason
) -> str | None:
    """Where ``peer`` does something else than what was ``done`` with the flash from ``before``."""
    if peer is None:
        return None
    twin = Chip(board.target.name, flash=before.fork(), efuse=EFuse.from_json(board.efuse.to_json()))
    twin.reset_reason, twin.pins = reason, board.pins
    found = engine_difference(done, silicon_boot(twin, peer, config), (board.flash, twin.flash))
    return None if found is None else f"the engine {peer.name} does something else: {found}"


def _oracle(wish: Wish, rom: bytes | None = None, *, count: bool = True) -> BootOracle:
    if wish.emulator == "qemu":
        return Qemu(timeout_s=wish.timeout_s)
    if wish.emulator == "esp-emu":
        return EspEmu(timeout_s=wish.timeout_s)
    return OwnMachine(rom, engine=_engine(wish), count=count)


def _engine(wish: Wish) -> EngineName:
    """The engine for what only our own machine does."""
    return next((name for name in ENGINES if name == wish.emulator), "auto")


def _symbols(files: tuple[Path, ...]) -> tuple[Symbols, ...]:
    if not files:
        return ()
    with needing("--elf", "silicon"):
        from py_esp_ota.elf import Symbols
    try:
        return tuple(Symbols.from_elf(read_input(file)) for file in files)
    except ValueError as error:
        raise Unusable(f"--elf: {error}") from error


def _name(address: int, symbols: tuple[Symbols, ...]) -> str:
    return next(filter(None, (one.at(address) for one in symbols)), "")


def _place(trap: Trap, symbols: tuple[Symbols, ...]) -> str:
    """A clause that names the functions of a trap and of its caller; ``""`` when they have no names."""
    at, caller = _name(trap.pc, symbols), _name(trap.ra, symbols)
    return ", ".join(text for text, name in ((f"in {at}", at), (f"called from {caller}", caller)) if name)
