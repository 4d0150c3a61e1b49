"""``esp-ota boot``: what the second-stage bootloader would do with a flash, in its own words, and why."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click

from py_esp_ota._core import Target
from py_esp_ota.chip import Chip, Held, ResetReason
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.efuse import load
from py_esp_ota.cli.files import Unusable, check_writable, print_json, write_output
from py_esp_ota.cli.inputs import FlashInput, flash_arguments, open_flash, read_config
from py_esp_ota.cli.output import say
from py_esp_ota.cli.release import Release, idf_version_option, in_flash, release
from py_esp_ota.cli.roms import rom_option
from py_esp_ota.idf.bootloader.start import BootDict, BootReport, boot

_REASONS = {"poweron": ResetReason.POWERON, "sw": ResetReason.SW, "deepsleep": ResetReason.DEEPSLEEP}


@click.command("boot")
@flash_arguments
@chip_option("The chip; auto takes it from the images in the flash.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="An sdkconfig file: how the bootloader was built."
)
@click.option(
    "--rollback/--no-rollback", default=None, help="CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, whatever the file says."
)
@idf_version_option("The release whose bootloader it is; an sdkconfig or the images say it otherwise.")
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
@click.option("--silicon", is_flag=True, help="Run the compiled bootloader that lies in the flash, as machine code.")
@click.option(
    "--bootloader",
    "bootloader_file",
    type=click.Path(path_type=Path),
    help="With --silicon: run this one in the place of the flash's own, which --write leaves as it is.",
)
@click.option(
    "--flash-size",
    type=click.Choice(["detect", "keep"]),
    default="detect",
    show_default=True,
    help="With --bootloader, as esptool means it: detect writes the size of the flash into its header, keep does not.",
)
@rom_option("With --silicon: ")
@click.option("--compare", is_flag=True, help="With --silicon: boot the model, too; exit 1 where they first differ.")
@click.option(
    "--elf",
    "elf_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With --silicon: name the addresses of a trap by this file's symbols.",
)
@click.option(
    "--engine",
    "--emulator",
    "emulator",
    type=click.Choice(["auto", "core", "unicorn", "qemu", "esp-emu"]),
    help="With --silicon: who runs it. core is part of this package, and auto; unicorn comes with the extra silicon;"
    " the others are programs on PATH.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1),
    default=30.0,
    show_default=True,
    help="Seconds that a program of --emulator may take for one run.",
)
def command(
    files: tuple[str, ...],
    chip: str,
    config_file: Path | None,
    rollback: bool | None,
    asked: str | None,
    efuse_file: Path | None,
    times: int,
    pins: tuple[str, ...],
    reset_reason: str,
    write: bool,
    as_json: bool,
    silicon: bool,
    bootloader_file: Path | None,
    flash_size: str,
    rom: str | None,
    compare: bool,
    elf_files: tuple[Path, ...],
    emulator: str | None,
    timeout_s: float,
) -> None:
    """Boot, and tell why it ended so. Exit 0 when the last boot starts an app, 1 when none does.

    The files themselves are not changed without --write. With --silicon it is the compiled bootloader that decides,
    not our model of it.
    """
    for name, value in (
        ("--bootloader", bootloader_file),
        ("--rom", rom),
        ("--compare", compare),
        ("--elf", elf_files),
        ("--engine", emulator),
    ):
        if value and not silicon:
            raise Unusable(f"{name} goes with --silicon: without it no machine code runs")
    given = open_flash(files, chip=chip, config=None if config_file is None else read_config(config_file))
    given.refuse_lone_app()
    config = given.config if rollback is None else replace(given.config, bootloader_app_rollback_enable=rollback)
    try:
        config.check()
    except ValueError as error:
        raise Unusable(str(error)) from error
    given = replace(given, config=config)
    if write:
        given.check_saves()
        if efuse_file is not None:
            check_writable(efuse_file)
    if silicon:
        from py_esp_ota.cli.silicon_boot import TOLD, Wish, machine_code

        said = {name: getattr(config, name) for name in TOLD} if config_file else {}
        said |= {} if rollback is None else {"bootloader_app_rollback_enable": rollback}
        wish = Wish(
            bootloader_file, flash_size == "detect", compare, elf_files, emulator or "auto", timeout_s, rom, said
        )
        wish.refuse(config, pins=pins, reset_reason=reset_reason)
        original = given.flash
        target, given = wish.put(given, chip)
        meant = in_flash(given, target)
        if meant is not None:
            meant.refuse_other(asked)
        meant = release(asked, given.said, meant)
        board = board_of(given, target, efuse_file)
        board.pins = dict(held_pin(text) for text in pins)
        board.reset_reason = _REASONS[reset_reason]
        told = machine_code(board, replace(config, idf_version=meant.version), wish, times)
        given = wish.take(given, original, target)
        facts: list[BootDict] = [*(one.to_dict() for one in told)]
        text, ok = [one.lines() for one in told], told[-1].ok
        text[-1].append(told[-1].can_roll_back())
    else:
        target = given.target(chip)
        board = board_of(given, target, efuse_file)
        meant = release(asked, given.said, in_flash(given, target))
        config = replace(config, idf_version=meant.version)
        board.pins = dict(held_pin(text) for text in pins)
        board.reset_reason = _REASONS[reset_reason]
        reports = []
        for _ in range(times):
            reports.append(boot(board, config))
            board.reset_reason = ResetReason.SW
        facts = [*(report.to_dict() for report in reports)]
        text, ok = [_lines(report, meant) for report in reports], reports[-1].ok
    if write:
        if efuse_file is not None:
            write_output(efuse_file, board.efuse.to_json().encode())
        given.save()
    if as_json:
        told_facts = [{**one, "release": meant.to_dict()} for one in facts]
        print_json(told_facts[0] if times == 1 else told_facts)
    else:
        say(*chain.from_iterable([*lines, ""] for lines in text[:-1]), *text[-1])
    sys.exit(0 if ok else 1)


def _lines(report: BootReport, meant: Release) -> list[str]:
    return [*report.console, "", f"  release: {meant}", *(f"  {reason}" for reason in report.why)]


def board_of(given: FlashInput, target: Target, efuse_file: Path | None) -> Chip:
    """The chip with this flash, and its eFuses out of a file. Raises ``Unusable``."""
    if efuse_file is None:
        return Chip(target.name, flash=given.flash)
    efuse = load(efuse_file)
    if efuse.chip != target.name:
        raise Unusable(f"{efuse_file} holds the eFuses of {efuse.chip}, and the flash is for {target.name}")
    return Chip(target.name, flash=given.flash, efuse=efuse)


def held_pin(text: str) -> tuple[int, Held]:
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
