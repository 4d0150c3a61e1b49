"""``--rom``: whose code stands for the chip's ROM, its own or ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import click

from py_esp_ota.adapters.roms import RomFile, rom_file
from py_esp_ota.chip import Chip
from py_esp_ota.cli.files import Unusable, read_input
from py_esp_ota.cli.output import say

_AUTO, _NONE = "auto", "none"
_Command = Callable[..., Any]


def rom_option(begin: str = "") -> Callable[[_Command], _Command]:
    """The option. ``None`` is ``auto``, unsaid."""
    words = (
        "the chip's real ROM. auto: the published one, fetched with cargo the first time and kept; without it our own"
        " functions, as with none; else a file, ELF or raw bytes."
    )
    text = begin + (words if begin else words[0].upper() + words[1:])
    return click.option("--rom", metavar="auto|none|FILE", help=f"{text}  [default: auto]")


def rom_of(asked: str | None, board: Chip) -> bytes | None:
    """The ROM for ``board``, ``None`` for our own functions.

    Raises ``Unusable`` for a file that cannot be read, or when it cannot be had and the chip runs on it alone.
    """
    if asked == _NONE:
        return None
    if asked not in {None, _AUTO}:
        return read_input(Path(str(asked)))
    rom = rom_file(board.target.name, board.efuse.chip_revision)
    if rom is None:
        return None
    try:
        data = rom.read()
    except ValueError as error:
        say(f"{error}; it is fetched again", err=True)
        data = None
    return _fetched(rom) if data is None else data


def _fetched(rom: RomFile) -> bytes | None:
    if which("cargo"):
        say(f"fetching the real ROM of the {rom.chip}, once: {rom}", err=True)
    try:
        return rom.fetch()
    except ValueError as error:
        from py_esp_ota.silicon.machine import needs_rom, soc_of

        if soc_of(rom.chip).rom_start is not None:
            raise Unusable(f"{error}; {needs_rom(rom.chip)}") from error
        say(f"{error}; going on with our own functions in its place, as with --rom none", err=True)
        return None
