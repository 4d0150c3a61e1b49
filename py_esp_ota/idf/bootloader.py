"""The second-stage bootloader: from reset to a running app, or to a chip that resets for ever.

Read it top down: :func:`boot` is ``call_start_cpu0``. It loads the partition table, lets otadata choose a slot, and
walks from there until an image loads. No bootloader binary needs to be in flash; if there is one, its header and
descriptor are believed (flash size, version).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict

from py_esp_ota._core import (
    AppDesc,
    BootTable,
    Fault,
    Flash,
    OtaSelectEntry,
    Partition,
    Verdict,
    boot_order,
    read_otadata,
    select_boot_partition,
    verify_partition_table,
    write_otadata,
)
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, FlashError, ImageError
from py_esp_ota.idf import rollback
from py_esp_ota.idf.boot_console import BootClock, print_banner, read_bootloader_header
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.rollback import Entries, OtaImgState, Rewrite
from py_esp_ota.sdkconfig import Sdkconfig

FACTORY_INDEX = -1
TEST_APP_INDEX = -2
INVALID_INDEX = -99

_TABLE_MAX_LEN = 0xC00
_OTADATA_MIN_SIZE = 0x2000
_APP_DESC_OFFSET = 0x20
_APP_DESC_SIZE = 256

#: Chips whose data and instructions share one window: the loader asserts exactly two mapped segments there.
_SHARED_WINDOW = frozenset(
    {"esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32p4", "esp32s31"},
)
#: On the other chips all data windows lie below this address and all instruction windows above.
_IROM_ABOVE = 0x40000000


class BootDict(TypedDict):
    """The JSON of ``esp-ota boot --json``."""

    ok: bool
    partition: str | None
    offset: int | None
    state: str
    why: list[str]
    log: list[str]


@dataclass(frozen=True, slots=True)
class BootReport:
    """How one boot ended.

    ``state`` is the name of the otadata state of the booted slot, ``""`` when no entry names it. ``why`` lists the
    decisions in order, each beginning with the upstream function that takes it.
    """

    ok: bool
    partition: Partition | None
    state: str
    why: tuple[str, ...]
    log: tuple[str, ...]
    app_desc: AppDesc | None

    def to_dict(self) -> BootDict:
        """The report as JSON-ready values."""
        return {
            "ok": self.ok,
            "partition": self.partition.label if self.partition else None,
            "offset": self.partition.offset if self.partition else None,
            "state": self.state,
            "why": list(self.why),
            "log": list(self.log),
        }


def boot(chip: Chip, config: Sdkconfig) -> BootReport:
    """``call_start_cpu0`` (components/bootloader/subproject/main/bootloader_start.c): from reset until an app runs.

    A run that fails resets the chip. When it rewrote otadata first, the next run may end otherwise and is followed;
    when it did not, every later run is the same one, and the report is ``ok=False``. Never raises for bad bytes. Raises
    ``PowerLoss`` when the power goes.
    """
    log: list[str] = []
    why: list[str] = []
    while True:
        run = _Run(chip, config)
        started = run.start()
        log += run.log.lines
        why += run.why
        if started is not None:
            return replace(started, why=tuple(why), log=tuple(log))
        if not run.wrote_otadata:
            why.append("bootloader_reset: the chip resets and finds the same again, for ever")
            return BootReport(ok=False, partition=None, state="", why=tuple(why), log=tuple(log), app_desc=None)
        why.append("bootloader_reset: the chip resets; otadata has changed, so it tries again")


def state_name(flash: Flash, partition: Partition, config: Sdkconfig) -> str:
    """The otadata state of the entry that names ``partition``, as flash has it and the bootloader counts slots.

    ``""`` when no entry with a good CRC names it, and for what is no OTA slot.
    """
    if partition.ota_slot is None:
        return ""
    try:
        # Whether the rows fit the flash was the boot's business.
        verdict = verify_partition_table(flash.read(config.partition_table_offset, _TABLE_MAX_LEN), 0xFFFFFFFF)
        table = BootTable(verdict.rows)
        if table.ota_info is None or table.app_count == 0:
            return ""
        entries = read_otadata(flash, table.ota_info.offset)
    except FlashError:
        return ""
    state = rollback.state_of_slot(entries, partition.ota_slot, table.app_count)
    return "" if state is None else rollback.state_name(state)


class _Run:
    """One run of the bootloader: the console, and the reasons gathered so far. ``None`` from a step means reset."""

    def __init__(self, chip: Chip, config: Sdkconfig) -> None:
        self.chip = chip
        self.config = config
        clock = BootClock(chip.flash)
        self.log = Log(clock.now_ms, clock.printed)
        self.why: list[str] = []
        self.wrote_otadata = False

    def start(self) -> BootReport | None:
        installed = read_bootloader_header(self.chip)
        print_banner(self.log, self.chip, installed)
        table = self.load_partition_table(installed.flash_size)
        if table is None:
            self.log.error("boot", "load partition table error!")
            return None
        index, self_heal = self.get_selected_boot_partition(table)
        if index == INVALID_INDEX:
            return None
        return self.load_boot_image(table, index, self_heal=self_heal)

    def load_partition_table(self, flash_size: int) -> BootTable | None:
        """``bootloader_utility_load_partition_table`` (components/bootloader_support/src/bootloader_utility.c)."""
        name, offset = "bootloader_utility_load_partition_table", self.config.partition_table_offset
        try:
            data = self.chip.flash.read(offset, _TABLE_MAX_LEN)
        except FlashError:
            self.log.error("boot", f"bootloader_mmap(0x{offset:x}, 0x{_TABLE_MAX_LEN:x}) failed")
            self.decide(name, f"the table at 0x{offset:x} lies outside the flash")
            return None
        verdict = verify_partition_table(data, flash_size)
        self.log.core(verdict.log)
        if verdict.err != EspErr.ESP_OK:
            self.log.error("boot", "Failed to verify partition table")
            self.decide(name, f"the table at 0x{offset:x} is refused: {_reason(verdict.err, verdict.fault)}")
            return None
        table = BootTable(verdict.rows)
        self.log.info("boot", "Partition Table:")
        self.log.info("boot", "## Label            Usage          Type ST Offset   Length")
        for index, (row, usage) in enumerate(zip(verdict.rows, table.usages(), strict=True)):
            place = f"{row.type:02x} {row.subtype:02x} {row.offset:08x} {row.size:08x}"
            self.log.info("boot", f"{index:2d} {row.label:<16} {usage:<16} {place}")
        self.log.info("boot", "End of partition table")
        return table

    def get_selected_boot_partition(self, table: BootTable) -> tuple[int, bool]:
        """``bootloader_utility_get_selected_boot_partition``: the index to start from, and whether to heal otadata."""
        name = "bootloader_utility_get_selected_boot_partition"
        ota_info = table.ota_info
        if ota_info is None:
            self.decide(name, "no otadata partition -> factory")
            return FACTORY_INDEX, False
        if ota_info.size < _OTADATA_MIN_SIZE:
            self.log.error(
                "boot", f"ota_info partition size {ota_info.size} is too small (minimum {_OTADATA_MIN_SIZE} bytes)"
            )
            self.decide(name, f"otadata has {ota_info.size} bytes, two sectors are needed -> no boot")
            return INVALID_INDEX, False
        try:
            entries = read_otadata(self.chip.flash, ota_info.offset)
        except FlashError:
            self.log.error("boot", f"bootloader_mmap(0x{ota_info.offset:x}, 0x{ota_info.size:x}) failed")
            self.decide(name, "otadata lies outside the flash -> no boot")
            return INVALID_INDEX, False

        if self.config.bootloader_app_rollback_enable:
            for rewrite in rollback.unconfirmed(entries):
                self.decide(name, f"otadata[{rewrite.index}] PENDING_VERIFY -> ABORTED (nobody confirmed it)")
                entries = rollback.applied(entries, rewrite)
                self.write_otadata(ota_info, rewrite)
        selection = select_boot_partition(table, *entries)
        self.log.core(selection.log)
        self.decide(name, _selected(table, entries, selection.index, selection.active))
        if self.config.bootloader_app_rollback_enable:
            trial = rollback.trial(entries, selection.active)
            if trial is not None:
                self.decide(name, f"otadata[{trial.index}] NEW -> PENDING_VERIFY (one boot to confirm itself)")
                self.write_otadata(ota_info, trial)
        return selection.index, selection.self_heal

    def load_boot_image(self, table: BootTable, start: int, *, self_heal: bool) -> BootReport | None:
        """``bootloader_utility_load_boot_image``: start there, then downwards, then upwards, the test app last."""
        name = "bootloader_utility_load_boot_image"
        for index in boot_order(start, table.app_count):
            partition = table.partition(index)
            if partition is None or partition.size == 0:
                continue
            verdict = self.try_load_partition(partition)
            if verdict.err != EspErr.ESP_OK:
                if index != TEST_APP_INDEX:
                    self.log.error("boot", f"{_candidate(index)} is not bootable")
                self.decide(name, f"{partition.label} is not bootable: {_reason(verdict.err, verdict.fault)}")
                continue
            self.decide(name, f"{partition.label} loaded")
            if index == TEST_APP_INDEX:
                self.log.warning("boot", "Falling back to test app as only bootable partition")
            elif self_heal and index > FACTORY_INDEX and table.ota_info is not None:
                self.set_actual_ota_seq(table.ota_info, index)
            return self.load_image(partition, verdict)
        self.log.error("boot", "No bootable app partitions in the partition table")
        self.decide(name, "no bootable app partition")
        return None

    def try_load_partition(self, partition: Partition) -> Verdict:
        """``try_load_partition``: ``bootloader_load_image`` on one candidate."""
        verdict = self.chip.verify_image(partition, build="bootloader", mode="load", config=self.config)
        self.log.core(verdict.log)
        if verdict.err == EspErr.ESP_OK:
            self.log.info("boot", f"Loaded app from partition at offset 0x{partition.offset:x}")
        return verdict

    def set_actual_ota_seq(self, ota_info: Partition, index: int) -> None:
        """``set_actual_ota_seq``: blank otadata without a factory app gets an entry for the slot that loaded."""
        healed = Rewrite(0, OtaSelectEntry(index + 1, OtaImgState.VALID))
        self.decide("set_actual_ota_seq", f"otadata[0] = seq {index + 1}, VALID")
        self.write_otadata(ota_info, healed)
        self.log.info("boot", f"Set actual ota_seq={index + 1} in otadata[0]")

    def load_image(self, partition: Partition, verdict: Verdict) -> BootReport | None:
        """``load_image`` and ``unpack_load_app``: the last line, the last checks, and the jump."""
        self.log.info("boot", "Disabling RNG early entropy source...")
        mapped = [segment.load_addr for segment in verdict.segments if segment.kind == "map"]
        if self.chip.target.name in _SHARED_WINDOW:
            if len(mapped) != 2:
                self.decide("unpack_load_app", f"assertion: {len(mapped)} mapped segments, this chip needs exactly 2")
                return None
        else:
            instructions = sum(load_addr >= _IROM_ABOVE for load_addr in mapped)
            for kind, count in (("DROM", len(mapped) - instructions), ("IROM", instructions)):
                text = f"Image contains multiple {kind} segments. Only the last one will be mapped."
                for _ in range(count - 1):
                    self.log.error("boot", text)
        return BootReport(
            ok=True,
            partition=partition,
            state=state_name(self.chip.flash, partition, self.config),
            why=(),
            log=(),
            app_desc=self.app_desc(partition),
        )

    def write_otadata(self, ota_info: Partition, rewrite: Rewrite) -> None:
        """``write_otadata``: a flash error is printed and ignored; this boot goes on as decided."""
        try:
            write_otadata(self.chip.flash, ota_info.offset, rewrite.index, rewrite.entry)
        except FlashError:
            # The bootloader's flash driver has one code for everything the ROM refuses.
            self.log.error("boot", f"Error in write_otadata operation. err = 0x{EspErr.ESP_ERR_FLASH_OP_FAIL:x}")
            self.decide("write_otadata", f"otadata[{rewrite.index}] could not be written; ignored")
        else:
            self.wrote_otadata = True

    def app_desc(self, partition: Partition) -> AppDesc | None:
        try:
            return AppDesc.from_bytes(partition.read(self.chip.flash, _APP_DESC_OFFSET, _APP_DESC_SIZE))
        except (FlashError, ImageError):
            return None

    def decide(self, function: str, text: str) -> None:
        self.why.append(f"{function}: {text}")


def _candidate(index: int) -> str:
    """``log_invalid_app_partition``: how a refused candidate is called on the console."""
    return "Factory app partition" if index == FACTORY_INDEX else f"OTA app partition slot {index}"


def _selected(table: BootTable, entries: Entries, index: int, active: int) -> str:
    """The reason for the start index in one sentence."""
    partition = table.partition(index)
    if active >= 0:
        entry = entries[active]
        goal = partition.label if partition else f"slot {index}, which the table does not have"
        return f"otadata[{active}] is active (seq {entry.ota_seq}, {rollback.state_name(entry.ota_state)}) -> {goal}"
    if table.app_count == 0:
        cause = "no OTA slot in the table"
    elif all(entry.invalid for entry in entries):
        cause = "both otadata entries are blank, INVALID or ABORTED"
    else:
        cause = "no otadata entry has a good CRC and a usable state"
    if table.factory is not None:
        return f"{cause} -> factory"
    return f"{cause}, no factory -> " + ("ota_0 first" if index >= 0 else "every slot in turn")


def _reason(err: EspErr, fault: Fault | None) -> str:
    """An error and the fault behind it in one clause."""
    if fault is None:
        return err.name
    return f"{err.name}, {fault.field} at 0x{fault.offset:x} is {fault.found}, expected {fault.expected}"
