"""The way out: whatever a verb says goes through here, so that no byte of a file can command a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from py_esp_ota.view.visible import visible

#: Click lists choices in lines of their own; a sentence of ours is one line.
_OF_CLICK = "\n\t"
_TAKEN = f"{__name__}.taken"
_TOOK = "took_stdout"


def say(*lines: str, err: bool = False) -> None:
    """Print each of ``lines`` as one line; what cannot be printed in it is shown as an escape.

    On stderr with ``err``, and when stdout is the file that the verb writes.
    """
    click.echo("\n".join(map(visible, lines)), err=err or stdout_is_taken())


@contextmanager
def legible() -> Iterator[None]:
    """Let a refusal out with its message made fit for a terminal."""
    try:
        yield
    except click.ClickException as error:
        keep = _OF_CLICK if isinstance(error, click.UsageError) else ""
        error.message = visible(error.message, keep=keep)  # type: ignore[misc] # to click it is a variable
        if stdout_is_taken():
            setattr(error, _TOOK, True)  # what asks for it lives longer than the context
        raise


def took_stdout(error: click.ClickException) -> bool:
    """Whether stdout was the file that the verb wrote when it was refused."""
    return getattr(error, _TOOK, False)


def take_stdout() -> None:
    """From now on stdout holds the bytes of a file and nothing else."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_TAKEN] = True


def stdout_is_taken() -> bool:
    """Whether ``take_stdout`` was called in this call of ``esp-ota``."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(_TAKEN, False)
