"""``esp-ota image-info``: one image, all that can be read of it, all that is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota._core import Target, inspect_image
from py_esp_ota.cli.files import print_json, read_input
from py_esp_ota.cli.image_report import holds_one_image, report
from py_esp_ota.cli.output import say


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
    if not holds_one_image(info, len(data)):
        _several(file, named, as_json, data)
    if as_json:
        print_json(info.to_dict())
    else:
        say(*report(str(file), info))
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
        lines = [f"{file}: a flash image"]
        for name, offset, info in infos:
            lines += ["", *report(f"{name} at 0x{offset:x}", info)]
        say(*lines)
    sys.exit(0 if infos and all(info.valid for _, _, info in infos) else 1)
