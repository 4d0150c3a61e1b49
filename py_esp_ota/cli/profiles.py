"""``esp-ota profiles``: what Arduino, ESPHome, WLED, Tasmota and their like do with an update."""

from __future__ import annotations

import click

from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say
from py_esp_ota.field.profiles.fates import fates
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.field.profiles.report import in_full, overview, to_dict


@click.command("profiles")
@click.argument("name", required=False, type=click.Choice(list(PROFILES)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str | None, as_json: bool) -> None:
    """Say how a project confirms a new app, writes an update, and gets out of a crash loop, and where that was read.

    Without NAME, all of them in short. What becomes of a bad update is played, not looked up.
    """
    chosen = [PROFILES[name]] if name else [*PROFILES.values()]
    if as_json:
        print_json({"profiles": [to_dict(profile, fates(profile)) for profile in chosen]})
    elif name:
        say(*in_full(chosen[0], fates(chosen[0])))
    else:
        say(*overview(chosen))
