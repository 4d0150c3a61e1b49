"""``esp-ota fleet``: a job for very many devices, as a file describes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from py_esp_ota.cli.ending import INTERRUPTED
from py_esp_ota.cli.files import check_writable, print_json, write_output
from py_esp_ota.cli.fleet_inputs import read, refuse_too_many
from py_esp_ota.cli.fleet_live import LiveWords, live, live_options
from py_esp_ota.cli.fleet_play import bar, play, play_alone, play_shared, refusals
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.cli.work_options import STOPPED, executor, work_options, workers_here
from py_esp_ota.work import INTERRUPTION

_FILE = click.Path(path_type=Path)
_LAST_SEED = 2**32 - 1
_SECONDS = click.FloatRange(min=0, max=40 * 86_400)


@click.command("fleet")
@click.argument("file", type=_FILE)
@click.option("--devices", type=click.IntRange(1, 10_000_000), metavar="N", help="So many; the file says it otherwise.")
@click.option(
    "--seed", type=click.IntRange(0, _LAST_SEED), metavar="N", help="Who of them meets what; as the file has it."
)
@click.option("--full", is_flag=True, help="Show every device that has not the update, not a few of each kind.")
@click.option("--alone", metavar="ID", help="Play this device alone, and show its console and what it reports.")
@click.option("--turn", type=_SECONDS, default=0, metavar="SECONDS", help="With --alone: when the job comes to it.")
@live_options
@work_options
@click.option("--html", type=_FILE, help="Write a page to look around in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    file: Path,
    devices: int | None,
    seed: int | None,
    full: bool,
    alone: str | None,
    turn: float,
    html: Path | None,
    where: str,
    jobs: int | None,
    as_json: bool,
    **live_words: Any,
) -> None:
    """Play a job for the devices that FILE describes, in virtual time, and tell what became of each.

    FILE is TOML: kinds of devices and their shares, what they meet, and the job. The cloud and the firmware's update
    are the real ones. Ctrl-C ends it early, with a report of what there is. Exit 1 when a device has not the update.

    With --serve or --broker the devices live in this process and on the clock of the wall, and their cloud is there.
    """
    words = LiveWords(**live_words)
    words.check()
    if alone is not None and words.live:
        raise click.UsageError("--alone plays one device in virtual time: leave --serve and --broker out")
    if alone is None and turn:
        raise click.UsageError("--turn is for --alone")
    if alone is not None and html is not None:
        raise click.UsageError("--alone plays one device: there is no page of it")
    shared = where != "here" or jobs not in {None, 1}
    if shared and (alone is not None or words.live):
        raise click.UsageError("--on and --jobs share out a whole fleet in virtual time")
    if html is not None:
        check_writable(html)
    with needing("a fleet", "cloud"):
        from py_esp_ota.fleet.result import Replay
        from py_esp_ota.view.fleet_html import fleet_html
        from py_esp_ota.view.fleet_text import fleet_text
    source, fleet = read(file, devices, seed)
    refuse_too_many(file, fleet, workers_here(where, jobs))
    why, shown = INTERRUPTION, not as_json
    names: Mapping[str, str] = {}
    with refusals(file):
        if alone is not None:
            play_alone(fleet, alone, turn, as_json=as_json)
            return
        if words.live:
            with bar(file.name, shown=shown) as told:
                result, names = live(fleet, words, told)
        elif shared:
            result, why = play_shared(source, jobs, executor(where, jobs), name=file.name, shown=shown)
        else:
            result = play(fleet, shown=shown)
    said = {"--devices": devices, "--seed": seed}
    given = (str(word) for option in said.items() if option[1] is not None for word in option)
    replay, total = Replay(("esp-ota", "fleet", str(file), *given), names), fleet.population.devices
    if html is not None:
        write_output(html, fleet_html(result, replay, name=file.name, devices=total).encode())
    if as_json:
        print_json({"fleet": str(file), "of": total, **result.to_json(replay)})
    else:
        say(*fleet_text(result, replay, name=str(file), devices=total, every=full))
    if result.whole:
        click.get_current_context().exit(0 if result.ok else 1)
    say(
        f"{why.capitalize()}: {len(result.members)} of {total} devices are in this report, as they were then.", err=True
    )
    click.get_current_context().exit(INTERRUPTED if why.startswith(INTERRUPTION) else STOPPED)
