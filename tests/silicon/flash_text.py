"""A chip and its flash as lines of text, and the chip that such lines describe.

These lines are what is drawn, shrunk, reported and kept as a vector. The forge makes the bytes, not the judge::

    chip esp32c6 header=4 size=4 revision=4 reset=SW    which (esp32c3 if not said), MiB of flash in the bootloader's
                                                 header and on the board, eFuses, reset
    row otadata 1 0 0xd000 0x2000                one row of the table: label, type, subtype, offset, size
    table md5=none flip=0x1c                     its digest (none, bad), a bit that is wrong; "gone": no table
    otadata 0xd000 3/VALID 2/NEW!                where, and both entries: seq/state, "!" for a wrong CRC, "-" if blank
    app 0x10000 plain 7 0x300 magic=0xe8         where, an ordinary app (version, bytes), and what is changed in it
    app 0x20000 made 0x3c000020+desc+256 0x42010128+16 entry=0x40380000 hash=0     the same from segments

Changes come after the image, in order; one that cannot be made is passed over, and so is what lies beyond the flash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache

from board import entry, table

from py_esp_ota._core import EFuse, Flash, Target
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import Firmware, app_desc, flipped, image, rehashed, resealed, rewritten

TABLE_AT = 0x8000
_MIB = 0x100000
_SECTOR = 0x1000
#: Where an image with its descriptor in place has the size of its MMU pages, as an exponent.
_PAGE_AT = 0x20 + 180

Text = tuple[str, ...]


def build(text: Iterable[str], bootloader: Callable[[int], bytes] | None = None) -> Chip:
    """The chip of these lines. ``bootloader`` gives the image whose header says so many MiB; without it there is none.

    Raises ``ValueError`` for lines that say nothing.
    """
    name, facts = "esp32c3", {"header": "4", "size": "4"}
    rows: list[tuple[str, int, int, int, int]] = []
    changes: list[str] = []
    parts: list[tuple[int, bytes]] = []
    for line in text:
        kind, *words = line.split()
        if kind == "chip":
            name = next((word for word in words if "=" not in word), name)
            facts |= dict(word.split("=") for word in words if "=" in word)
        elif kind == "row":
            rows.append((words[0], *(int(word, 0) for word in words[1:])))  # type: ignore[arg-type]
        elif kind == "table":
            changes = words
        elif kind == "otadata":
            parts += [(int(words[0], 0) + _SECTOR * index, _entry(word)) for index, word in enumerate(words[1:])]
        elif kind == "app":
            parts.append((int(words[0], 0), app(name, *words[1:])))
        else:
            raise ValueError(f"no such line: {line!r}")
    written = [] if "gone" in changes else [(TABLE_AT, _table(rows, changes))]
    flash = _base(name, bootloader, int(facts["header"]), int(facts["size"])).fork()
    _put(flash, [*written, *parts])
    efuse = EFuse(
        name,
        chip_revision=int(facts["revision"]) if "revision" in facts else None,
        block_revision=int(facts.get("block", "0")),
        disable_wafer_version_major="no_max_wafer" in facts,
        disable_blk_version_major="no_max_block" in facts,
    )
    chip = Chip(name, flash=flash, efuse=efuse)
    chip.reset_reason = ResetReason[facts.get("reset", "POWERON")]
    return chip


@lru_cache(maxsize=64)
def _base(name: str, bootloader: Callable[[int], bytes] | None, header: int, size: int) -> Flash:
    flash = Flash(size * _MIB)
    if bootloader is not None:
        flash.program(Target(name).bootloader_offset, bootloader(header))
    return flash


def _put(flash: Flash, parts: Iterable[tuple[int, bytes]]) -> None:
    """Write all parts, a later one over an earlier one."""
    sectors: dict[int, bytearray] = {}
    for start, data in parts:
        for at in range(start - start % _SECTOR, min(start + len(data), flash.size), _SECTOR):
            sector = sectors.setdefault(at, bytearray(b"\xff" * _SECTOR))
            low, high = max(start, at), min(start + len(data), at + _SECTOR)
            sector[low - at : high - at] = data[low - start : high - start]
    for at, sector in sectors.items():
        if at >= TABLE_AT:  # the bootloader stays whole
            flash.program(at, bytes(sector))


def _table(rows: list[tuple[str, int, int, int, int]], changes: list[str]) -> bytes:
    data = table(*rows).to_bytes(md5="md5=none" not in changes)
    digest = 32 * len(rows) + 0x10
    for change in changes:
        name, _, value = change.partition("=")
        if change == "md5=bad":
            data = flipped(data, digest)
        elif name == "flip" and int(value, 0) < len(data):
            data = flipped(data, int(value, 0))
    return data


def _entry(text: str) -> bytes:
    state, _, label = text.partition(":")
    made = entry(state)
    return made[:4] + bytes.fromhex(label).ljust(20, b"\xff") + made[24:] if label else made


@lru_cache(maxsize=2048)
def app(chip: str, kind: str, *words: str) -> bytes:
    """The image that ``plain`` or ``made`` and these words describe."""
    if kind == "plain":
        options = dict(word.split("=") for word in words[2:] if word.startswith(("min_blk=", "max_blk=")))
        made = Firmware(
            "bench",
            words[0],
            chip=chip,
            size=int(words[1], 0),
            min_efuse_blk_rev_full=int(options.get("min_blk", "0")),
            max_efuse_blk_rev_full=int(options["max_blk"]) if "max_blk" in options else None,
        ).to_bytes()
        rest = words[2:]
    else:
        rest = tuple(word for word in words if not word.startswith("0x"))
        facts = dict(word.split("=") for word in rest if word.startswith(("entry=", "hash=")))
        entry_addr = int(facts["entry"], 0) if "entry" in facts else None
        segments = [_segment(index, word) for index, word in enumerate(w for w in words if w.startswith("0x"))]
        made = image(segments, chip=chip, entry_addr=entry_addr, hash_appended=facts.get("hash", "1") != "0")
    for word in rest:
        try:
            made = _changed(made, word)
        except (ValueError, IndexError):
            continue
    return made


def _segment(index: int, text: str) -> tuple[int, bytes]:
    address, *parts = text.split("+")
    data = b""
    for part in parts:
        filler = hashlib.shake_256(f"{index} {part}".encode())
        data += app_desc("bench", "made") if part == "desc" else filler.digest(int(part, 0) & ~3)
    return int(address, 0), data


def _changed(data: bytes, word: str) -> bytes:
    name, _, value = word.partition("=")
    if name in {"entry", "hash", "min_blk", "max_blk"}:
        return data
    if name == "resealed":
        return resealed(data)
    if name == "rehashed":
        return rehashed(data)
    number = int(value, 0)
    if name == "flip":
        return flipped(data, number)
    if name == "cut":
        return data[:number]
    if name == "page":
        return data[:_PAGE_AT] + bytes((number,)) + data[_PAGE_AT + 1 :]
    if name == "entry_addr":
        return data[:4] + number.to_bytes(4, "little") + data[8:]
    field, _, index = name.rstrip("]").partition("[")
    if index:
        return rewritten(data, **{field: {int(index): number}})  # type: ignore[arg-type]
    if field not in {"magic", "segment_count", "chip_id", "min_chip_rev_full", "max_chip_rev_full", "hash_appended"}:
        raise AssertionError(f"no such change: {word!r}")
    return rewritten(data, **{field: number})  # type: ignore[arg-type]
