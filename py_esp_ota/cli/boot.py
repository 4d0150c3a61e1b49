"""``esp-ota boot``: what the second-stage bootloader would do with a flash, in its own words, and why."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from py_esp_ota.chip import Chip, Held, ResetReason
from py_esp_ota.cli.efuse import load
from py_esp_ota.cli.files import Unusable, print_json, read_text, write_output
from py_esp_ota.cli.inputs import FlashInput, flash_arguments, open_flash
from py_esp_ota.idf.bootloader import BootReport, boot
from py_esp_ota.sdkconfig import Sdkconfig

_REASONS = {"poweron": ResetReason.POWERON, "sw": ResetReason.SW, "deepsleep": ResetReason.DEEPSLEEP}


@click.command("boot")
@flash_arguments
@click.option("--chip", default="auto", help="The chip; auto takes it from the images in the flash.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="An sdkconfig file: how the bootloader was built."
)
@click.option(
    "--rollback/--no-rollback", default=None, help="CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, whatever the file says."
)
@click.option("--efuse", "efuse_file", type=click.Path(path_type=Path), help="An eFuse file; a new chip without one.")
@click.option("--times", default=1, show_default=True, type=click.IntRange(1, 10_000), help="Boot so often in a row.")
@click.option(
    "--hold-pin",
    "pins",
    multiple=True,
    metavar="N[=LEVEL][:SECONDS]",
    help="Hold a pin at reset; level 0 and for ever if not said.",
)
@click.option(
    "--reset-reason",
    type=click.Choice(list(_REASONS)),
    default="poweron",
    show_default=True,
    help="Of the first boot; the others are software resets.",
)
@click.option("--write", is_flag=True, help="Write what the boots changed back into the files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with --times a list of them.")
def command(
    files: tuple[str, ...],
    chip: str,
    config_file: Path | None,
    rollback: bool | None,
    efuse_file: Path | None,
    times: int,
    pins: tuple[str, ...],
    reset_reason: str,
    write: bool,
    as_json: bool,
) -> None:
    """Boot, and tell why it ended so. Exit 0 when the last boot starts an app, 1 when none does.

    The files themselves are not changed without --write.
    """
    given = open_flash(files, chip=chip, config=None if config_file is None else config_of(config_file))
    config = given.config if rollback is None else replace(given.config, bootloader_app_rollback_enable=rollback)
    try:
        config.check()
    except ValueError as error:
        raise Unusable(str(error)) from error
    board = _board(given, chip, efuse_file)
    board.pins = dict(_pin(text) for text in pins)
    board.reset_reason = _REASONS[reset_reason]
    reports = []
    for _ in range(times):
        reports.append(boot(board, config))
        board.reset_reason = ResetReason.SW
    if as_json:
        print_json(reports[0].to_dict() if times == 1 else [report.to_dict() for report in reports])
    else:
        click.echo("\n\n".join(_text(report) for report in reports))
    if write:
        given.save()
        if efuse_file is not None:
            write_output(efuse_file, board.efuse.to_json().encode())
    sys.exit(0 if reports[-1].ok else 1)


def _text(report: BootReport) -> str:
    return "\n".join([*report.log, "", *(f"  {reason}" for reason in report.why)])


def config_of(file: Path) -> Sdkconfig:
    """The options of an sdkconfig file."""
    try:
        return Sdkconfig.from_text(read_text(file))
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error


def _board(given: FlashInput, chip: str, efuse_file: Path | None) -> Chip:
    target = given.target(chip)
    if efuse_file is None:
        return Chip(target.name, flash=given.flash)
    efuse = load(efuse_file)
    if efuse.chip != target.name:
        raise Unusable(f"{efuse_file} holds the eFuses of {efuse.chip}, and the flash is for {target.name}")
    return Chip(target.name, flash=given.flash, efuse=efuse)


def _pin(text: str) -> tuple[int, Held]:
    """``4``, ``4=1``, ``4:10``, ``4=1:2.5``."""
    try:
        place, _, seconds = text.partition(":")
        number, _, level = place.partition("=")
        held = Held(int(level or "0"), float(seconds or "inf"))
        if held.level in {0, 1} and held.seconds >= 0 and int(number) >= 0:
            return int(number), held
    except ValueError:
        pass
    raise click.BadParameter(f"{text!r} is no N[=LEVEL][:SECONDS], for example 4 or 4=1:10", param_hint="--hold-pin")
