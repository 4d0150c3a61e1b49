"""``esp-ota image-info``: one image, all that can be read of it, all that is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota._core import ImageInfo, Target, inspect_image
from py_esp_ota.cli.files import print_json, read_input

#: Fill up to a sector, and a signature sector: what may stand behind an image without making it a flash.
_ROOM_FOR_SIGNATURE = 0x2000


@click.command("image-info")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--chip", default="auto", help="The chip the image must be for; auto takes it from the header.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, chip: str, as_json: bool) -> None:
    """Judge an app or bootloader image, or each image in a merged flash image or a build directory.

    Exit 0 when all are valid, 1 when one has a fault.
    """
    if chip != "auto" and chip not in Target.names():
        raise click.BadParameter(f"{chip!r} is none of {', '.join(Target.names())}", param_hint="--chip")
    named = None if chip == "auto" else chip
    if file.is_dir():
        _several(file, named, as_json)
    data = read_input(file)
    info = inspect_image(data, chip=named)
    # A merged image begins like a bootloader; only then, and after strange bytes, is a partition table looked for.
    if info.kind != "app" or len(data) > info.length + _ROOM_FOR_SIGNATURE:
        _several(file, named, as_json, data)
    if as_json:
        print_json(info.to_dict())
    else:
        click.echo("\n".join(_report(str(file), info)))
    sys.exit(0 if info.valid else 1)


def _several(file: Path, chip: str | None, as_json: bool, data: bytes | None = None) -> None:
    """The images of a flash, if ``file`` is one; returns when it is none."""
    from py_esp_ota.cli.flash_images import images_in

    found = images_in(file, data)
    if found is None:
        return
    infos = [(name, offset, inspect_image(image, chip=chip)) for name, offset, image in found]
    if as_json:
        print_json({"images": [{"name": name, "offset": offset, **info.to_dict()} for name, offset, info in infos]})
    else:
        reports = ["\n".join(_report(f"{name} at 0x{offset:x}", info)) for name, offset, info in infos]
        click.echo("\n\n".join([f"{file}: a flash image", *reports]))
    sys.exit(0 if infos and all(info.valid for _, _, info in infos) else 1)


def _report(file: str, info: ImageInfo) -> list[str]:
    lines = [f"{file}: {_what(info)}"]
    if info.kind == "unknown":  # what the other bytes would mean is noise; --json has it all the same
        return [*lines, *(f"  {fault.err.name}: {fault}" for fault in info.faults[:1])]
    if info.header:
        lines += [f"Entry point: 0x{info.header.entry_addr:08x}", f"Segments: {info.header.segment_count}"]
    if info.segments:
        lines.append("  Segment   Length     Load addr   File offset  Kind")
        lines += [
            f"  {s.index:7}   0x{s.length:06x}   0x{s.load_addr:08x}  0x{s.offset:08x}   {s.kind}"
            for s in info.segments
        ]
    lines += _sums(info)
    if info.app_desc:
        desc = info.app_desc
        lines += [
            f"Project name: {desc.project_name}",
            f"App version: {desc.version}",
            f"Compile time: {desc.date} {desc.time}".rstrip(),
            f"ELF file SHA256: {desc.app_elf_sha256.hex()}",
            f"ESP-IDF: {desc.idf_ver}",
            f"Secure version: {desc.secure_version}",
        ]
    if info.bootloader_desc:
        lines += [
            f"Bootloader version: {info.bootloader_desc.version}",
            f"ESP-IDF: {info.bootloader_desc.idf_ver}",
            f"Compile time: {info.bootloader_desc.date_time}",
        ]
    if info.faults:
        lines += ["", f"{len(info.faults)} fault{'s' * (len(info.faults) > 1)}, the first is the chip's verdict:"]
        lines += [f"  {fault.err.name}: {fault}" for fault in info.faults]
    return lines


def _what(info: ImageInfo) -> str:
    if info.kind == "unknown":
        return "no ESP32-family image"
    kind = {"app": "app image", "bootloader": "bootloader image"}[info.kind]
    chip = f" for {info.chip}" if info.chip else ""
    return f"{kind}{chip}, {info.length} bytes, {'valid' if info.valid else 'INVALID'}"


def _sums(info: ImageInfo) -> list[str]:
    lines = []
    if info.checksum_stored is not None:
        good = info.checksum_stored == info.checksum_calculated
        verdict = "valid" if good else f"invalid - calculated 0x{info.checksum_calculated or 0:02x}"
        lines.append(f"Checksum: 0x{info.checksum_stored:02x} ({verdict})")
    if info.hash_stored is not None:
        good = info.hash_stored == info.hash_calculated
        verdict = "valid" if good else f"invalid - calculated {(info.hash_calculated or b'').hex()}"
        lines.append(f"Validation hash: {info.hash_stored.hex()} ({verdict})")
    return lines
