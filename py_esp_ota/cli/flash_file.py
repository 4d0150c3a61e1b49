"""Verbs on a flash in a file, as esptool has them on a flash in a chip: read, write, erase, verify."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota._core import Flash, Partition, inspect_image
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output
from py_esp_ota.cli.image_report import holds_one_image
from py_esp_ota.cli.inputs import FlashInput, number, open_flash, pairs, read_parts
from py_esp_ota.cli.output import say
from py_esp_ota.cli.selectors import selected, selectors
from py_esp_ota.idf.detect import detect_table
from py_esp_ota.sdkconfig import Sdkconfig

_SECTOR = 0x1000
_SIZES = {f"{1 << n}MB": 1 << (20 + n) for n in range(8)}


def _partition(given: FlashInput, name: str | None, kind: str | None, subtype: str | None) -> Partition | None:
    """parttool.py's selectors; ``None`` when there are none."""
    if name is None and kind is None:
        return None
    for row in selected(given.table(), name, kind, subtype):
        return row
    raise Unusable(f"{given.path}: the table has no partition {name or f'{kind}/{subtype}'}")


_FORCE = click.option("--force", is_flag=True, help="Whatever FILE looks like.")


def _range(given: FlashInput, words: tuple[str, ...], part: Partition | None, usage: str) -> tuple[int, int]:
    """Offset and size from the words or the partition; inside the flash."""
    if part is not None:
        if words:
            raise click.UsageError("an offset and a partition exclude each other")
        return part.offset, part.size
    if len(words) != 2:
        raise click.UsageError(usage)
    offset = number(words[0], "OFFSET")
    size = given.flash.size - offset if words[1].upper() == "ALL" else number(words[1], "SIZE")
    if size < 0 or offset + size > given.flash.size:
        raise Unusable(
            f"0x{offset:x} and 0x{max(size, 0):x} bytes on end beyond the 0x{given.flash.size:x} bytes of the flash"
        )
    return offset, size


def _refuse_no_flash(given: FlashInput) -> None:
    """A slip of the hand must not cost somebody's app or document. Raises ``Unusable``.

    A flash is as large as flashes are, or blank, or has a partition table; an app is none.
    """
    data = given.flash.read(given.start, given.length)
    info = inspect_image(data)
    if holds_one_image(info, len(data)):
        raise Unusable(f"{given.path} is an app, not a flash; --force takes it for one")
    if given.start + len(data) not in _SIZES.values() and data.strip(b"\xff") and detect_table(given.flash) is None:
        raise Unusable(
            f"{given.path} does not look like a flash: its {len(data)} bytes are no size of one, and it has no "
            "partition table; --force takes it for one"
        )


def _tell(as_json: bool, facts: dict[str, object], *lines: str) -> None:
    if as_json:
        print_json(facts)
    else:
        say(*lines)


