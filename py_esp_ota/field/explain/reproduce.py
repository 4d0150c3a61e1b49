"""A boot of a log, played again: a world made of its facts, booted by the model, and compared line by line.

The world is the log's table, release and chip; a sound app where one was loaded, and one with the same fault where one
was refused; otadata that chooses what was tried first. What cannot be made of a log is said: keys, pins, machine code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypedDict

from py_esp_ota._core import EFuse, Flash, Partition, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspError
from py_esp_ota.field.explain.course import Decision, Step
from py_esp_ota.field.explain.explain import Explanation, explain
from py_esp_ota.field.explain.facts import Boot, Fact, Story, TableRow
from py_esp_ota.field.explain.rules_of_images import refusals
from py_esp_ota.firmware import Firmware, flipped, ota_select_entry, rewritten
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.releases import release_of
from py_esp_ota.sdkconfig import Sdkconfig

_TABLE_AT, _FACTORY = 0x8000, -1
_MIB, _ENTRY, _SECTOR = 1 << 20, 32, 0x1000
_SMALLEST = 0x1000
#: What a boot decides, and refuses: these lines have to be the same.
_ESSENTIAL = frozenset({
    "defaulting", "no_factory", "otadata_damaged", "otadata_initial", "otadata_small", "anti_rollback",
    "secure_version", "not_bootable", "loaded", "healed", "fell_to_test", "nothing_bootable", "table_refused",
    "table_row_magic", "table_row_size", "table_md5", "table_no_end", "load_table_failed", "image_magic",
    "image_checksum", "image_hash", "image_length", "image_segment", "image_address", "image_mapping", "chip_id",
    "revision_low", "revision_high", "block_low", "block_high", "image_signature", "image_unsigned",
    "image_description", "image_count", "image_read", "no_description", "factory_reset", "test_pin",
})  # fmt: skip
#: And of what they say, these words; sums and lengths are of the log's own image.
_WORDS = ("slot", "offset", "row", "magic", "size", "flash", "expected", "found", "wanted", "seq", "version")
_PLAYABLE: frozenset[Decision] = frozenset({
    "chosen", "defaulting", "no-factory", "initial", "otadata-damaged", "fallback", "nothing", "table",
})  # fmt: skip
_CANNOT: Mapping[str, str] = {
    "rom": "ROM starts no bootloader, and the model begins behind it",
    "unseen": "the bootloader's lines are not in the log",
    "running": "no boot is in the log",
    "cut": "the log ends, or the chip was reset, before the bootloader had decided",
    "fast-boot": "a wake from deep sleep depends on RTC memory, which no line shows",
    "test-app": "what made all other apps fail is not in the log",
    "test-pin": "a pin was held: `esp-ota boot FLASH --hold-pin` plays that",
    "refused": "the bootloader ended before its table was read",
}
_KEYS = (
    "image_signature",
    "image_unsigned",
    "signature_digests",
    "encrypted",
    "encryption_refused",
    "encryption_plain",
)
_REVISION = re.compile(r"v?(\d+)\.(\d+)")


class ReproductionDict(TypedDict):
    """The key ``reproduction``."""

    boot: int | None
    same: bool
    why: str
    lines: list[str]


class Reproduction(NamedTuple):
    """What came of it.

    ``boot`` is the number of the boot, ``same`` whether the model printed the same essential lines, ``why`` what kept
    it from that, or the first line that differs. ``console`` are the model's essential lines.
    """

    boot: int | None
    same: bool
    why: str
    console: tuple[str, ...]

    def to_dict(self) -> ReproductionDict:
        """As JSON-ready values."""
        return {"boot": self.boot, "same": self.same, "why": self.why, "lines": list(self.console)}

    def lines(self) -> list[str]:
        """As text."""
        if not self.console:
            return [f"Not reproduced: {self.why}."]
        head = (
            f"Reproduced: a world of boot {self.boot} prints the same essential lines."
            if self.same
            else f"Not reproduced: a world of boot {self.boot} {self.why}."
        )
        return [head, *(f"  {line}" for line in self.console)]


def reproduce(found: Explanation) -> Reproduction:
    """Play the boot again that tells most: the one of the first cause that is a boot's, else the last."""
    steps = [step for step in found.steps if step.decision in _PLAYABLE]
    if not steps:
        last = found.steps[-1] if found.steps else None
        return Reproduction(None, False, _CANNOT.get(last.decision, "") if last else "no boot is in the log", ())
    step = _of_cause(found, steps)
    number = step.boot.number
    by_key = step.boot.first(*_KEYS)
    if by_key is not None:
        return Reproduction(number, False, "signatures and encryption need the chip's own keys", ())
    if found.story.chip is None:
        return Reproduction(number, False, "the log does not say which chip it is", ())
    try:
        chip, config = _world(found.story, step)
        report = boot(chip, config)
    except (ValueError, KeyError, IndexError, EspError) as error:
        return Reproduction(number, False, f"no such world can be made: {error}", ())
    played = explain("\n".join(report.console).encode()).steps[0].boot
    wanted, got = _essence(step.boot), _essence(played)
    return Reproduction(
        number, wanted == got, _difference(wanted, got), tuple(fact.text for fact in _essential(played))
    )


