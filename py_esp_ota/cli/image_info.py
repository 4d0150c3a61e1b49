"""``esp-ota image-info``: images, all that can be read of them, all that is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from py_esp_ota._core import inspect_image
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.files import print_json, read_input
from py_esp_ota.cli.image_report import holds_one_image, report
from py_esp_ota.cli.output import say


class _Look(NamedTuple):
    """What is said about one file, in words and as JSON, and the exit code that goes with it."""

    lines: list[str]
    facts: dict[str, Any]
    code: int


@click.command("image-info")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@chip_option("The chip the image must be for; auto takes it from the header.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; of several files a list of them.")
def command(files: tuple[Path, ...], chip: str, as_json: bool) -> None:
    """Judge an app or bootloader image, or each image in a merged flash image or a build directory.

    Exit 0 when all are valid, 1 when one has a fault. Of several files each is judged, whatever the others are; exit 2
    when one of them cannot be read.
    """
    named = None if chip == "auto" else chip
    if len(files) == 1:
        looks = [_look(files[0], named)]
    else:
        looks = [_look_or_say(file, named, as_json=as_json) for file in files]
    if as_json:
        print_json(looks[0].facts if len(files) == 1 else [look.facts for look in looks])
    elif len(files) == 1:
        say(*looks[0].lines)
    sys.exit(max(look.code for look in looks))


def _look_or_say(file: Path, chip: str | None, *, as_json: bool) -> _Look:
    """One of several, said at once when it is said in words: a file that cannot be read does not hide the others."""
    try:
        look = _look(file, chip)
    except click.ClickException as error:
        look = _Look([], {"error": {"message": error.message, "exit_code": error.exit_code}}, error.exit_code)
        if not as_json:
            say(f"Error: {error.message}", err=True)
    if look.lines and not as_json:
        say(*look.lines, "")
    return look._replace(facts={"file": str(file), **look.facts})


def _look(file: Path, chip: str | None) -> _Look:
    """What there is to say about one file. Raises ``click.ClickException`` when it cannot be read."""
    if file.is_dir():
        return _flash(file, _images_in(file, None) or iter(()), chip)
    data = read_input(file)
    info = inspect_image(data, chip=chip)
    # A merged image begins like a bootloader; only then, and after strange bytes, is a partition table looked for.
    found = None if holds_one_image(info, len(data)) else _images_in(file, data)
    if found is not None:
        return _flash(file, found, chip)
    return _Look(report(str(file), info), {**info.to_dict()}, 0 if info.valid else 1)


def _images_in(file: Path, data: bytes | None) -> Iterator[tuple[str, int, bytes]] | None:
    from py_esp_ota.cli.flash_images import images_in  # most files are one image, and this is a long import

    return images_in(file, data)


def _flash(file: Path, found: Iterator[tuple[str, int, bytes]], chip: str | None) -> _Look:
    infos = [(name, offset, inspect_image(image, chip=chip)) for name, offset, image in found]
    lines = [f"{file}: a flash image"]
    for name, offset, info in infos:
        lines += ["", *report(f"{name} at 0x{offset:x}", info)]
    facts = [{"name": name, "offset": offset, **info.to_dict()} for name, offset, info in infos]
    return _Look(lines, {"images": facts}, 0 if infos and all(info.valid for _, _, info in infos) else 1)
