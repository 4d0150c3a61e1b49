"""``esp-ota``: the doors. No rule lives here; every verb is one file, imported only when it is used.

Data goes to stdout, errors to stderr. Exit codes: 0 fine, 1 a finding, 2 misuse or an unreadable input.
"""

from __future__ import annotations

from importlib import import_module

import click

#: Verb, what it does, and where it is; without a place it is ``command`` in the module of its name.
_VERBS = {
    "boot": "boot a flash and show what the bootloader decides, and why",
    "demo": "one OTA, end to end: seven chapters on real firmware",
    "efuse": "make, show and burn an eFuse file",
    "erase-flash": "erase a flash file",
    "erase-region": "erase sectors or a partition of a flash file",
    "image-info": "what an image is, whether it is sound, and if not, where",
    "merge-bin": "put parts or a build directory into one flash image",
    "nvs": "read and change the values in an NVS partition",
    "otadata": "read and change which slot boots",
    "partition-table": "read, check and convert a partition table",
    "read-flash": "copy a part or a partition of a flash file",
    "serve": "cloud, broker and web page on loopback until Ctrl-C",
    "sign": "sign an image, judge its signatures, or make a key",
    "split": "take a flash image apart, into a build directory",
    "verify-flash": "compare parts with a flash file",
    "write-flash": "write parts or a partition into a flash file",
}
_PLACES = {
    "erase-flash": ("flash_file", "erase_flash"),
    "erase-region": ("flash_file", "erase_region"),
    "merge-bin": ("merge", "merge_bin"),
    "read-flash": ("flash_file", "read_flash"),
    "split": ("merge", "split"),
    "verify-flash": ("flash_file", "verify_flash"),
    "write-flash": ("flash_file", "write_flash"),
    # otatool.py's names
    "read-otadata": ("otadata", "read"),
    "erase-otadata": ("otadata", "erase"),
    "switch-ota-partition": ("otadata", "switch"),
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
        if name not in _VERBS and name not in _PLACES:
            return None
        place, attribute = _PLACES.get(name, (name.replace("-", "_"), "command"))
        try:
            module = import_module(f"{__name__}.{place}")
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("py_esp_ota"):
                raise
            raise _Missing(name, missing.name) from None
        command: click.Command = getattr(module, attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="py_esp_ota", prog_name="esp-ota")
def main() -> None:
    """An ESP32-family device, its over-the-air update path and its cloud, in one box."""