def _of_cause(found: Explanation, steps: list[Step]) -> Step:
    for cause in found.causes:
        for step in steps:
            facts = {id(fact) for fact in step.boot.by_bootloader}
            if cause.name != "rolled-back" and any(id(fact) in facts for fact in cause.shown):
                return step
            if cause.name == "rolled-back" and step.turn == "rolled-back":
                return step
    return steps[-1]


Essence = list[tuple[str, tuple[object, ...]]]


def _essential(played: Boot) -> list[Fact]:
    return [fact for fact in played.by_bootloader if fact.kind in _ESSENTIAL]


def _essence(played: Boot) -> Essence:
    return [(fact.kind, tuple(fact.values.get(word) for word in _WORDS)) for fact in _essential(played)]


def _difference(wanted: Essence, got: Essence) -> str:
    for number in range(max(len(wanted), len(got))):
        one, other = (lines[number][0] if number < len(lines) else "nothing more" for lines in (wanted, got))
        if wanted[number : number + 1] != got[number : number + 1]:
            return f"differs at its {number + 1}. essential line: the log has {one}, the world {other}"
    return ""


# --------------------------------------------------------------------------------------------------------- the world


def _world(story: Story, step: Step) -> tuple[Chip, Sdkconfig]:
    """A chip in the state of this boot, and how its bootloader was built. Raises ``ValueError``, ``KeyError``."""
    this = step.boot
    name = story.chip or ""
    size = _flash_size(this)
    burnt = this.first("secure_version")
    version = (burnt.number("version") or 0) if burnt else 0
    config = Sdkconfig(
        idf_version=release_of(story.version or "") or Sdkconfig().idf_version,
        bootloader_app_rollback_enable=step.turn == "rolled-back" or burnt is not None,
        bootloader_app_anti_rollback=burnt is not None,
    )
    revision, block = _found(this, "revision_low", "revision_high"), _found(this, "block_low", "block_high")
    efuse = EFuse(name, secure_version=version, chip_revision=revision, block_revision=block or 0)
    flash = bytearray(b"\xff" * size)
    rows = this.table or story.table

    def put(at: int, data: bytes) -> None:
        flash[at : at + len(data)] = data[: max(0, size - at)]

    put(_TABLE_AT, _table(this, rows, size))
    # What is too long comes last, for it reaches into the slot behind it.
    tried = sorted(refusals(this), key=lambda pair: pair[0] is not None and pair[0].kind == "image_length")
    for row in rows:
        if row.is_app and row.size:
            put(row.offset, _app(name, row, story, step, version))
    for why, passed in tried:
        meant = _row_of(rows, passed)
        if meant is not None and meant.size:
            put(meant.offset, b"\xff" * min(meant.size, _SECTOR * 8))
            put(meant.offset, _refused(name, meant, why, version))
    otadata = next((row for row in rows if (row.type, row.subtype) == (1, 0)), None)
    if otadata is not None:
        for number, entry in enumerate(_otadata(story, step, rows)):
            put(otadata.offset + number * _SECTOR, entry)
    return Chip(name, flash=Flash.from_bytes(bytes(flash), size=size), efuse=efuse), config


