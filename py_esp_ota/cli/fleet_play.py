"""Playing a fleet for ``esp-ota fleet``: here, in parts elsewhere, or one device of it; with a bar for who looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from py_esp_ota.cli.files import Unusable, print_json
from py_esp_ota.cli.output import say

if TYPE_CHECKING:
    from py_esp_ota.fleet import FleetFile, FleetResult, SoFar
    from py_esp_ota.fleet.parts import Source
    from py_esp_ota.fleet.result import Told
    from py_esp_ota.work import Executor

_ELSEWHERE = 8  # workers that are reckoned with where their number is not said


@contextmanager
def refusals(file: Path) -> Iterator[None]:
    """What may go wrong in a play, as a sentence. Raises ``Unusable``."""
    from py_esp_ota.lives.tree import UnlikeError
    from py_esp_ota.work import WorkError

    try:
        yield
    except (ValueError, WorkError) as error:
        raise Unusable(f"{file}: {error}") from error
    except UnlikeError as error:
        raise Unusable(f"{file}: a mistake of ours: played again, a device did something else: {error}") from error


def play(fleet: FleetFile, *, shown: bool) -> FleetResult:
    """One job after the other; what was done before Ctrl-C is kept. Raises ``ValueError``, ``UnlikeError``."""
    from py_esp_ota.adapters.virtual_time import run_virtual
    from py_esp_ota.fleet import FleetResult, run_fleet

    result = FleetResult(seed=fleet.population.seed, members=())
    for order in fleet.jobs:
        with bar(order.name, shown=shown) as told:
            result += run_virtual(run_fleet(fleet.population, order, told=told))
        if not result.whole:
            break
    return result


def play_shared(source: Source, jobs: int | None, who: Executor, *, name: str, shown: bool) -> tuple[FleetResult, str]:
    """The same in parts, done by ``who``; and why it is not whole, if it is not.

    Raises ``ValueError``, ``UnlikeError``, ``WorkError``.
    """
    from py_esp_ota.fleet import SoFar
    from py_esp_ota.fleet.parts import work_of
    from py_esp_ota.work import run

    work, shards = work_of(source, workers=jobs or _ELSEWHERE)
    devices = source.read().population.devices
    with bar(name, shown=shown) as told:

        def heard(_done: int, found: FleetResult) -> None:
            told(SoFar(devices, found.updated, found.missed, devices - found.updated - found.missed, found.seconds))

        outcome = run(work, shards, who, told=heard)
    return replace(outcome.report, whole=outcome.report.whole and outcome.whole), outcome.stopped


def play_alone(fleet: FleetFile, node_id: str, turn: float, *, as_json: bool) -> None:
    """One device, and all that it says. Raises ``ValueError``."""
    from py_esp_ota.fleet import play_member
    from py_esp_ota.view.forecast_text import lone_text

    member = fleet.population.member(node_id)
    order = next(order for order in fleet.jobs if member.kind.name in order.kinds)
    lone = play_member(fleet.population, order, node_id, turn=turn)
    print_json(lone.to_json()) if as_json else say(*lone_text(lone))


@contextmanager
def bar(name: str, *, shown: bool) -> Iterator[Told]:
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
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task(visible(name), total=None)

        def told(far: SoFar) -> None:
            words = f"{visible(name)}  {live_words(far)}"
            drawn.update(task, completed=far.closed, total=far.devices, description=words)

        yield told
