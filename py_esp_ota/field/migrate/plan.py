"""The answer: the order with the smallest window, the others beside it, and why there is no better one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from py_esp_ota._core import inspect_image, verify_partition_table
from py_esp_ota.errors import EspErr
from py_esp_ota.field.migrate.board import TABLE_MAX_LEN
from py_esp_ota.field.migrate.facts import Dump, Facts, Refusal, facts_of, size_in_header
from py_esp_ota.field.migrate.layout import APP
from py_esp_ota.field.migrate.orders import Change, Order, orders
from py_esp_ota.field.migrate.verdict import Verdict, WindowDict, verdict
from py_esp_ota.flash_timing import FlashTiming
from py_esp_ota.idf.rollback import state_name

_MS = 1000


class StepDict(TypedDict):
    """One step as JSON; ``at``, ``length`` and ``source`` in bytes, 0 where they say nothing."""

    stage: str
    kind: str
    text: str
    calls: str
    at: int
    length: int
    source: int


class OrderDict(TypedDict):
    """What a sweep of one order found, as JSON."""

    order: str
    text: str
    operations: int
    cases: int
    bricks: int
    stuck: int
    boots: int
    windows: list[WindowDict]
    at_risk_ms: float
    flash_seconds: float


class FactsDict(TypedDict):
    """The device before, as JSON."""

    running: str
    version: str
    image: int
    table_offset: int
    otadata: list[str]
    bootloader: int
    recovery_rom: bool
    encrypted: bool


class AbsentDict(TypedDict):
    """An order that there is not here, as JSON."""

    order: str
    why: str


class PlanDict(TypedDict):
    """The JSON of ``esp-ota migrate --json``."""

    verdict: str
    chip: str
    flash_timing: str
    facts: FactsDict
    chosen: OrderDict
    steps: list[StepDict]
    others: list[OrderDict]
    absent: list[AbsentDict]
    window_because: list[str]
    lost: list[str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """``chosen`` is the order with the smallest window, ``others`` are the rest, ``absent`` says why there are no more.

    ``because`` says why the window that is left cannot be closed here.
    """

    facts: Facts
    change: Change
    timing: FlashTiming
    chosen: Verdict
    others: tuple[Verdict, ...]
    absent: dict[str, str]
    because: tuple[str, ...]

    def to_dict(self) -> PlanDict:
        """As JSON-ready values."""
        facts, order = self.facts, self.chosen.order
        entries = facts.entries or ()
        return {
            "verdict": "safe" if self.chosen.safe else "window",
            "chip": facts.dump.target.name,
            "flash_timing": self.timing.name,
            "facts": {
                "running": facts.running.label,
                "version": facts.version,
                "image": facts.image,
                "table_offset": facts.table_offset,
                "otadata": [f"{e.ota_seq}/{state_name(e.ota_state)}" if e.valid else "-" for e in entries],
                "bootloader": len(facts.loader),
                "recovery_rom": facts.dump.efuse.has_recovery_bootloader,
                "encrypted": facts.encrypted,
            },
            "chosen": _found(self.chosen),
            "steps": [
                {
                    "stage": stage.text,
                    "kind": step.kind,
                    "text": step.text,
                    "calls": step.calls,
                    "at": step.at,
                    "length": step.length,
                    "source": step.source,
                }
                for stage in order.stages
                for step in stage.steps
            ],
            "others": [_found(other) for other in self.others],
            "absent": [{"order": order, "why": why} for order, why in self.absent.items()],
            "window_because": [*self.because],
            "lost": [*order.lost],
            "notes": [*order.notes],
        }


def _found(one: Verdict) -> OrderDict:
    report = one.report
    return {
        "order": one.order.name,
        "text": one.order.text,
        "operations": len(report.operations),
        "cases": len(report.cases),
        "bricks": one.bricks,
        "stuck": one.stuck,
        "boots": report.boots,
        "windows": [window.to_dict() for window in one.windows],
        "at_risk_ms": round(one.at_risk * _MS, 3),
        "flash_seconds": round(one.seconds, 3),
    }


def migrate(
    dump: Dump, change: Change, timing: FlashTiming, *, images: tuple[tuple[str, bytes], ...] = (), only: str = ""
) -> Plan:
    """Sweep every order there is, and choose. ``only`` names the one to take; ``images`` are to fit the new slots.

    Raises ``Refusal`` for what cannot work, naming what is in the way.
    """
    facts = facts_of(dump)
    _check(facts, change, images)
    found, absent = orders(facts, change)
    if only and not any(order.name == only for order in found):
        raise Refusal(f"there is no order {only} here: {absent.get(only, 'it changes nothing')}")
    judged: list[Verdict] = []
    for order in found:
        try:
            judged.append(verdict(facts, order, timing))
        except Refusal as refusal:
            absent[order.name] = str(refusal)
    if not judged:
        raise Refusal("; ".join(absent.values()))
    chosen = min((one for one in judged if not only or one.order.name == only), key=_weight, default=None)
    if chosen is None:
        raise Refusal(absent[only])
    others = tuple(one for one in judged if one is not chosen)
    because = () if chosen.safe else tuple(_because(facts, change, chosen.order))
    return Plan(facts, change, timing, chosen, others, absent, because)


def _weight(one: Verdict) -> tuple[bool, float, bool, int]:
    """The smaller the better: a device that stays stuck, the time at risk, an eFuse that is burnt, the work."""
    burns = any(step.kind == "burn" for step in one.order.steps)
    return bool(one.stuck), one.at_risk, burns, len(one.report.operations)


# ------------------------------------------------------------------------------------------------------------- refusals


def _check(facts: Facts, change: Change, images: tuple[tuple[str, bytes], ...]) -> None:
    """Raises ``Refusal`` for a table or a bootloader that could not work, however it came there."""
    flash, target = facts.dump.flash, facts.dump.target
    if change.table == facts.table and change.loader in {b"", facts.loader}:
        raise Refusal("the device has that table already" if not change.loader else "the device has both already")
    _check_table(facts, change)
    said = size_in_header(change.loader or facts.loader)
    end = max(row.offset + row.size for row in change.rows)
    if said is not None and end > said:
        raise Refusal(
            f"the new table ends at 0x{end:x}, and the bootloader's header says that the flash has 0x{said:x} bytes: "
            "it would refuse the table"
        )
    slots = [row for row in change.rows if row.ota_slot is not None]
    for name, data in images:
        small = next((row for row in slots if row.size < len(data)), None)
        if small is not None:
            raise Refusal(f"{name} has 0x{len(data):x} bytes, and {small.label} of the new table 0x{small.size:x}")
        faults = inspect_image(data, chip=target.name).faults
        if faults:
            raise Refusal(f"{name} is no app that this device runs: {faults[0]}")
    if change.loader and change.loader == facts.loader and change.loader_table != facts.table_offset:
        raise Refusal(f"the new bootloader is the one that is there, which looks at 0x{facts.table_offset:x}")
    if change.loader and not facts.loader:
        raise Refusal(f"there is no bootloader at 0x{target.bootloader_offset:x} of the dump that could be replaced")
    if change.loader:
        info = inspect_image(change.loader, chip=target.name, kind="bootloader")
        if info.faults:
            raise Refusal(f"the new bootloader is refused: {info.faults[0]}")
        end = target.bootloader_offset + len(change.loader)
        if end > min(facts.table_offset, change.loader_table):
            raise Refusal(f"the new bootloader reaches to 0x{end:x}, over the table at 0x{facts.table_offset:x}")
        if end > flash.size:
            raise Refusal("the new bootloader does not fit into the flash")


def _check_table(facts: Facts, change: Change) -> None:
    size = facts.dump.flash.size
    verdict = verify_partition_table(change.table, size)
    if verdict.err != EspErr.ESP_OK:
        fault = verdict.fault
        raise Refusal(f"the new table does not fit this flash: {fault}" if fault else "the new table is refused")
    if not any(row.type == APP for row in change.rows):
        raise Refusal("the new table has no app partition: nothing could boot")
    where = change.loader_table if change.loader else facts.table_offset
    low = [
        row for row in change.rows if row.type <= 1 and row.offset < where + 0x1000 and row.offset + row.size > where
    ]
    if low:
        raise Refusal(f"{low[0].label} at 0x{low[0].offset:x} overlaps the sector of the table at 0x{where:x}")
    odd = next((row for row in change.rows if row.type == APP and row.offset % 0x10000), None)
    if odd is not None:
        raise Refusal(f"{odd.label} at 0x{odd.offset:x} is not at a multiple of 0x10000, where the chip can run an app")


# --------------------------------------------------------------------------------------------------------------- proofs


def _because(facts: Facts, change: Change, order: Order) -> list[str]:
    """Why a window is left: what of the table cannot be had without an erase, and what an erased sector is worth."""
    if change.table == facts.table:
        return [
            f"ROM of {facts.dump.target.name} starts what lies at 0x{facts.dump.target.bootloader_offset:x}, or nothing"
        ]
    rising = sum((new & ~old).bit_count() for old, new in zip(facts.table, change.table, strict=True))
    reasons = [f"{rising} bits of the table's sector have to rise from 0 to 1, which only an erase does"]
    erased = verify_partition_table(b"\xff" * TABLE_MAX_LEN, facts.dump.flash.size)
    if erased.err != EspErr.ESP_OK and rising:
        reasons.append(f"an erased sector is no table: esp_partition_table_verify says {erased.log[0].text}")
    reasons.append(
        f"the bootloader looks for its table at 0x{facts.table_offset:x} alone: "
        f"bootloader_utility_load_partition_table knows no second one"
    )
    if not facts.dump.efuse.has_recovery_bootloader:
        reasons.append(f"the ROM of {facts.dump.target.name} knows no second bootloader that could look elsewhere")
    elif not facts.loader:
        reasons.append("there is no bootloader in the dump to become the recovery bootloader")
    elif order.name == "in-place":
        reasons.append(
            "this chip's ROM knows a recovery bootloader: with one built for a table elsewhere there is no window "
            "(--bootloader, --table-offset)"
        )
    return reasons
