"""What ``esp-ota sweep`` puts into folders: one power cut, for a board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from py_esp_ota.cli.files import Unusable, print_json, write_folder
from py_esp_ota.cli.output import say
from py_esp_ota.sweep.export import Export
from py_esp_ota.view.sweep_words import runs
from py_esp_ota.view.visible import visible


def write_export(cut: Export, folder: Path, *, as_json: bool) -> NoReturn:
    """The files of one cut, the lines that use them, and no more: exit 1 when it breaks a promise.

    Raises ``Unusable`` for a folder with something in it.
    """
    refuse_used(folder)
    write_folder(folder, cut.files())
    if as_json:
        print_json(cut.to_dict(str(folder)))
    else:
        say(f"{visible(cut.plan)} ends with: {runs(cut.ending)}", "on a board:", f"  {cut.esptool(str(folder))}")
        say(*(f"  {note}" for note in cut.notes()), "here:", f"  {cut.boot(str(folder))}")
    sys.exit(1 if cut.ending.outcome == "violation" else 0)


def refuse_used(folder: Path) -> None:
    """A folder is made whole, or not at all: nothing may be in it. Raises ``Unusable``."""
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error
    if used:
        raise Unusable(f"{folder} is there already, and not empty")
