"""What a compiled bootloader did with a chip, told as a ``BootReport``: partition, state, writes, reasons.

The machine code decides; here it is only read: its jump by the partition table, its writes as otadata entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from py_esp_ota._core import AppDesc, Flash, OtaSelectEntry, Partition, Recording
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import FlashError, ImageError
from py_esp_ota.idf.bootloader.lines import lines_of
from py_esp_ota.idf.bootloader.made_for import made_for_another
from py_esp_ota.idf.bootloader.start import BootDict, BootReport, state_of
from py_esp_ota.idf.bootloader.table import TABLE_MAX_LEN, LoadedTable, judge
from py_esp_ota.idf.rollback import Rewrite, state_name
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.oracle import BootOracle
from py_esp_ota.silicon.report import Outcome, SiliconReport, Trap

_APP, _DESC_OFFSET, _DESC_SIZE = 0, 0x20, 256
_SECTOR, _ENTRY = 0x1000, 32
_NO_LIMIT = 0xFFFFFFFF

#: The ends of a run after which the chip starts anew, in words.
_RESETS = {"RESET": "the chip resets", "ABORT": "it aborts, and the watchdog resets the chip"}
#: After these reasons nothing else is found at the next reset.
_LAST_REASONS = frozenset({ResetReason.SW, ResetReason.RTCWDT_RTC})
#: Code that changes the flash in each run is not followed for ever.
_MOST_RESETS = 32


class FlashWriteDict(TypedDict):
    """One call that changed the flash."""

    kind: Literal["program", "erase"]
    address: int
    length: int


class TrapDict(TypedDict):
    """Where machine code left the known."""

    reason: str
    pc: int
    ra: int
    symbol: str | None
    calls: list[str]


class SiliconDict(TypedDict):
    """The key ``silicon`` of ``esp-ota boot --json``."""

    outcome: Outcome
    entry: int | None
    instructions: int
    flash_writes: list[FlashWriteDict]
    trap: TrapDict | None


class SiliconBootDict(BootDict):
    """The JSON of ``esp-ota boot --silicon --json``."""

    silicon: SiliconDict


@dataclass(frozen=True, slots=True)
class SiliconBoot:
    """One boot by machine code: the report of it, and each run from one reset to the next."""

    report: BootReport
    runs: tuple[SiliconReport, ...]

    @property
    def last(self) -> SiliconReport:
        """The run that all ended with."""
        return self.runs[-1]

    @property
    def instructions(self) -> int:
        """Of all runs; 0 when the emulator does not count them."""
        return sum(run.instructions for run in self.runs)

    def to_dict(self) -> SiliconBootDict:
        """The report as JSON-ready values."""
        trap = self.last.trap
        return {
            **self.report.to_dict(),
            "silicon": {
                "outcome": self.last.outcome,
                "entry": self.last.entry,
                "instructions": self.instructions,
                "flash_writes": [
                    {"kind": write.kind, "address": write.address, "length": write.length}
                    for run in self.runs
                    for write in run.flash_writes
                ],
                "trap": None
                if trap is None
                else TrapDict(
                    reason=trap.reason, pc=trap.pc, ra=trap.ra, symbol=trap.symbol or None, calls=list(trap.calls)
                ),
            },
        }


def silicon_boot(chip: Chip, oracle: BootOracle, config: Sdkconfig) -> SiliconBoot:
    """``idf.bootloader.boot`` by machine code: from reset until an app runs, or nothing new can come.

    A run that resets is followed by another one, as long as that finds something else than the one before; so is one
    that aborts, which the watchdog of the RTC ends.

    Args:
        chip: whose flash is read and written.
        oracle: what runs the bootloader in it.
        config: where the partition table lies; all else was decided when the bootloader was compiled.

    Raises ``ValueError`` when ``oracle`` cannot run this chip, ``PowerLoss`` when the power goes. Never raises for bad
    bytes.
    """
    runs: list[SiliconReport] = []
    why = made_for_another(chip)
    writes: list[Rewrite] = []
    seen: set[bytes] = set()
    before = chip.reset_reason
    while True:
        chip.latch_efuses()
        reason = chip.reset_reason
        run, rewrites = _recorded(chip, oracle, config)
        idle = run.outcome in _RESETS and not run.flash_writes
        if runs and idle and not runs[-1].flash_writes and not _is_news(before, runs[-1], run):
            break
        runs.append(run)
        writes += rewrites
        why += [_rewritten(rewrite) for rewrite in rewrites]
        left = chip.flash.to_bytes()
        if run.outcome not in _RESETS or run.trap is not None or left in seen or (idle and reason in _LAST_REASONS):
            break
        if len(runs) > _MOST_RESETS:
            break
        if not idle:
            seen.add(left)
            why.append(f"machine code: {_RESETS[run.outcome]}; the flash has changed, so it tries again")
        before = reason
        chip.reset_reason = ResetReason.SW if run.outcome == "RESET" else ResetReason.RTCWDT_RTC
    partition = partition_at(chip.flash, runs[-1].slot, config)
    why += _ending(runs[-1], partition, len(runs) - 1)
    return SiliconBoot(
        BootReport(
            ok=runs[-1].outcome == "APP",
            partition=partition,
            state="" if partition is None else state_of(chip.flash, partition, config),
            why=tuple(why),
            log=tuple(line for run in runs for line in run.log),
            console=tuple(line for run in runs for line in (*run.rom, *run.log)),
            app_desc=None if partition is None else _app_desc(chip.flash, partition),
            resets=len(runs) - 1,
            otadata_writes=tuple(writes),
        ),
        tuple(runs),
    )


def _is_news(reason: ResetReason, one: SiliconReport, two: SiliconReport) -> bool:
    """Whether run ``two`` is another one than ``one`` before it, whose ``reason`` to start was another.

    Neither wrote. The model tells what follows a wake from deep sleep, whatever that is, and nothing that only repeats.
    """
    if reason == ResetReason.POWERON:
        return lines_of(one.log) != lines_of(two.log)
    return reason == ResetReason.DEEPSLEEP


def partition_at(flash: Flash, offset: int | None, config: Sdkconfig) -> Partition | None:
    """The app partition that begins at ``offset``, by the table in flash."""
    table = None if offset is None else _table(flash, config)
    if table is None:
        return None
    return next((row for row in table.rows if row.type == _APP and row.offset == offset), None)


def _table(flash: Flash, config: Sdkconfig) -> LoadedTable | None:
    try:
        loaded = judge(flash.mmap(config.partition_table_offset, TABLE_MAX_LEN), _NO_LIMIT)
    except FlashError:
        return None
    return loaded if isinstance(loaded, LoadedTable) else None


def _recorded(chip: Chip, oracle: BootOracle, config: Sdkconfig) -> tuple[SiliconReport, list[Rewrite]]:
    """One run, and the otadata entries it wrote, in order."""
    chip.flash.record(True)
    try:
        run = oracle.boot(chip)
        recording = Recording.of(chip.flash)
    finally:
        chip.flash.record(False)
    table = _table(chip.flash, config)
    place = table.meaning.ota_info if table is not None else None
    if place is None or recording is None:
        return run, []
    written: list[Rewrite] = []
    for count, op in enumerate(recording.ops(), 1):
        index, inside = divmod(op.address - place.offset, _SECTOR)
        if op.kind == "program" and index in {0, 1} and inside < _ENTRY:
            data = recording.flash_after(count).read(place.offset + index * _SECTOR, _ENTRY)
            written.append(Rewrite(index, OtaSelectEntry.from_bytes(data)))
    return run, written


def _rewritten(rewrite: Rewrite) -> str:
    entry = rewrite.entry
    return f"machine code: otadata[{rewrite.index}] = seq {entry.ota_seq}, {state_name(entry.ota_state)}"


def _ending(run: SiliconReport, partition: Partition | None, resets: int) -> list[str]:
    """How the last run ended, in one sentence."""
    trapped = f": {trap_text(run.trap)}" if run.trap else ""
    if run.slot is not None:
        name = partition.label if partition else "what no app partition begins with"
        entry = "" if run.entry is None else f", entry 0x{run.entry:08x}"
        jump = f"machine code: jumps into {name} at 0x{run.slot:x}{entry}"
        return [jump if run.outcome == "APP" else f"{jump}, where no code is"]
    if run.outcome == "APP":
        return ["machine code: an app starts, and the console does not tell which"]
    if resets >= _MOST_RESETS and not trapped:
        return [f"machine code: no app starts: the chip has reset {resets} times, which is followed no further"]
    if run.outcome == "RESET":
        loop = trapped or ": the chip resets and finds the same again, for ever"
        return [f"machine code: no app starts{loop}"]
    if run.outcome == "ABORT" and not trapped:
        return ["machine code: stops at an abort, and the watchdog resets the chip, for ever"]
    said = {"ABORT": "stops for good", "HANG": "is still running when its time is over"}
    return [f"machine code: {said.get(run.outcome, run.outcome)}{trapped}"]


def trap_text(trap: Trap) -> str:
    """What went wrong, and where if machine code ran at all."""
    return str(trap) if trap.pc or trap.calls else trap.reason


def _app_desc(flash: Flash, partition: Partition) -> AppDesc | None:
    try:
        return AppDesc.from_bytes(flash.mmap(partition.offset + _DESC_OFFSET, _DESC_SIZE))
    except (FlashError, ImageError):
        return None