@click.command("read-flash")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, type=click.Path(), metavar="OFFSET SIZE OUTPUT")
@selectors
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where the bytes go, when a partition is named.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def read_flash(
    file: Path,
    words: tuple[str, ...],
    partition_name: str | None,
    partition_type: str | None,
    partition_subtype: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Copy a part of the flash to a file; SIZE may be ALL."""
    given = open_flash(file)
    part = _partition(given, partition_name, partition_type, partition_subtype)
    if part is None and output is None and len(words) == 3:
        output, words = Path(words[2]), words[:2]
    if output is None:
        raise click.UsageError("say where the bytes go: OFFSET SIZE OUTPUT, or a partition and --output")
    offset, size = _range(given, words, part, "read-flash FILE OFFSET SIZE OUTPUT")
    write_output(output, given.flash.read(offset, size))
    _tell(
        as_json,
        {"offset": offset, "length": size, "output": str(output)},
        f"Read {size} bytes from 0x{offset:08x} into {output}",
    )


@click.command("write-flash")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, type=click.Path(), metavar="OFFSET PART...")
@selectors
@click.option("--flash-size", type=click.Choice(list(_SIZES)), help="Make the file, erased, when there is none.")
@click.option("--erase-all", is_flag=True, help="Erase the whole flash first.")
@_FORCE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def write_flash(
    file: Path,
    words: tuple[str, ...],
    partition_name: str | None,
    partition_type: str | None,
    partition_subtype: str | None,
    flash_size: str | None,
    erase_all: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write parts into the flash. All or nothing.

    The sectors they touch are erased first, and what lay around a part in its first and last one is written back;
    esptool leaves it erased on a chip.
    """
    made = flash_size is not None and not file.exists()
    given = _made(file, flash_size) if made and flash_size else open_flash(file)
    if not (made or force):
        _refuse_no_flash(given)
    part = _partition(given, partition_name, partition_type, partition_subtype)
    if part is not None:
        if len(words) != 1:
            raise click.UsageError("with a partition named, give the one file to write")
        parts = {part.offset: Path(words[0])}
    else:
        if not words:
            raise click.UsageError("write-flash FILE OFFSET PART [OFFSET PART ...]")
        parts = pairs(words)
    data = read_parts(parts)
    _check(given.flash, data, part)
    if erase_all:
        given.flash.erase(0, given.flash.size)
    for offset, piece in data.items():
        start, end = offset & ~(_SECTOR - 1), offset + len(piece) + _SECTOR - 1 & ~(_SECTOR - 1)
        before, behind = given.flash.read(start, end - start)[: offset - start], offset + len(piece)
        after = given.flash.read(behind, end - behind) if behind < end else b""
        given.flash.erase(start, end - start)
        given.flash.program(start, before + piece + after)
    given.save()
    written = [{"offset": offset, "length": len(piece), "file": str(parts[offset])} for offset, piece in data.items()]
    _tell(
        as_json,
        {"erased_all": erase_all, "written": written},
        *(f"Wrote {len(piece)} bytes at 0x{offset:08x}" for offset, piece in data.items()),
    )


def _made(file: Path, flash_size: str) -> FlashInput:
    return FlashInput(file, Flash(_SIZES[flash_size]), Sdkconfig(), 0, _SIZES[flash_size])


def _check(flash: Flash, data: dict[int, bytes], part: Partition | None) -> None:
    """Everything that could go wrong, before anything is written."""
    last_end, last = 0, ""
    for offset, piece in data.items():
        end = offset + len(piece)
        limit, what = (part.offset + part.size, f"partition {part.label}") if part else (flash.size, "the flash")
        if end > limit:
            raise Unusable(f"{len(piece)} bytes at 0x{offset:x} end beyond {what}, which ends at 0x{limit:x}")
        if last and offset & ~(_SECTOR - 1) < last_end:
            raise Unusable(f"the part at 0x{offset:x} shares a sector with the part {last}")
        last_end, last = end + _SECTOR - 1 & ~(_SECTOR - 1), f"at 0x{offset:x}"


@click.command("erase-region")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, metavar="OFFSET SIZE")
@selectors
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def erase_region(
    file: Path,
    words: tuple[str, ...],
    partition_name: str | None,
    partition_type: str | None,
    partition_subtype: str | None,
    as_json: bool,
) -> None:
    """Erase sectors; offset and size are multiples of 0x1000, SIZE may be ALL."""
    given = open_flash(file)
    part = _partition(given, partition_name, partition_type, partition_subtype)
    offset, size = _range(given, words, part, "erase-region FILE OFFSET SIZE")
    for name, value in (("offset", offset), ("size", size)):
        if value % _SECTOR:
            raise Unusable(f"the {name} 0x{value:x} is no multiple of the sector size 0x1000")
    given.flash.erase(offset, size)
    given.save()
    _tell(as_json, {"offset": offset, "length": size}, f"Erased 0x{size:x} bytes from 0x{offset:08x}")


@click.command("erase-flash")
@click.argument("file", type=click.Path(path_type=Path))
@_FORCE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def erase_flash(file: Path, force: bool, as_json: bool) -> None:
    """Erase the whole flash."""
    given = open_flash(file)
    if not force:
        _refuse_no_flash(given)
    write_output(file, b"\xff" * given.length)
    _tell(as_json, {"offset": given.start, "length": given.length}, f"Erased {file}")


@click.command("verify-flash")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, required=True, type=click.Path(), metavar="OFFSET PART...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify_flash(file: Path, words: tuple[str, ...], as_json: bool) -> None:
    """Compare parts with the flash. Exit 1 when one differs."""
    given = open_flash(file)
    found = []
    for offset, path in sorted(pairs(words).items()):
        piece = read_input(path)
        room = max(given.flash.size - offset, 0)
        there = given.flash.read(offset, min(len(piece), room)) if room else b""
        differs = next((at for at, (one, two) in enumerate(zip(piece, there, strict=False)) if one != two), None)
        if differs is None and len(there) < len(piece):
            differs = len(there)
        found.append({"file": str(path), "offset": offset, "equal": differs is None, "first_difference": differs})
    if as_json:
        print_json(found)
    else:
        for row in found:
            verdict = "matches" if row["equal"] else f"DIFFERS from byte 0x{row['first_difference']:x} on"
            say(f"0x{row['offset']:08x} {row['file']}: {verdict}")
    sys.exit(0 if all(row["equal"] for row in found) else 1)
