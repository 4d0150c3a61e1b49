"""How each boot was decided, and what became of the app between two of them.

What a rollback bootloader does to otadata it does in silence: NEW becomes PENDING_VERIFY and PENDING_VERIFY becomes
ABORTED without a line. That an app was given up is seen by what runs next, and that nobody has asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from py_esp_ota.field.explain.chips import POWER, SOFTWARE, WATCHDOG
from py_esp_ota.field.explain.facts import Boot, Fact, Story, TableRow

#: ``chosen``: by otadata, or by the table where there is none. ``unseen``: the bootloader prints nothing, or its lines
#: are not in the log. ``running``: no boot is in it, only an app at work.
Decision = Literal[
    "chosen", "defaulting", "no-factory", "initial", "otadata-damaged", "fallback", "test-app", "test-pin", "nothing",
    "table", "refused", "fast-boot", "rom", "cut", "unseen", "running",
]  # fmt: skip
#: From the app before to this one. ``updated``: the app chose another slot. ``rolled-back``: the bootloader did.
Turn = Literal["first", "same", "updated", "rolled-back", "rejected", "refused"]

_SELECTED: tuple[tuple[str, Decision], ...] = (
    ("fast_boot", "fast-boot"),
    ("otadata_damaged", "otadata-damaged"),
    ("otadata_initial", "initial"),
    ("defaulting", "defaulting"),
    ("no_factory", "no-factory"),
)
_TABLE = (
    "table_refused", "table_row_magic", "table_row_size", "table_md5", "table_md5_twice", "table_no_end",
    "load_table_failed", "otadata_small",
)  # fmt: skip
_OF_ROM = ("bad_header", "flash_read_error", "rom_checksum", "rom_signature", "download", "rom_basic")
_REVISIONS = ("revision_low", "revision_high", "no_header", "xmc")
_CRASHES = (
    "panic", "canary", "overflow", "aborted", "asserted", "check_failed", "task_wdt", "brownout", "heap_corrupt",
    "stack_fault",
)  # fmt: skip


class Step(NamedTuple):
    """One boot: what decided it, where the app lies that started, and how that came from the boot before.

    ``shown`` are the facts that say so; ``crash`` is what ended the app of the boot before, where a line shows it.
    """

    boot: Boot
    decision: Decision
    turn: Turn
    offset: int | None
    row: TableRow | None
    shown: tuple[Fact, ...]
    crash: tuple[Fact, ...]


def course_of(story: Story) -> tuple[Step, ...]:
    """All boots in order."""
    steps: list[Step] = []
    ran: list[int] = []
    for boot in story.boots:
        loaded = boot.loaded
        offset = None if loaded is None else loaded.number("offset")
        decision, shown = _decided(boot)
        before = steps[-1] if steps else None
        turn: Turn = "first"
        if ran and offset is not None:
            turn = _turn(story, before, boot, offset, ran, decision)
            if turn == "rolled-back" and _is_new(steps, boot, offset):
                turn = "updated"
        crash = () if before is None else _crash(before.boot, boot)
        row = story.row_at(offset) if offset is not None else None
        steps.append(Step(boot, decision, turn, offset, row, shown, crash))
        if offset is not None:
            ran.append(offset)
    return tuple(steps)


def _decided(boot: Boot) -> tuple[Decision, tuple[Fact, ...]]:
    table = boot.all(*_TABLE)
    if table:
        return "table", tuple(table)
    if boot.first("nothing_bootable", "no_test_app"):
        return "nothing", tuple(boot.all("not_bootable", "nothing_bootable", "no_test_app"))
    loaded = boot.loaded
    refused = [fact for fact in boot.all("not_bootable") if loaded is None or fact.line < loaded.line]
    if loaded is None:
        return _not_started(boot, refused)
    if boot.first("fell_to_test"):
        return "test-app", tuple(boot.all("fell_to_test"))
    if boot.first("test_pin"):
        return "test-pin", (*boot.all("test_pin"), loaded)
    if refused:
        return "fallback", (*refused, loaded)
    for kind, decision in _SELECTED:
        fact = boot.first(kind)
        if fact is not None:
            return decision, (fact, loaded) if fact is not loaded else (loaded,)
    return "chosen", (loaded,)


def _not_started(boot: Boot, refused: Sequence[Fact]) -> tuple[Decision, tuple[Fact, ...]]:
    if refused:
        return "refused", tuple(refused)
    of_rom = boot.all(*_OF_ROM)
    if of_rom:
        return "rom", tuple(of_rom)
    early = boot.all(*_REVISIONS)
    if early:
        return "refused", tuple(early)
    if boot.first("rom", "reset", "bootloader") is None and not boot.table:
        return "running", ()
    first = boot.first("bootloader")
    return ("unseen", ()) if first is None else ("cut", (first,))


def _turn(story: Story, before: Step | None, boot: Boot, offset: int, ran: Sequence[int], decision: Decision) -> Turn:
    """How the slot that runs came to be another one than before.

    Where no line tells it: an app that has chosen another slot has said something, restarts by itself, and has not run
    there before.
    """
    last = ran[-1]
    if offset == last:
        return "same"
    if decision in {"fallback", "test-app"}:
        return "refused"
    if decision == "test-pin":
        return "updated"
    if boot.first("given_up") is not None:
        return "rolled-back"
    said = () if before is None else before.boot.by_app
    if any(fact.kind in {"rejected", "self_test_failed", "rmaker_unverified"} for fact in said):
        return "rejected"
    row = story.row_at(offset)
    if any(_is_about(fact, offset, row) for fact in said):
        return "updated"
    gone_back = offset in ran or decision in {"defaulting", "otadata-damaged"} or (row is not None and row.subtype == 0)
    silent = before is not None and not said and not before.boot.others
    return "rolled-back" if gone_back or silent or boot.cause not in {"", SOFTWARE} else "updated"


def _is_new(steps: Sequence[Step], boot: Boot, offset: int) -> bool:
    """Whether another app runs there than when it ran last: both have said who they are."""
    for kind in ("app_elf", "app_version"):
        now = boot.first(kind)
        then = next((step.boot.first(kind) for step in reversed(steps) if step.offset == offset), None)
        if now is not None and then is not None and now.values != then.values:
            return True
    return False


def _is_about(fact: Fact, offset: int, row: TableRow | None) -> bool:
    """Whether an app says that it writes, verifies or chooses what lies there."""
    if fact.kind == "writes_to":
        return fact.number("offset") == offset
    if fact.kind == "segment":
        at, size = fact.number("paddr") or 0, row.size if row else 0x10000
        return offset <= at < offset + size
    return False


def _crash(before: Boot, boot: Boot) -> tuple[Fact, ...]:
    """What ended the app of the boot before, as far as it is shown: its own last words, else ROM's reason."""
    words = [fact for fact in before.by_app if fact.kind in _CRASHES]
    if words:
        return tuple(words)
    return () if boot.reset is None or boot.cause in {"", SOFTWARE} else (boot.reset,)


def resets(steps: Sequence[Step]) -> dict[str, int]:
    """How often the chip was reset for each kind of reason, the first boot left out when it was the power."""
    counted: dict[str, int] = {}
    for number, step in enumerate(steps):
        if step.boot.cause and not (number == 0 and step.boot.cause == POWER):
            counted[step.boot.cause] = counted.get(step.boot.cause, 0) + 1
    return counted


def watchdogs(steps: Sequence[Step]) -> list[Fact]:
    """ROM's lines of resets by a watchdog."""
    return [step.boot.reset for step in steps if step.boot.cause == WATCHDOG and step.boot.reset is not None]