def _flash_size(this: Boot) -> int:
    said = this.first("flash_size")
    beyond = this.first("table_row_size")
    if beyond is not None and beyond.number("flash"):
        return beyond.number("flash") or 0
    if said is not None and said.number("mib"):
        return (said.number("mib") or 0) * _MIB
    end = max((row.offset + row.size for row in this.table), default=4 * _MIB)
    return max(4 * _MIB, 1 << (end - 1).bit_length())


def _found(this: Boot, *kinds: str) -> int | None:
    """The chip's revision, or its eFuse block's, where an image was refused for it."""
    fact = this.first(*kinds)
    return None if fact is None else _revision(fact.values.get("found"))


def _revision(word: object) -> int:
    found = _REVISION.search(str(word))
    return int(found[1]) * 100 + int(found[2]) if found else int(str(word)) * 100


def _table(this: Boot, rows: tuple[TableRow, ...], size: int) -> bytes:
    """The table of the log; where it was refused, one that is refused for the same."""
    bad = this.first("table_row_magic", "table_row_size", "table_md5", "table_no_end")
    if bad is None:
        return _binary([Partition(row.label, row.type, row.subtype, row.offset, row.size) for row in rows])
    count = bad.number("row") or 0
    small = [Partition(f"row{number}", 1, 6, 0x9000 + number * _SECTOR, _SECTOR) for number in range(max(count, 1))]
    table = bytearray(_binary(small))
    if bad.kind == "table_row_magic":
        magic = bad.number("magic") or 0
        table[count * _ENTRY : count * _ENTRY + 2] = magic.to_bytes(2, "little")
        if magic == 0xFFFF:
            table[count * _ENTRY :] = b"\xff" * (len(table) - count * _ENTRY)
    elif bad.kind == "table_row_size":
        wrong = Partition("wrong", 1, 6, bad.number("offset") or size, bad.number("size") or _SECTOR)
        table = bytearray(_binary([*small[:count], wrong]))
    elif bad.kind == "table_md5":
        table = bytearray(flipped(bytes(table), len(small) * _ENTRY + _ENTRY - 1))
    else:
        table[:] = (bytes(table[:_ENTRY]) * (len(table) // _ENTRY))[: len(table)]
    return bytes(table)


def _binary(rows: list[Partition]) -> bytes:
    return PartitionTable(rows).to_bytes()


def _app(chip: str, row: TableRow, story: Story, step: Step, version: int) -> bytes:
    name = story.app_version or "1.0.0"
    return _fitting(Firmware("log", name[:31], chip=chip, secure_version=version), row) if _sound(row, step) else b""


def _sound(row: TableRow, step: Step) -> bool:
    """Whether an app lay there: it was loaded, or nobody looked at it. What was refused is made by itself."""
    return step.decision != "nothing" or row.subtype == 0x20


def _fitting(firmware: Firmware, row: TableRow) -> bytes:
    image = firmware.to_bytes()
    if len(image) > row.size:
        raise ValueError(f"{row.label} is too small for any app")
    return image


def _row_of(rows: tuple[TableRow, ...], passed: Fact) -> TableRow | None:
    """The row that a line about a refused app means; of several the last, as the bootloader has it."""
    slot = passed.number("slot")
    meant = [row for row in rows if (row.ota_slot == slot if slot is not None else (row.type, row.subtype) == (0, 0))]
    return meant[-1] if meant else None


#: By the reason: an app with just that fault, of a sound one.
_FAULTS: Mapping[str, Callable[[bytes, Fact], bytes]] = {
    "image_magic": lambda _image, _why: b"",
    "image_hash": lambda image, _why: flipped(image, -1),
    "image_checksum": lambda image, _why: flipped(image, len(image) // 2),
    "image_segment": lambda image, why: rewritten(image, data_len={1: why.number("length") or 0xFFFFFFFF}),
    "image_address": lambda image, why: rewritten(image, load_addr={1: why.number("begin") or 0}),
    "image_mapping": lambda image, why: rewritten(image, load_addr={0: (why.number("address") or 0) | 4}),
    "image_count": lambda image, why: rewritten(image, segment_count=min(why.number("count") or 17, 255)),
    "chip_id": lambda image, why: rewritten(image, chip_id=why.number("found")),
}
#: And those that a build can be asked for.
_LIMITS: Mapping[str, Callable[[Firmware, int], Firmware]] = {
    "revision_low": lambda app, wanted: replace(app, min_chip_rev_full=wanted),
    "revision_high": lambda app, wanted: replace(app, max_chip_rev_full=wanted),
    "block_low": lambda app, wanted: replace(app, min_efuse_blk_rev_full=wanted),
    "block_high": lambda app, wanted: replace(app, max_efuse_blk_rev_full=wanted),
}


def _refused(chip: str, row: TableRow, why: Fact | None, version: int) -> bytes:
    """An app that is refused for the reason that the log has; ``None`` is a secure version that is too low."""
    if why is None:
        return _fitting(Firmware("log", "0.0.1", chip=chip, secure_version=max(version - 1, 0)), row)
    if why.kind == "image_length":
        return Firmware(
            "log", "1.0.0", chip=chip, secure_version=version, size=(row.size + _SMALLEST) & ~0xF
        ).to_bytes()
    limited = _LIMITS.get(why.kind)
    if limited is not None:
        app = Firmware("log", "1.0.0", chip=chip, secure_version=version)
        return _fitting(limited(app, _revision(why.values.get("wanted"))), row)
    spoil = _FAULTS.get(why.kind)
    if spoil is None:
        raise ValueError(f"an app that is refused for {why.kind} cannot be made of the line alone")
    return spoil(_fitting(Firmware("log", "1.0.0", chip=chip, secure_version=version), row), why)


def _otadata(story: Story, step: Step, rows: tuple[TableRow, ...]) -> tuple[bytes, ...]:
    """Entries that choose what this boot tried first; with a rollback also the one that it gave up."""
    this, count = step.boot, sum(row.ota_slot is not None for row in rows)
    if this.first("defaulting", "no_factory", "otadata_initial"):
        if step.turn != "rolled-back":
            return ()
    elif this.first("otadata_damaged") and not this.first("anti_rollback"):
        return (ota_select_entry(1, OtaImgState.UNDEFINED, crc=0),)
    first = _tried_first(this, rows)
    chosen = () if first is None or first == _FACTORY else (ota_select_entry(first + 1, OtaImgState.VALID),)
    if step.turn != "rolled-back":
        return chosen
    before = story.boots[: this.number - 1]
    ran = next((earlier.loaded.number("offset") for earlier in reversed(before) if earlier.loaded is not None), None)
    given_up = story.row_at(ran)
    if given_up is None or given_up.ota_slot is None or not count:
        return chosen
    seq = given_up.ota_slot + 1
    return (
        *chosen,
        ota_select_entry(seq if seq > (first or 0) + 1 or not chosen else seq + count, OtaImgState.PENDING_VERIFY),
    )


def _tried_first(this: Boot, rows: tuple[TableRow, ...]) -> int | None:
    """The slot of the first app that was looked at, as the bootloader numbers them."""
    for _, passed in refusals(this):
        return passed.number("slot") if "slot" in passed.values else _FACTORY
    offset = this.loaded.number("offset") if this.loaded is not None else None
    row = next((row for row in rows if row.offset == offset), None)
    return None if row is None else row.ota_slot if row.ota_slot is not None else _FACTORY
