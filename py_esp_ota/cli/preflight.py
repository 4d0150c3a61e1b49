"""``esp-ota preflight``: whether a board takes an update and runs it, and what a rollback would land on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_esp_ota._core import EFuse, Flash, FlashCrypt, Target, inspect_image
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.dumps import READ_ALL, refuse_illegible
from py_esp_ota.cli.efuse import load
from py_esp_ota.cli.files import Unusable, print_json, read_input
from py_esp_ota.cli.inputs import FlashInput, open_flash, read_config
from py_esp_ota.cli.output import say
from py_esp_ota.cli.preflight_report import report
from py_esp_ota.cli.release import idf_version_option, in_flash, release
from py_esp_ota.field.preflight.board import Board
from py_esp_ota.field.preflight.preflight import cut_short, preflight
from py_esp_ota.field.profiles.profiles import PROFILES

if TYPE_CHECKING:
    from py_esp_ota.silicon.can_roll_back import CanRollBack


@click.command("preflight")
@click.argument("device", type=click.Path(path_type=Path), metavar="DUMP|BUILD")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW.bin")
@chip_option("The chip; auto takes it from the images in the flash, or from the eFuse file.")
@click.option(
    "--bootloader",
    "bootloader_file",
    type=click.Path(path_type=Path),
    help="The bootloader that is on the board, or shall be, in the place of the flash's own.",
)
@click.option("--efuse", "efuse_file", type=click.Path(path_type=Path), help="An eFuse file; a new chip without one.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The sdkconfig of what is on the board.")
@click.option(
    "--rollback/--no-rollback", default=None, help="CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, whatever the file says."
)
@idf_version_option("The release of the bootloader; an sdkconfig or the images say it otherwise.")
@click.option(
    "--run/--no-run",
    default=False,
    show_default=True,
    help="Run the bootloader's machine code to see whether it can roll back. Costs a tenth of a second or two more.",
)
@click.option(
    "--profile",
    "project",
    type=click.Choice(list(PROFILES)),
    help="The project that the board is of: what its updater answers, when it confirms, what a crash loop comes to.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    device: Path,
    new: Path,
    chip: str,
    bootloader_file: Path | None,
    efuse_file: Path | None,
    config_file: Path | None,
    rollback: bool | None,
    asked: str | None,
    run: bool,
    project: str | None,
    as_json: bool,
) -> None:
    """Say before an update whether NEW.bin will run on a board, why not, and what a rollback would land on.

    The board is a flash dump, or the folder of an ESP-IDF build. The update is played on a copy: boot, esp_ota_begin to
    esp_ota_set_boot_partition, boot. Exit 0 when the new app runs, 1 when it is refused, 2 when a file cannot be used.
    """
    image = read_input(new)
    efuse = None if efuse_file is None else load(efuse_file)
    given = open_flash(device, chip=chip, config=None if config_file is None else read_config(config_file))
    given.refuse_lone_app()
    if efuse is not None:
        given.flash.encryption = FlashCrypt.of_efuse(efuse)
    if bootloader_file is not None:
        given = _with_bootloader(given, bootloader_file, chip)
    _refuse_illegible(given, new, image)
    target = _target(given, chip, efuse)
    if efuse is not None and efuse.chip != target.name:
        raise Unusable(f"{efuse_file} holds the eFuses of {efuse.chip}, and {device} is for {target.name}")
    config = given.config if rollback is None else replace(given.config, bootloader_app_rollback_enable=rollback)
    try:
        config.check()
    except ValueError as error:
        raise Unusable(str(error)) from error
    meant = release(asked, given.said, in_flash(given, target))
    board = Board(
        name=str(device),
        flash=given.flash,
        target=target,
        efuse=EFuse(target.name) if efuse is None else efuse,
        knows_efuse=efuse is not None,
        config=replace(config, idf_version=meant.version),
        says_config=given.said is not None,
        says_rollback=given.said is not None or rollback is not None,
        release=meant.source,
        start=given.start,
        end=given.start + given.length,
        parts=not given.merged,
    )
    if run:
        board = replace(board, can=_asked(board))
    found = preflight(board, image, None if project is None else PROFILES[project])
    if (missing := cut_short(board, found)) is not None:
        raise Unusable(f"{missing}; {READ_ALL}")
    if as_json:
        print_json(found.to_dict())
    else:
        say(*report(str(device), str(new), found))
    sys.exit(0 if found.runs else 1)


# --------------------------------------------------------------------------------------------------------------- inputs


def _with_bootloader(given: FlashInput, file: Path, chip: str) -> FlashInput:
    """The flash with another bootloader. Raises ``Unusable``."""
    from py_esp_ota.cli.bootloader_file import placed, read_bootloader

    if given.flash.encryption is not None:
        raise Unusable(f"--bootloader does not go with a flash that is encrypted: {file} is plain")
    image, target = read_bootloader(file)
    if chip != "auto":
        target = given.target(chip)
    return replace(given, flash=placed(given, image, target, file, detect=True))


def _target(given: FlashInput, chip: str, efuse: EFuse | None) -> Target:
    """The chip. What is encrypted tells none: its eFuses do."""
    if chip == "auto" and efuse is not None and given.flash.encryption is not None:
        return given.target(efuse.chip)
    return given.target(chip)


def _refuse_illegible(given: FlashInput, new: Path, image: bytes) -> None:
    """Raises ``Unusable`` for a flash without a legible partition table, with what can still be told."""
    refuse_illegible(given, f"; {new} by itself: {_in_short(image)}")


def _in_short(image: bytes) -> str:
    info = inspect_image(image)
    if info.kind == "unknown":
        return "no ESP32-family image"
    name = "" if info.app_desc is None else f", {info.app_desc.project_name} {info.app_desc.version}"
    fault = f", and it is refused: {info.faults[0]}" if info.faults else ", sound"
    return f"an {info.kind} for {info.chip or 'no known chip'}{name}{fault}"


def _asked(board: Board) -> CanRollBack:
    """The bootloader's own answer, of a copy that is not encrypted."""
    from py_esp_ota.chip import Chip
    from py_esp_ota.silicon.can_roll_back import CanRollBack, can_roll_back
    from py_esp_ota.silicon.oracle import OwnMachine

    if not board.has_loader:
        return CanRollBack(None, "there is no bootloader to run")
    if board.flash.encryption is not None or board.efuse.secure_boot_en:
        return CanRollBack(None, "no machine code runs here with Secure Boot or flash encryption")
    chip = Chip(board.target.name, flash=Flash.from_bytes(board.flash.to_bytes(), size=board.flash.size))
    try:
        return can_roll_back(chip, OwnMachine(count=False), table_offset=board.config.partition_table_offset)
    except ValueError as error:
        return CanRollBack(None, str(error))
