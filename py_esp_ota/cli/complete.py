"""Words that a verb takes, as click types: what is completed in a shell is what is checked afterwards.

Shells ask while somebody types: what would be an error completes to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from py_esp_ota._core import PartitionTable, Target

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_F = TypeVar("_F", bound=Callable[..., Any])


class ChipName(click.ParamType):  # type: ignore[type-arg] # generic to newer clicks only
    """A chip as esptool takes it: in any case, with or without a hyphen; ``auto`` where something else can tell it."""

    name = "chip"

    def __init__(self, *, auto: bool) -> None:
        """``auto``: whether the word ``auto`` is one."""
        self._auto = auto

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """ESP-IDF's name of it. Raises ``click.BadParameter``."""
        chip = value.lower().replace("-", "")
        if chip in self._words():
            return chip
        raise click.BadParameter(f"{value!r} is none of {', '.join(self._words())}", ctx, param, "--chip")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The chips that begin so."""
        return _items(self._words(), incomplete.lower())

    def _words(self) -> list[str]:
        return [*(["auto"] if self._auto else []), *Target.names()]


class Workplace(click.ParamType):  # type: ignore[type-arg] # generic to newer clicks only
    """Where work is done: ``here``, ``ray``, or a cluster of Ray by its address."""

    name = "workplace"
    _WORDS = ("here", "ray")
    _CLUSTER = re.compile(r"ray://[^\s/:@]+:[0-9]{1,5}", re.ASCII)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same. Raises ``click.BadParameter``."""
        if value in self._WORDS or self._CLUSTER.fullmatch(value):
            return value
        raise click.BadParameter(f"{value!r} is none of here, ray, ray://HOST:PORT", ctx, param, "--on")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The words that begin so."""
        return _items(self._WORDS, incomplete)


class _Chip(click.Option):
    """``--chip`` of a verb; esptool has it before the verb, and there it counts, too."""

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        """What was said before the verb."""
        said = ctx.find_root().params.get("chip")
        return super().get_default(ctx, call=call) if said in {None, "auto"} else said


def chip_option(text: str, *, default: str | None = "auto") -> Callable[[_F], _F]:
    """The option ``--chip`` of every verb that can be told a chip; without ``default`` it must be."""
    return click.option(
        "--chip",
        "-c",
        cls=_Chip,
        type=ChipName(auto=default == "auto"),
        default=default,
        required=default is None,
        help=text,
    )


class TableName(click.ParamType):  # type: ignore[type-arg]
    """A file with a partition table, or the name of a built-in one."""

    name = "table"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The built-in ones that begin so; files, where none does."""
        return _items(PartitionTable.builtin_names(), incomplete) or _items([incomplete], "", type="file")


def labels(*, type: int | None = None, subtype: int | None = None) -> Callable[..., list[CompletionItem]]:  # noqa: A002
    """Completes the labels of partitions, all or of one type, in the flash that the call names so far."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
        # An option without its value ends click's parsing: the arguments before it are left in ``args``.
        named = [*filter(None, [ctx.params.get("file"), *(ctx.params.get("files") or ()), *ctx.args])]
        if not named:
            return []
        from py_esp_ota.cli.partition_table import read_table

        try:
            table = read_table(Path(named[0]))
        except (click.ClickException, OSError):
            return []
        wanted = [row for row in table if type in {None, row.type} and subtype in {None, row.subtype}]
        return _items([row.label for row in wanted if row.label.isprintable()], incomplete)

    return complete


def _items(words: Iterable[str], incomplete: str, *, type: str = "plain") -> list[CompletionItem]:  # noqa: A002
    from click.shell_completion import CompletionItem  # only while somebody presses the key

    return [CompletionItem(word, type) for word in words if word.startswith(incomplete)]
