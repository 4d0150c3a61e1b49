"""``esp-ota elf2image``: a linked program becomes an app image."""

from __future__ import annotations

from pathlib import Path

import click

from py_esp_ota._core import inspect_image
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say


@click.command("elf2image")
@click.argument("file", type=click.Path(path_type=Path), metavar="APP.elf")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The image.")
@chip_option("The chip it was linked for; esp32c3 when not said.", default="esp32c3")
@click.option("--project-name", help="Goes into the app descriptor.")
@click.option("--version", "app_version", help="Goes into the app descriptor.")
@click.option("--secure-version", type=click.IntRange(0, 0xFFFFFFFF), help="Goes into the app descriptor.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path,
    output: Path,
    chip: str,
    project_name: str | None,
    app_version: str | None,
    secure_version: int | None,
    as_json: bool,
) -> None:
    """Make an app image of a linked RISC-V program, laid out as esptool's elf2image lays it out."""
    with needing("elf2image", "silicon"):
        from py_esp_ota.elf import from_elf
    try:
        image = from_elf(
            read_input(file), chip=chip, project_name=project_name, version=app_version, secure_version=secure_version
        )
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    write_output(output, image)
    segments = inspect_image(image).segments
    if as_json:
        placed = [{"load_addr": segment.load_addr, "length": segment.length} for segment in segments]
        print_json({"output": str(output), "length": len(image), "segments": placed})
    else:
        say(f"Wrote {len(image)} bytes in {len(segments)} segments to {output}")
