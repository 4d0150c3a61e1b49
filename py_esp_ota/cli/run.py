"""``esp-ota run``: power for a chip with this flash. Bootloader and app run as machine code; here is the console."""

from __future__ import annotations

import sys
from codecs import decode
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from py_esp_ota.chip import Chip
from py_esp_ota.cli.boot import board_of
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.files import Unusable, check_writable, is_dash, print_json, write_output
from py_esp_ota.cli.inputs import flash_arguments, open_flash
from py_esp_ota.cli.output import say, take_stdout
from py_esp_ota.cli.release import idf_version_option, in_flash, release
from py_esp_ota.cli.roms import rom_of, rom_option
from py_esp_ota.cli.terminal import Terminal
from py_esp_ota.silicon.engines.choice import ENGINES, EngineName

if TYPE_CHECKING:
    from py_esp_ota.silicon import Session

#: How long the chip runs between two looks at the keyboard, in its own seconds.
_TURN_S = 0.02


class ResetDict(TypedDict):
    """One reset of the chip."""

    reason: str
    number: int


class RunDict(TypedDict):
    """The JSON of ``esp-ota run --json``."""

    ok: bool
    seconds: float
    slots: list[int | None]
    resets: list[ResetDict]
    trap: str | None
    flash_writes: int
    console: str


@click.command("run")
@flash_arguments
@chip_option("The chip; auto takes it from the images in the flash.")
@idf_version_option("Refuse a flash that says it is of another release.")
@click.option("--efuse", "efuse_file", type=click.Path(path_type=Path), help="An eFuse file; a new chip without one.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.01),
    default=10.0,
    show_default=True,
    help="Switch off after so many seconds by the chip's own clock.",
)
@click.option("--exit-on", metavar="TEXT", help="Switch off as soon as TEXT is printed; exit 1 if it never is.")
@click.option(
    "--answer",
    "answers",
    nargs=2,
    multiple=True,
    metavar="WAIT TEXT",
    help=r"When WAIT is printed, type TEXT; one after the other. TEXT knows \r, \n, \x03 (Ctrl-C).",
)
@rom_option()
@click.option("--engine", type=click.Choice(ENGINES), help="What executes the code. unicorn comes with an extra.")
@click.option("--write", is_flag=True, help="Write what the chip changed back into the files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all of it at the end.")
def command(
    files: tuple[str, ...],
    chip: str,
    asked: str | None,
    efuse_file: Path | None,
    timeout_s: float,
    exit_on: str | None,
    answers: tuple[tuple[str, str], ...],
    rom: str | None,
    engine: EngineName | None,
    write: bool,
    as_json: bool,
) -> None:
    """Switch a chip on and show its console. Nothing is modelled here but the hardware: the code decides.

    What is typed on a terminal goes to the chip; Ctrl-] leaves. Exit 0 when --exit-on was printed, or without it when
    the chip still ran at the end; 1 otherwise. The files themselves are not changed without --write.
    """
    given = open_flash(files, chip=chip)
    given.refuse_lone_app()
    target = given.target(chip)
    meant = in_flash(given, target)
    if meant is not None:
        meant.refuse_other(asked)
    meant = release(asked, given.said, meant)
    board = board_of(given, target, efuse_file)
    if write:
        given.check_saves()
        if efuse_file is not None:
            check_writable(efuse_file)
        if is_dash(given.path):
            take_stdout()  # before the console is shown
    talk = [(wait, _typed(text)) for wait, text in answers]
    from py_esp_ota.silicon import Machine

    try:
        machine = Machine(board.target.name, rom=rom_of(rom, board), engine="auto" if engine is None else engine)
        session = machine.session(board)
        with Terminal(typing=not as_json) as terminal:
            found = _run(session, talk, terminal, timeout_s, exit_on, as_json=as_json)
    except (ValueError, ModuleNotFoundError) as error:
        raise Unusable(str(error)) from error
    ok = session.trap is None and (found or exit_on is None)
    if write:
        if efuse_file is not None:
            write_output(efuse_file, board.efuse.to_json().encode())
        given.save()
    if as_json:
        print_json({**_facts(board, session, "".join(terminal.shown), ok=ok), "release": meant.to_dict()})
    else:
        say("", _summary(session, found=found, exit_on=exit_on), err=True)
    sys.exit(0 if ok else 1)


def _run(
    session: Session,
    talk: list[tuple[str, str]],
    terminal: Terminal,
    timeout_s: float,
    exit_on: str | None,
    *,
    as_json: bool,
) -> bool:
    """Until ``exit_on`` is printed (true), or time is up, or nothing can go on."""
    while session.seconds < timeout_s and session.trap is None and not terminal.left:
        wanted = [wait for wait, _text in talk[:1]] + ([] if exit_on is None else [exit_on])
        found = session.run(min(_TURN_S, timeout_s - session.seconds), until=wanted)
        terminal.show(session.take(), echo=not as_json)
        if talk and found == talk[0][0]:
            session.type(talk.pop(0)[1])
        elif found is not None:
            return True
        session.type(terminal.read(session.seconds))
    return False


def _typed(text: str) -> str:
    try:
        return decode(text.encode("latin-1", "backslashreplace"), "unicode_escape")
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{text!r} ends in the middle of an escape", param_hint="--answer") from error


def _facts(board: Chip, session: Session, console: str, *, ok: bool) -> RunDict:
    return {
        "ok": ok,
        "seconds": round(session.seconds, 6),
        "slots": [boot.slot for boot in session.boots],
        "resets": [{"reason": reason.name, "number": int(reason)} for reason in session.resets],
        "trap": None if session.trap is None else str(session.trap),
        "flash_writes": board.flash.stats.programs + board.flash.stats.erases,
        "console": console,
    }


def _summary(session: Session, *, found: bool, exit_on: str | None) -> str:
    what = f"{session.seconds:.3f} s by the chip's clock, {len(session.boots)} boots"
    if session.resets:
        what += f", resets: {', '.join(reason.name for reason in session.resets[-8:])}"
    if session.trap is not None:
        return f"{what}; it ended: {session.trap}"
    if exit_on is not None and not found:
        return f"{what}; {exit_on!r} was not printed"
    return f"{what}"
