"""``merge-bin`` and its inverse ``split``: parts into one flash image, and one flash image into its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from py_esp_ota._core import ImageHeader, Partition, verify_image
from py_esp_ota.cli.files import Unusable, is_dash, print_json, write_folder, write_output
from py_esp_ota.cli.inputs import (
    FlashInput,
    build_parts,
    flash_arguments,
    named_target,
    number,
    open_flash,
    pairs,
    read_parts,
)
from py_esp_ota.cli.output import say
from py_esp_ota.cli.part_names import PartNames
from py_esp_ota.firmware import merge

_SIZES = {f"{1 << n}MB": 1 << (20 + n) for n in range(8)}
_APP, _DATA = 0x00, 0x01
_DATA_OTA = 0x00
_TABLE_LENGTH = 0xC00
_MODES = {0: "qio", 1: "qout", 2: "dio", 3: "dout"}


@click.command("merge-bin")
@click.argument("words", nargs=-1, required=True, metavar="BUILD_DIR|OFFSET FILE...")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The merged image.")
@click.option(
    "--target-offset", "-t", default="0x0", show_default=True, help="The flash address of the file's first byte."
)
@click.option("--pad-to-size", type=click.Choice(list(_SIZES)), help="Fill with 0xFF up to this flash size.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def merge_bin(words: tuple[str, ...], output: Path, target_offset: str, pad_to_size: str | None, as_json: bool) -> None:
    """Put parts, or what a build directory would flash, into one image."""
    parts = build_parts(Path(words[0])) if len(words) == 1 and Path(words[0]).is_dir() else pairs(words)
    start = number(target_offset, "--target-offset")
    if min(parts) < start:
        raise Unusable(f"the part at 0x{min(parts):x} lies before the target offset 0x{start:x}")
    size = None if pad_to_size is None else _SIZES[pad_to_size] - start
    if size is not None and size < 0:
        raise Unusable(f"the target offset 0x{start:x} lies behind the end of a flash of {pad_to_size}")
    try:
        image = merge({offset - start: data for offset, data in read_parts(parts).items()}, size=size)
    except ValueError as error:
        raise Unusable(str(error)) from error
    write_output(output, image)
    if as_json:
        print_json({"output": str(output), "target_offset": start, "length": len(image)})
    else:
        say(f"Wrote {len(image)} bytes to {output}, to be flashed at 0x{start:x}")


@click.command("split")
@flash_arguments
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="A new folder for the parts.")
@click.option("--chip", default="auto", help="The chip; auto takes it from the images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def split(files: tuple[str, ...], output: Path, chip: str, as_json: bool) -> None:
    """Take a flash image apart: bootloader, table, each app by its length, data that is not blank.

    The folder is a build directory again: merge-bin of it gives the same flash.
    """
    if is_dash(output):
        raise click.UsageError("--output is a folder here, not -")
    given = open_flash(files, chip=chip)
    if output.exists() and any(output.iterdir() if output.is_dir() else [output]):
        raise Unusable(f"{output} exists and is not empty")
    parts = _parts(given, chip)
    folder = {name: data for _, (name, data) in sorted(parts.items())}
    listed = {f"0x{offset:x}": name for offset, (name, _) in sorted(parts.items())}
    described = json.dumps({"flash_files": listed, "flash_settings": _settings(given, chip)}, indent=4)
    write_folder(output, {**folder, "flasher_args.json": described.encode()})
    if as_json:
        print_json([{"offset": o, "file": n, "length": len(d)} for o, (n, d) in sorted(parts.items())])
    else:
        for offset, (name, data) in sorted(parts.items()):
            say(f"0x{offset:08x} {len(data):8d} bytes  {name}")


def _settings(given: FlashInput, chip: str) -> dict[str, str]:
    header = ImageHeader.from_bytes(given.flash.read(given.target(chip).bootloader_offset, 24))
    if header.magic != 0xE9:
        return {}
    size = f"{1 << header.spi_size}MB" if header.spi_size < 8 else "detect"
    return {"flash_mode": _MODES.get(header.spi_mode, "keep"), "flash_size": size}


def _parts(given: FlashInput, chip: str) -> dict[int, tuple[str, bytes]]:
    """Everything in the flash that is not blank, by offset; together it is the whole flash."""
    flash, table = given.flash, given.table()
    target = named_target(chip) if chip != "auto" else given.target()
    table_offset = given.config.partition_table_offset
    found: dict[int, tuple[str, bytes]] = {}
    taken: list[tuple[int, int]] = []

    def take(name: str, offset: int, length: int) -> None:
        taken.append((offset, offset + length))
        if sum(end - start for start, end in taken) > flash.size:
            raise Unusable(f"{given.path}: the partitions overlap: together they have more than the whole flash")
        if length:
            found[offset] = (name, flash.read(offset, length))

    image_len = verify_image(
        flash, target.bootloader_offset, table_offset - target.bootloader_offset, chip=target.name, mode="metadata"
    ).image_len
    take("bootloader/bootloader.bin", target.bootloader_offset, image_len)
    take("partition_table/partition-table.bin", table_offset, _TABLE_LENGTH)
    names = PartNames()
    for row in table:
        if row.offset + row.size > flash.size:
            raise Unusable(f"{given.path}: partition {row.label} ends beyond the flash")
        take(names.of(row.label), row.offset, _length(given, row, target.name))
    for offset, data in _rest(flash.to_bytes(), taken):
        found[offset] = (names.of(f"unknown-0x{offset:x}"), data)
    return found


def _length(given: FlashInput, row: Partition, chip: str) -> int:
    """Bytes worth keeping: an image's own length, else up to the last byte that is not 0xFF."""
    data = given.flash.read(row.offset, row.size)
    used = len(data.rstrip(b"\xff"))
    if row.type != _APP:
        # otadata is written whole by every flash tool, so that its two sectors are known to be blank.
        return row.size if row.type == _DATA and row.subtype == _DATA_OTA and used else used
    return max(verify_image(given.flash, row.offset, row.size, chip=chip, mode="metadata").image_len, used)


def _rest(image: bytes, taken: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """What lies outside bootloader, table and partitions and is not blank."""
    at = 0
    for start, end in [*sorted(taken), (len(image), len(image))]:
        gap = image[at:start]
        used = gap.rstrip(b"\xff")
        if used:
            skip = len(used) - len(used.lstrip(b"\xff"))
            yield at + skip, used[skip:]
        at = max(at, end)
