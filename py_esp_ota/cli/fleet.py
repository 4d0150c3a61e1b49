"""``esp-ota fleet``: a job for very many devices, as a file describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_esp_ota.cli.ending import INTERRUPTED
from py_esp_ota.cli.files import Unusable, check_writable, print_json, read_app, read_text, write_output
from py_esp_ota.cli.fleet_live import LiveWords, live, live_options
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.cli.partition_table import read_table

if TYPE_CHECKING:
    from py_esp_ota._core import PartitionTable
    from py_esp_ota.fleet import FleetFile, FleetResult, SoFar
    from py_esp_ota.fleet.result import Told

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
    if html is not None:
        check_writable(html)
    with needing("a fleet", "cloud"):
        from py_esp_ota.fleet.result import Replay
        from py_esp_ota.view.fleet_html import fleet_html
        from py_esp_ota.view.fleet_text import fleet_text
    fleet = _read(file, devices, seed)
    if alone is not None:
        _alone(fleet, alone, turn, file, as_json=as_json)
        return
    names: Mapping[str, str] = {}
    if words.live:
        with _bar(file.name, shown=not as_json) as told:
            result, names = live(fleet, words, told)
    else:
        result = _play(file, fleet, shown=not as_json)
    said = {"--devices": devices, "--seed": seed}
    given = (str(word) for option in said.items() if option[1] is not None for word in option)
    replay, total = Replay(("esp-ota", "fleet", str(file), *given), names), fleet.population.devices
    if html is not None:
        write_output(html, fleet_html(result, replay, name=file.name, devices=total).encode())
    if as_json:
        print_json({"fleet": str(file), "of": total, **result.to_json(replay)})
    else:
        say(*fleet_text(result, replay, name=str(file), devices=total, every=full))
    if not result.whole:
        say(f"Interrupted: {len(result.members)} of {total} devices are in this report, as they were then.", err=True)
    click.get_current_context().exit(INTERRUPTED if not result.whole else 0 if result.ok else 1)


@dataclass(frozen=True, slots=True)
class _Files:
    """What a fleet's file names, from the folder that it lies in."""

    folder: Path

    def app(self, name: str) -> bytes:
        return read_app(self.folder / name)

    def table(self, name: str) -> PartitionTable:
        return read_table(self.folder / name)


def _read(file: Path, devices: int | None, seed: int | None) -> FleetFile:
    """The fleet, with what the call says of it, which has to have room. Raises ``Unusable``."""
    from py_esp_ota.adapters.room import free_memory
    from py_esp_ota.fleet.file import FILE_LIMIT, read_fleet
    from py_esp_ota.fleet.room import too_many

    try:
        fleet = read_fleet(read_text(file, what="a fleet's file", limit=FILE_LIMIT), _Files(file.parent))
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    there = fleet.population
    said = replace(
        there, devices=there.devices if devices is None else devices, seed=there.seed if seed is None else seed
    )
    fleet = replace(fleet, population=said)
    if problem := too_many(fleet.population, fleet.jobs, free_memory()):
        raise Unusable(f"{file}: {problem}")
    return fleet


def _play(file: Path, fleet: FleetFile, *, shown: bool) -> FleetResult:
    """One job after the other; what was done before Ctrl-C is kept. Raises ``Unusable``."""
    from py_esp_ota.adapters.virtual_time import run_virtual
    from py_esp_ota.fleet import FleetResult, run_fleet

    result = FleetResult(seed=fleet.population.seed, members=())
    try:
        for order in fleet.jobs:
            with _bar(order.name, shown=shown) as told:
                result += run_virtual(run_fleet(fleet.population, order, told=told))
            if not result.whole:
                break
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    return result


def _alone(fleet: FleetFile, node_id: str, turn: float, file: Path, *, as_json: bool) -> None:
    from py_esp_ota.fleet import play_member
    from py_esp_ota.view.forecast_text import lone_text

    try:
        member = fleet.population.member(node_id)
        order = next(order for order in fleet.jobs if member.kind.name in order.kinds)
        lone = play_member(fleet.population, order, node_id, turn=turn)
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    print_json(lone.to_json()) if as_json else say(*lone_text(lone))


@contextmanager
def _bar(name: str, *, shown: bool) -> Iterator[Told]:
    """A progress bar on stderr with a live summary, when somebody looks at it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from py_esp_ota.view.fleet_text import live_words
    from py_esp_ota.view.visible import visible

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _far: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(name), total=None)

        def told(far: SoFar) -> None:
            words = f"{visible(name)}  {live_words(far)}"
            bar.update(task, completed=far.closed, total=far.devices, description=words)

        yield told
