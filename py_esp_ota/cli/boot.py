"""``esp-ota boot``: what the second-stage bootloader would do with a raw flash image."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota._core import Flash, Target
from py_esp_ota.chip import Chip
from py_esp_ota.cli.files import Unusable, print_json, read_input
from py_esp_ota.idf.bootloader import boot
from py_esp_ota.idf.detect import detect_target, load_flash
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
    config = Sdkconfig(bootloader_app_rollback_enable=rollback)
    flash = load_flash(read_input(file), config.partition_table_offset)
    report = boot(Chip(_target(file, flash, chip, config), flash=flash), config)
    if as_json:
        print_json(report.to_dict())
    else:
        click.echo("\n".join([*report.log, "", *(f"  {reason}" for reason in report.why)]))
    sys.exit(0 if report.ok else 1)


def _target(file: Path, flash: Flash, chip: str, config: Sdkconfig) -> str:
    if chip == "auto":
        detected = detect_target(flash, config.partition_table_offset)
        if detected is None:
            raise Unusable(
                f"{file}: no image tells which chip this is for; say it with --chip, for example --chip esp32c3"
            )
        return detected.name
    if chip not in Target.names():
        raise click.BadParameter(f"{chip!r} is none of {', '.join(Target.names())}", param_hint="--chip")
    return chip
