"""How a call of ``esp-ota`` ends: its exit code, and what is said when it ends badly. One place for every verb.

An error is one line on stderr; under ``--json`` it is an object on stdout, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

import click

from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say, took_stdout

INTERRUPTED = 130  # as a shell has it: 128 and SIGINT
_UNUSABLE = 2


def ended(words: Sequence[str], call: Callable[[], object]) -> NoReturn:
    """Do ``call``, which ``words`` ask for, and exit with its code."""
    try:
        code = _code(words, call)
        sys.stdout.flush()
    except OSError as error:  # nobody takes what is said
        code = lost(error)
    sys.exit(code)


def lost(error: OSError) -> int:
    """The exit code when stdout, stderr or a file failed where nobody has a better sentence for it.

    A reader that went away knows why, so nothing is said about a pipe.
    """
    for stream in (sys.stdout, sys.stderr) if isinstance(error, BrokenPipeError) else (sys.stdout,):
        _close(stream)
    if isinstance(error, BrokenPipeError):
        return 1
    try:
        say(f"Error: {error.filename or 'stdout'}: {error.strerror or error}", err=True)
    except OSError:
        _close(sys.stderr)
    return _UNUSABLE


def _code(words: Sequence[str], call: Callable[[], object]) -> int:
    try:
        found = call()
    except click.Abort:  # click's word for Ctrl-C
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        if _wants_json(words):
            said = {"message": error.message, "exit_code": error.exit_code, **getattr(error, "more", {})}
            print_json({"error": said}, err=took_stdout(error))
        return error.exit_code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return found if isinstance(found, int) else 0


def _wants_json(words: Sequence[str]) -> bool:
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def _close(stream: TextIO) -> None:
    """What is still kept for a stream goes nowhere, so that nothing complains of it when Python ends."""
    with suppress(OSError, ValueError):  # it may be no file of the system
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
