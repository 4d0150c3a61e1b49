"""``merge-bin`` and its inverse ``split``: parts into one flash image, and one flash image into its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from py_esp_ota._core import ImageHeader, Partition, Target, inspect_image, verify_image
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.files import Unusable, is_dash, print_json, refuse_used, write_folder, write_output
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
from py_esp_ota.firmware import merge, with_flash_settings
from py_esp_ota.flashing import FREQUENCIES, MODES, SIZES, frequency_code, intel_hex, uf2

_APP, _DATA = 0x00, 0x01
_DATA_OTA = 0x00
_TABLE_LENGTH = 0xC00
_MODES = {code: mode for mode, code in MODES.items()}


@click.command("merge-bin")
@click.argument("words", nargs=-1, required=True, type=click.Path(), metavar="BUILD_DIR|OFFSET FILE...")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The merged image.")
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["raw", "uf2", "hex"]),
    default="raw",
    show_default=True,
    help="raw: from the first byte to the last. uf2 and hex: the parts alone, each with its address.",
)
@chip_option("The chip; auto takes it from the images. uf2 and the --flash options ask for it.")
@click.option("--flash-mode", type=click.Choice(["keep", *MODES]), default="keep", help="Of the bootloader's header.")
@click.option("--flash-freq", type=click.Choice(["keep", *FREQUENCIES]), default="keep", help="Of the same header.")
@click.option("--flash-size", type=click.Choice(["keep", *SIZES]), default="keep", help="Of the same header.")
@click.option(
    "--target-offset", "-t", default="0x0", show_default=True, help="raw: the flash address of the first byte."
)
@click.option("--pad-to-size", type=click.Choice(list(SIZES)), help="raw: fill with 0xFF up to this flash size.")
@click.option("--chunk-size", type=click.IntRange(4), help="uf2: bytes of data in a block, a multiple of 4.")
@click.option("--md5-disable", is_flag=True, help="uf2: blocks without MD5.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def merge_bin(
    words: tuple[str, ...],
    output: Path,
    form: str,
    chip: str,
    flash_mode: str,
    flash_freq: str,
    flash_size: str,
    target_offset: str,
    pad_to_size: str | None,
    chunk_size: int | None,
    md5_disable: bool,
    as_json: bool,
) -> None:
    """Put parts, or what a build directory would flash, into one image, as esptool does."""
    start = number(target_offset, "--target-offset")
    for option, value, only in (
        ("--target-offset", start, "raw"),
        ("--pad-to-size", pad_to_size, "raw"),
        ("--chunk-size", chunk_size, "uf2"),
        ("--md5-disable", md5_disable, "uf2"),
    ):
        if value and form != only:
            raise click.UsageError(f"{option} goes with --format {only}")
    if chunk_size is not None and chunk_size % 4:
        raise click.BadParameter(f"{chunk_size} is no multiple of 4", param_hint="--chunk-size")
    parts = read_parts(build_parts(Path(words[0])) if len(words) == 1 and Path(words[0]).is_dir() else pairs(words))
    if min(parts) < start:
        raise Unusable(f"the part at 0x{min(parts):x} lies before the target offset 0x{start:x}")
    size = None if pad_to_size is None else (1 << 20 + SIZES[pad_to_size]) - start
    if size is not None and size < 0:
        raise Unusable(f"the target offset 0x{start:x} lies behind the end of a flash of {pad_to_size}")
    try:
        if (flash_mode, flash_freq, flash_size) != ("keep",) * 3:
            _set_flash(parts, _target(parts, chip), flash_mode, flash_freq, flash_size)
        image = merge({offset - start: data for offset, data in parts.items()}, size=size)  # refuses what overlaps
        if form == "uf2":
            image = uf2(parts, chip=_target(parts, chip).name, chunk_size=chunk_size, md5=not md5_disable)
        elif form == "hex":
            image = intel_hex(parts)
    except ValueError as error:
        raise Unusable(str(error)) from error
    write_output(output, image)
    if as_json:
        print_json({"output": str(output), "format": form, "target_offset": start, "length": len(image)})
    elif form == "raw":
        say(f"Wrote {len(image)} bytes to {output}, to be flashed at 0x{start:x}")
    else:
        say(f"Wrote {len(image)} bytes to {output}, which say themselves where they go")


def _target(parts: Mapping[int, bytes], chip: str) -> Target:
    """The chip: named, or told by the first image that names one. Raises ``Unusable``."""
    told = [chip] if chip != "auto" else filter(None, (inspect_image(data).chip for data in parts.values()))
    for name in told:
        return Target(name)
    raise Unusable("no image tells which chip this is for; say it with --chip, for example --chip esp32c3")


def _set_flash(parts: dict[int, bytes], target: Target, mode: str, freq: str, size: str) -> None:
    """Rewrite the bootloader's header; warn, as esptool does, and leave as it is, what is no image there."""
    codes = {
        "mode": MODES.get(mode),
        "frequency": None if freq == "keep" else frequency_code(target.name, freq),
        "size": SIZES.get(size),
    }
    at = target.bootloader_offset
    if at not in parts:
        say(f"WARNING: no part lies at 0x{at:x}, where {target.name} has its bootloader: nothing to set", err=True)
        return
    try:
        parts[at] = with_flash_settings(parts[at], **codes)
    except ValueError as error:
        say(f"WARNING: the part at 0x{at:x} stays as it is: {error}", err=True)


@click.command("split")
@flash_arguments
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="A new folder for the parts.")
@chip_option("The chip; auto takes it from the images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def split(files: tuple[str, ...], output: Path, chip: str, as_json: bool) -> None:
    """Take a flash image apart: bootloader, table, each app by its length, data that is not blank.

    The folder is a build directory again: merge-bin of it gives the same flash.
    """
    if is_dash(output):
        raise click.UsageError("--output is a folder here, not -")
    given = open_flash(files, chip=chip)
    refuse_used(output)
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
