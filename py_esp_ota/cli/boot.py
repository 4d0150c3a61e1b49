"""``esp-ota boot``: what the second-stage bootloader would do with a raw flash image."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota.chip import Chip
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.inputs import open_flash
from py_esp_ota.idf.bootloader import boot
from py_esp_ota.sdkconfig import Sdkconfig


@click.command("boot")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--chip", default="auto", help="The chip; auto takes it from the images in the flash.")
@click.option(
    "--rollback/--no-rollback", default=True, show_default=True, help="CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, chip: str, rollback: bool, as_json: bool) -> None:
    """Boot once; the file itself is not changed. Exit 0 when an app starts, 1 when none does."""
    given = open_flash(file, chip=chip, config=Sdkconfig(bootloader_app_rollback_enable=rollback))
    report = boot(Chip(given.target(chip).name, flash=given.flash), given.config)
    if as_json:
        print_json(report.to_dict())
    else:
        click.echo("\n".join([*report.log, "", *(f"  {reason}" for reason in report.why)]))
    sys.exit(0 if report.ok else 1)
