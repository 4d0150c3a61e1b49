"""The second-stage bootloader: from reset to a running app, or to a chip that resets for ever.

Read it top down: :func:`boot` is ``call_start_cpu0``. It loads the partition table, lets otadata and the pins choose a
slot (``boot_select``, ``boot_pins``), and walks from there until an image loads. No bootloader binary needs to be in
flash; if there is one, its header and descriptor are believed (flash size, version).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from py_esp_ota import html
from py_esp_ota._core import (
    AppDesc,
    BootTable,
    Flash,
    OtaSelectEntry,
    Partition,
    Verdict,
    boot_order,
    read_otadata,
)
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.idf import rollback
from py_esp_ota.idf.bootloader.console import print_banner, read_bootloader_header
from py_esp_ota.idf.bootloader.deep_sleep import fast_boot
from py_esp_ota.idf.bootloader.lines import lines_of
from py_esp_ota.idf.bootloader.made_for import made_for_another
from py_esp_ota.idf.bootloader.map import maps_at_all, reaches, unpack_load_app
from py_esp_ota.idf.bootloader.pins import factory_reset, test_app_index, wants_factory_reset
from py_esp_ota.idf.bootloader.rom import choose_bootloader, first_lines, raise_secure_version
from py_esp_ota.idf.bootloader.run import FACTORY_INDEX, INVALID_INDEX, RESET, TEST_APP_INDEX, Run, reason
from py_esp_ota.idf.bootloader.security import enable_security
from py_esp_ota.idf.bootloader.select import get_selected_boot_partition
from py_esp_ota.idf.bootloader.table import TABLE_MAX_LEN, LoadedTable, judge, load_partition_table
from py_esp_ota.idf.efuse import knows_recovery_bootloader
from py_esp_ota.idf.rollback import OtaImgState, Rewrite
from py_esp_ota.sdkconfig import Sdkconfig


class OtadataWriteDict(TypedDict):
    """One rewritten otadata entry."""

    entry: int
    ota_seq: int
    state: str


class BootDict(TypedDict):
    """The JSON of ``esp-ota boot --json``."""

    ok: bool
    partition: str | None
    offset: int | None
    state: str
    resets: int
    otadata_writes: list[OtadataWriteDict]
    efuse_changes: dict[str, list[int]]
    why: list[str]
    log: list[str]
    console: list[str]


@dataclass(frozen=True, slots=True, repr=False)
class BootReport:
    """How one boot ended.

    >>> from py_esp_ota import Device, Firmware
    >>> report = Device("two_ota", firmware=Firmware("lamp", "1.0.0").to_bytes()).power_on()
    >>> report.partition.label, report.ok
    ('factory', True)
    >>> report.why[-1]
    'bootloader_utility_load_boot_image: factory loaded'

    ``state`` is the name of the otadata state of the booted slot, ``""`` when no entry names it. ``why`` lists the
    decisions in order, each beginning with the upstream function that takes it. ``resets`` is how often the chip had to
    start anew before it came to this end.

    ``otadata_writes`` are the entries that were rewritten, in order. ``efuse_changes`` are the eFuse fields that were
    burned, each with its value before and after.

    ``log`` is what the bootloader printed, ``console`` all of it in order, ROM's lines before each run among it.
    """

    ok: bool
    partition: Partition | None
    state: str
    why: tuple[str, ...]
    log: tuple[str, ...]
    app_desc: AppDesc | None
    resets: int = 0
    otadata_writes: tuple[Rewrite, ...] = ()
    efuse_changes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    console: tuple[str, ...] = ()

    def to_dict(self) -> BootDict:
        """The report as JSON-ready values."""
        return {
            "ok": self.ok,
            "partition": self.partition.label if self.partition else None,
            "offset": self.partition.offset if self.partition else None,
            "state": self.state,
            "resets": self.resets,
            "otadata_writes": [
                {
                    "entry": write.index,
                    "ota_seq": write.entry.ota_seq,
                    "state": rollback.state_name(write.entry.ota_state),
                }
                for write in self.otadata_writes
            ],
            "efuse_changes": {name: [*change] for name, change in self.efuse_changes.items()},
            "why": list(self.why),
            "log": list(self.log),
            "console": list(self.console),
        }

    def __repr__(self) -> str:
        return f"<BootReport {', '.join(filter(None, (self._ended(), self.state)))}>"

    def _ended(self) -> str:
        return f"{self.partition.label} runs" if self.partition else "nothing boots"

    def _repr_html_(self) -> str:
        """How it ended and why, for a notebook."""
        app = f"{self.app_desc.project_name} {self.app_desc.version}" if self.app_desc else ""
        known = (("app", app), ("state", self.state), ("resets", str(self.resets or "")))
        return html.facts(f"Boot: {self._ended()}", known) + html.table("Why", (), [(line,) for line in self.why])


def boot(chip: Chip, config: Sdkconfig) -> BootReport:
    """``call_start_cpu0`` (components/bootloader/subproject/main/bootloader_start.c): from reset until an app runs.

    A run that fails resets the chip. When it rewrote otadata first, the next run may end otherwise and is followed;
    when it did not, every later run is the same one, and the report is ``ok=False``. Never raises for bad bytes. Raises
    ``PowerLoss`` when the power goes.
    """
    log: list[str] = []
    console: list[str] = []
    why = made_for_another(chip)
    writes: list[Rewrite] = []
    fuses = _burnable(chip)
    seen: set[tuple[bytes, ...]] = set()
    resets = 0
    ended: _End | None
    #: The run from power-on that wrote nothing, while the one behind it is not seen to be another.
    first: Run | None = None
    if chip.reset_reason == ResetReason.POWERON:
        chip.rtc = bytes(len(chip.rtc))
    while True:
        chip.latch_efuses()
        started = choose_bootloader(chip, config)
        spoken = first_lines(chip, config, started)
        log += started.lines
        why += started.why
        if started.address is None:
            console += spoken
            ended = _DEAD
            break
        run = Run(chip, config, started.address)
        run.wrote = raise_secure_version(chip, started)
        ended = _start(run)
        if (
            first is not None
            and ended is None
            and not run.wrote
            and lines_of(first.log.lines) == lines_of(run.log.lines)
        ):
            resets -= 1
            why[-1] = _FOR_EVER
            ended = _DEAD
            break
        first = run if chip.reset_reason == ResetReason.POWERON and not run.wrote else None
        log += run.log.lines
        console += (*spoken, *run.log.lines)
        why += run.why
        writes += run.otadata_writes
        if ended is not None:
            break
        if (not run.wrote and not _reset_matters(chip, config)) or _seen_before(chip, seen):
            why.append(_FOR_EVER)
            ended = _DEAD
            break
        chip.reset_reason = ResetReason.RTCWDT_RTC if run.stopped else ResetReason.SW
        resets += 1
        changed = "flash or eFuses have changed" if run.wrote else "this reset is of another kind"
        why.append(f"bootloader_reset: the chip resets; {changed}, so it tries again")
    return BootReport(
        ok=ended.ok,
        partition=ended.partition,
        state=ended.state,
        why=tuple(why),
        log=tuple(log),
        app_desc=ended.app_desc,
        resets=resets,
        otadata_writes=tuple(writes),
        efuse_changes={
            name: (before, after)
            for (name, before), after in zip(fuses.items(), _burnable(chip).values(), strict=True)
            if before != after
        },
        console=tuple(console),
    )


def _seen_before(chip: Chip, seen: set[tuple[bytes, ...]]) -> bool:
    """Whether an earlier run has left the chip just so: a held pin may erase again and again what a boot writes."""
    left = (chip.flash.to_bytes(), chip.efuse.to_json().encode())
    if left in seen:
        return True
    seen.add(left)
    return False


@dataclass(frozen=True, slots=True)
class _End:
    """How the last run ended."""

    ok: bool
    partition: Partition | None
    state: str
    app_desc: AppDesc | None


_FOR_EVER = "bootloader_reset: the chip resets and finds the same again, for ever"
_DEAD = _End(ok=False, partition=None, state="", app_desc=None)


def _burnable(chip: Chip) -> dict[str, int]:
    """The eFuse fields a boot may burn."""
    efuse = chip.efuse
    return {
        "secure_version": efuse.secure_version,
        "flash_crypt_cnt": efuse.flash_crypt_cnt,
        "bootloader_secure_version": efuse.bootloader_secure_version,
    }


def _reset_matters(chip: Chip, config: Sdkconfig) -> bool:
    """Whether the same flash may end otherwise after a software reset, which is what a failed run ends with."""
    if chip.reset_reason == ResetReason.POWERON:
        return config.bootloader_skip_validate_on_power_on
    return chip.reset_reason == ResetReason.DEEPSLEEP


def state_of(flash: Flash, partition: Partition, config: Sdkconfig) -> str:
    """The otadata state of the entry that names ``partition``, as flash has it and the bootloader counts slots.

    ``""`` when no entry with a good CRC names it, and for what is no OTA slot.
    """
    if partition.ota_slot is None:
        return ""
    try:
        # Whether the rows fit the flash was the boot's business.
        loaded = judge(flash.mmap(config.partition_table_offset, TABLE_MAX_LEN), 0xFFFFFFFF)
        if not isinstance(loaded, LoadedTable):
            return ""
        table = loaded.meaning
        if table.ota_info is None or table.app_count == 0:
            return ""
        entries = read_otadata(flash, table.ota_info.offset)
    except FlashError:
        return ""
    state = rollback.state_of_slot(entries, partition.ota_slot, table.app_count)
    return "" if state is None else rollback.state_name(state)


def _start(run: Run) -> _End | None:
    """One run, from the first line to the jump; ``None`` is a reset."""
    chip, config = run.chip, run.config
    knows = knows_recovery_bootloader(chip.target.name, config)
    installed = read_bootloader_header(chip, run.address if knows else chip.target.bootloader_offset)
    if not print_banner(run.log, chip, installed, config):
        revision = chip.efuse.chip_revision
        run.decide("bootloader_check_bootloader_validity", f"revision {revision} is below what the bootloader needs")
        return None
    if not maps_at_all(run):
        return None
    asleep = chip.reset_reason == ResetReason.DEEPSLEEP
    if asleep and config.bootloader_skip_validate_in_deep_sleep:
        woken = fast_boot(run, lambda: load_partition_table(run, installed.flash_size))
        if woken == RESET:
            return None
        if woken is not None:
            return None if run.encrypted_now else _load_image(run, *woken)
    loaded = load_partition_table(run, installed.flash_size)
    if loaded is None:
        run.log.error("boot", "load partition table error!")
        return None
    table = loaded.meaning
    index, self_heal = get_selected_boot_partition(run, table)
    if index != INVALID_INDEX and not asleep:
        if wants_factory_reset(run):
            factory_reset(run, loaded.rows)
            index, self_heal = get_selected_boot_partition(run, table)
        else:
            test = test_app_index(run, table)
            index = index if test is None else test
    if index == INVALID_INDEX:
        return None
    return _load_boot_image(run, loaded, index, self_heal=self_heal)


def _load_boot_image(run: Run, loaded: LoadedTable, start: int, *, self_heal: bool) -> _End | None:
    """``bootloader_utility_load_boot_image``: start there, then downwards, then upwards, the test app last."""
    name, table = "bootloader_utility_load_boot_image", loaded.meaning
    for index in boot_order(start, table.app_count):
        partition = table.partition(index)
        if (partition is None or partition.size == 0) and index != TEST_APP_INDEX:
            continue
        outcome = _candidate(run, partition)
        if outcome == RESET:
            return None
        if not isinstance(outcome, Verdict) or partition is None:
            if index != TEST_APP_INDEX:
                run.log.error("boot", f"{_called(index)} is not bootable")
            if partition is not None:
                run.decide(name, f"{partition.label} is not bootable: {outcome}")
            continue
        run.decide(name, f"{partition.label} loaded")
        if index == TEST_APP_INDEX:
            if start != TEST_APP_INDEX:
                run.log.warning("boot", "Falling back to test app as only bootable partition")
        else:
            _after_loading(run, table, index, partition, self_heal=self_heal)
        if enable_security(run, partition):
            return None if run.encrypted_now else _load_image(run, partition, outcome)
        if index != TEST_APP_INDEX:
            run.log.error("boot", f"{_called(index)} is not bootable")
    if start == TEST_APP_INDEX:
        run.log.error("boot", "No bootable test partition in the partition table")
        run.decide(name, "the test app is not bootable, and nothing else is tried")
    else:
        run.log.error("boot", "No bootable app partitions in the partition table")
        run.decide(name, "no bootable app partition")
    return None


def _candidate(run: Run, partition: Partition | None) -> Verdict | str:
    """The loaded image, or why it is none; ``RESET`` when looking at it ends this run."""
    if partition is not None and partition.size and not reaches(run, partition):
        return RESET
    if not run.check_anti_rollback(partition):
        return f"its secure version is not known or below the eFuse's {run.burnt_secure_version}"
    if partition is None or partition.size == 0:
        return "absent"
    verdict = run.try_load_partition(partition)
    if verdict == RESET or verdict.err == EspErr.ESP_OK:
        return verdict
    return reason(verdict.err, verdict.fault)


def _after_loading(run: Run, table: BootTable, index: int, partition: Partition, *, self_heal: bool) -> None:
    """``set_actual_ota_seq``: blank otadata gets an entry for the slot that loaded; RTC memory remembers the app."""
    if index > FACTORY_INDEX and self_heal and table.ota_info is not None:
        run.decide("set_actual_ota_seq", f"otadata[0] = seq {index + 1}, VALID")
        run.write_otadata(table.ota_info, Rewrite(0, OtaSelectEntry(index + 1, OtaImgState.VALID)))
        run.log.info("boot", f"Set actual ota_seq={index + 1} in otadata[0]")
        run.update_anti_rollback(partition)
    if run.keeps_rtc_record:
        run.update_rtc_retain_mem(partition if run.config.bootloader_skip_validate_in_deep_sleep else None)


def _load_image(run: Run, partition: Partition, verdict: Verdict) -> _End | None:
    """``load_image``: the last line, the mapping, and the jump."""
    run.log.info("boot", "Disabling RNG early entropy source...")
    if not unpack_load_app(run, partition, verdict):
        return None
    desc = run.app_desc(partition)
    return _End(
        ok=True,
        partition=partition,
        state=state_of(run.chip.flash, partition, run.config),
        app_desc=None if isinstance(desc, EspErr) else desc,
    )


def _called(index: int) -> str:
    """``log_invalid_app_partition``: how a refused candidate is called on the console."""
    return "Factory app partition" if index == FACTORY_INDEX else f"OTA app partition slot {index}"
