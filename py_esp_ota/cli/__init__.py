"""``esp-ota``: the doors. No rule lives here; every verb is one file, imported only when it is used.

Data goes to stdout, errors to stderr. Exit codes: 0 fine, 1 a finding, 2 misuse or an unreadable input.
"""

from __future__ import annotations

from importlib import import_module

import click

_VERBS = {
    "boot": "boot a raw flash image and show what the bootloader decides",
    "demo": "one OTA, end to end: seven chapters on real firmware",
    "image-info": "what an image is, whether it is sound, and if not, where",
    "partition-table": "read, check and convert a partition table",
    "sign": "sign an image, judge its signatures, or make a key",
    "serve": "cloud, broker and web page on loopback until Ctrl-C",
}


class _Missing(click.ClickException):
    """A verb whose extra is not installed."""

    exit_code = 2

    def __init__(self, verb: str, module: str | None) -> None:
        extra = "sign" if verb == "sign" else "cloud"
        super().__init__(f"{verb} needs {module}, which comes with an extra: pip install 'py_esp_ota[{extra}]'")


class _Verbs(click.Group):
    """Sub-commands by name; esptool's older underscore spelling is understood too."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        name = cmd_name.replace("_", "-")
        if name not in _VERBS:
            return None
        try:
            module = import_module(f"{__name__}.{name.replace('-', '_')}")
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("py_esp_ota"):
                raise
            raise _Missing(name, missing.name) from None
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="py_esp_ota", prog_name="esp-ota")
def main() -> None:
    """An ESP32-family device, its over-the-air update path and its cloud, in one box."""
