"""The command line as click has it: finds a verb by its name and imports it when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from py_esp_ota.cli import _PLACES, _VERBS
from py_esp_ota.cli.complete import ChipName
from py_esp_ota.cli.ending import ended
from py_esp_ota.cli.output import legible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _Verbs(click.Group):
    """Sub-commands by name; esptool's older underscore spelling is understood too."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        name = cmd_name.replace("_", "-")
        if name not in _VERBS and name not in _PLACES:
            return None
        place, attribute = _PLACES.get(name, (name.replace("-", "_"), "command"))
        command: click.Command = getattr(import_module(f"{__package__}.{place}"), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs and what they do; click would import every one of them to see."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(verb, help=text) for verb, text in _VERBS.items() if verb.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        call = partial(super().main, words, prog_name, complete_var, standalone_mode=False, **extra)
        return ended(words, call) if standalone_mode else call()

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with legible():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with legible():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Completion in bash: eval "$(_ESP_OTA_COMPLETE=bash_source esp-ota)"; zsh_source and fish_source likewise.',
)
@click.version_option(package_name="py_esp_ota", prog_name="esp-ota")
@click.option("--chip", "-c", type=ChipName(auto=True), help="The chip, for verbs that can be told one.")
def main(chip: str | None) -> None:
    """An ESP32-family device, its over-the-air update path and its cloud, in one box.

    Where a file is named, - is standard input or output.
    """
