"""``esp-ota hunt``: worlds from seeds, promises that must hold in all of them, and a world where one does not."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import click
from rich.console import Console
from rich.progress import Progress

from py_esp_ota.cli.files import Unusable, print_json
from py_esp_ota.cli.hunt_after import After, lost_dict, lost_lines
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.hunt.campaign import BLOCK, Seeds, campaign
from py_esp_ota.hunt.draw import draw
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.result import HuntDict, Report, Run
from py_esp_ota.hunt.turn import Lost
from py_esp_ota.hunt.world import World, read_world
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.view.hunt_text import breach_line, hunt_lines, replay_line
from py_esp_ota.work import Here, run

_LOOKED = 3  # findings that are made small, or looked into


@click.command("hunt")
@click.option("--seeds", "count", type=click.IntRange(1), default=200, show_default=True, help="How many worlds.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The first of them.")
@click.option("--replay", "line", metavar="LINE", help="Play one world again, from its line or its seed, and listen.")
@click.option("--mutant", type=click.Choice(list(MUTANTS)), help="Switch a bug of our own on, to see it found.")
@click.option("--shrink", is_flag=True, help="Make a world in which a promise is broken as small as it can be.")
@click.option("--bisect", is_flag=True, help="Say where its board was lost: with which flash operation, and by whom.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    count: int, seed: int, line: str | None, mutant: str | None, shrink: bool, bisect: bool, as_json: bool
) -> None:
    """Play many small worlds in which things go wrong, and see what promise is broken.

    A seed makes a world: boards, a cloud, images, and faults of some kinds. While things go wrong each board must stay
    bootable, run the old image or a new one, and keep its settings; when they have stopped each must come to the
    target. Exit 1 when a promise is broken, or when many worlds never reached a mark.
    """
    with needing("hunt", "cloud"):
        import fastapi  # noqa: F401 - the extra
    logging.disable(logging.CRITICAL)  # a cloud that is killed on purpose has much to say
    with MUTANTS[mutant].on() if mutant else nullcontext():
        if line is not None:
            _replay(_world(line), After(shrink, bisect), as_json=as_json)
        _hunt(Seeds(seed, count), After(shrink, bisect), as_json=as_json)


def _world(line: str) -> World:
    """Raises ``Unusable`` for a line that is no world."""
    try:
        return draw(int(line)) if line.isascii() and line.isdigit() else read_world(line)
    except ValueError as error:
        raise Unusable(f"--replay: {error}") from error


def _replay(world: World, after: After, *, as_json: bool) -> None:
    """One world, with its consoles; exit 1 when it breaks a promise."""
    quiet = as_json or after.shrinks or after.bisects
    ended = after.smaller(play(world, None if quiet else lambda at, board, text: say(f"{at:10.2f} {board} {text}")))
    lost = after.lost(ended)
    if as_json:
        print_json(_as_json(Report.of([ended]).to_dict(), after, lost))
    else:
        say(*_ending(ended), *lost_lines(lost))
    sys.exit(1 if ended.breach else 0)


def _ending(ended: Run) -> Iterator[str]:
    yield ""
    yield f"{ended.seconds:g} s, marks: {', '.join(sorted(ended.marks)) or 'none'}"
    yield from (f"as the chip: {function}" for function in sorted(ended.chips_own))
    yield breach_line(ended.breach) if ended.breach else "every promise holds"
    yield f"  {replay_line(ended.world)}"


def _as_json(report: HuntDict, after: After, lost: list[Lost]) -> Mapping[str, object]:
    return {**report, "lost": [lost_dict(one) for one in lost]} if after.bisects else report


def _hunt(seeds: Seeds, after: After, *, as_json: bool) -> None:
    """Many worlds; exit 1 for a finding."""
    started = time.perf_counter()
    with _bar(seeds, shown=not as_json) as told:
        out = run(campaign(seeds), seeds.shards, Here(), told=told)
    elapsed = time.perf_counter() - started
    if as_json:
        report = out.report.to_dict(elapsed_s=elapsed, stopped=out.stopped)
        print_json(_as_json(report, after, [one for ended in _looked(out.report, after) for one in after.lost(ended)]))
    else:
        say(*hunt_lines(out.report, elapsed_s=elapsed, stopped=out.stopped))
        for ended in _looked(out.report, after):
            say("", *_ending(ended), *lost_lines(after.lost(ended)))
    sys.exit(0 if out.report.ok and not out.stopped else 1)


def _looked(report: Report, after: After) -> Iterator[Run]:
    """The first findings, each as a world to look into, when somebody wants that."""
    found = sorted(report.findings.items())[:_LOOKED] if after.shrinks or after.bisects else []
    return (after.smaller(play(finding.world)) for _, finding in found)


@contextmanager
def _bar(seeds: Seeds, *, shown: bool) -> Iterator[Callable[[int, Report], None]]:
    """A progress bar on stderr, when somebody looks at it."""
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _done, _report: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("worlds", total=seeds.count)
        yield lambda done, _report: bar.update(task, completed=min(done * BLOCK, seeds.count))
