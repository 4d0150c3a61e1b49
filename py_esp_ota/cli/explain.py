"""``esp-ota explain``: what a pasted console says of boots, rollbacks and updates, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota.cli.files import Unusable, print_json, read_input
from py_esp_ota.cli.output import say
from py_esp_ota.field.explain.explain import explain
from py_esp_ota.field.explain.words import lines_of

_LONGEST_LOG = 64 << 20


@click.command("explain")
@click.argument("file", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: every fact and the line that shows it.")
@click.option(
    "--reproduce", "again", is_flag=True, help="Play the last boot that tells something again, in a world made of it."
)
def command(file: Path, as_json: bool, again: bool) -> None:
    """Explain a console log: chip, release, table, boots, what was refused and by whom, causes, what to do.

    A pasted console of any ESP-IDF release since v3.3 will do, of Arduino and ESPHome too, with colours, time stamps
    and cut lines. Exit 0 when nothing is wrong in it, 1 when something is.
    """
    data = read_input(file, limit=_LONGEST_LOG, what="a log")
    found = explain(data)
    if not found.is_console:
        raise Unusable(f"{'standard input' if str(file) == '-' else file} {NO_CONSOLE}")
    played = None
    if again:
        from py_esp_ota.field.explain.reproduce import reproduce

        played = reproduce(found)
    if as_json:
        print_json({**found.to_dict(), "reproduction": played.to_dict() if played else None})
    else:
        say(
            *lines_of("standard input" if str(file) == "-" else str(file), found),
            *(["", *played.lines()] if played else []),
        )
    sys.exit(1 if found.faulty else 0)


NO_CONSOLE = "holds no line of a console that is known: none of a ROM, a bootloader, or an app's start, end or update"
