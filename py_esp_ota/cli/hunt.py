"""``esp-ota hunt``: worlds from seeds, promises that must hold in all of them, and a world where one does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as count_up
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import Progress

from py_esp_ota.cli.ending import INTERRUPTED
from py_esp_ota.cli.files import Unusable, print_json
from py_esp_ota.cli.hunt_after import After, lost_lines, switched_on
from py_esp_ota.cli.hunt_corpus import read_corpus, write_corpus
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.cli.work_options import STOPPED, executor, work_options
from py_esp_ota.hunt.campaign import BLOCK, Harvest, Seeds, again, campaign
from py_esp_ota.hunt.draw import draw
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.result import Report, Run
from py_esp_ota.hunt.world import World, read_world
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.view.hunt_text import breach_line, hunt_lines, replay_line
from py_esp_ota.work import INTERRUPTION, Executor, WorkError, run

_MANY = 10**12  # as many seeds as nobody plays


@click.command("hunt")
@click.option(
    "--seeds", "count", type=click.IntRange(1, _MANY), default=200, show_default=True, help="How many worlds."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The first of them.")
@click.option("--for", "seconds", type=click.IntRange(1), metavar="S", help="Go on for so many seconds instead.")
@click.option(
    "--corpus",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder: what is kept there is played first, and what is new is kept there.",
)
@click.option("--replay", "line", metavar="LINE", help="Play one world again, from its line or its seed, and listen.")
@click.option("--mutant", type=click.Choice(list(MUTANTS)), help="Switch a bug of our own on, to see it found.")
@click.option("--shrink", is_flag=True, help="Make a world in which a promise is broken as small as it can be.")
@click.option("--bisect", is_flag=True, help="Say where its board was lost: with which flash operation, and by whom.")
@work_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    count: int,
    seed: int,
    seconds: int | None,
    folder: Path | None,
    line: str | None,
    mutant: str | None,
    where: str,
    jobs: int | None,
    shrink: bool,
    bisect: bool,
    as_json: bool,
) -> None:
    """Play many small worlds in which things go wrong, and see what promise is broken.

    A seed makes a world: boards, a cloud, images, and faults of some kinds. While things go wrong each board must stay
    bootable, run the old image or a new one, and keep its settings; when they have stopped each must come to the
    target. Exit 1 when a promise is broken, or when many worlds never reached a mark.
    """
    with needing("hunt", "cloud"):
        import fastapi  # noqa: F401 - the extra
    after = After(shrink, bisect)
    if line is not None:
        with switched_on(mutant):
            _replay(_world(line), after, as_json=as_json)
    seeds = Seeds(seed, _MANY if seconds else count, mutant, keep=folder is not None)
    _hunt(seeds, seconds, folder, executor(where, jobs), after, as_json=as_json)


def _world(line: str) -> World:
    """Raises ``Unusable`` for a line that is no world."""
    try:
        return draw(int(line)) if line.isascii() and line.isdigit() else read_world(line)
    except ValueError as error:
        raise Unusable(f"--replay: {error}") from error


def _replay(world: World, after: After, *, as_json: bool) -> NoReturn:
    """One world, with its consoles; exit 1 when it breaks a promise."""
    quiet = as_json or after
    ended = after.smaller(play(world, None if quiet else lambda at, board, text: say(f"{at:10.2f} {board} {text}")))
    lost = after.lost(ended)
    if as_json:
        print_json(Report.of([ended]).to_dict() | after.dicts(lost))
    else:
        say(*_ending(ended), *lost_lines(lost))
    sys.exit(1 if ended.breach else 0)


def _ending(ended: Run) -> Iterator[str]:
    yield ""
    yield f"{ended.seconds:g} s, marks: {', '.join(sorted(ended.marks)) or 'none'}"
    yield from (f"as the chip: {function}" for function in sorted(ended.chips_own))
    yield breach_line(ended.breach) if ended.breach else "every promise holds"
    yield f"  {replay_line(ended.world)}"


def _hunt(
    seeds: Seeds, seconds: int | None, folder: Path | None, who: Executor, after: After, *, as_json: bool
) -> NoReturn:
    """Many worlds; exit 1 for a finding."""
    started = time.perf_counter()
    kept = read_corpus(folder) if folder else None
    found = again(kept.lines()) if kept else Harvest()
    with _bar(seeds, shown=not as_json and seconds is None) as told:
        try:
            out = run(campaign(seeds), _until(seeds, started, seconds), who, told=told)
        except WorkError as error:
            raise Unusable(str(error)) from error
    found = found + out.report
    elapsed = time.perf_counter() - started
    if folder and kept:
        write_corpus(folder, kept + found.corpus)
    with switched_on(seeds.mutant):
        looked = [(ended, after.lost(ended)) for ended in after.first(found.report)]
    if as_json:
        report = found.report.to_dict(elapsed_s=elapsed, stopped=out.stopped)
        print_json(report | after.dicts([one for _, lost in looked for one in lost]))
    else:
        say(*hunt_lines(found.report, elapsed_s=elapsed, stopped=out.stopped))
        for ended, lost in looked:
            say("", *_ending(ended), *lost_lines(lost))
    if out.stopped:
        sys.exit(INTERRUPTED if out.stopped.startswith(INTERRUPTION) else STOPPED)
    sys.exit(0 if found.report.ok else 1)


def _until(seeds: Seeds, started: float, seconds: int | None) -> Iterator[int]:
    """The blocks there are, or all that can be begun in the time there is."""
    for shard in seeds.shards if seconds is None else count_up():
        if seconds is not None and time.perf_counter() - started >= seconds:
            return
        yield shard


@contextmanager
def _bar(seeds: Seeds, *, shown: bool) -> Iterator[Callable[[int, Harvest], None]]:
    """A progress bar on stderr, when somebody looks at it."""
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _done, _found: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("worlds", total=seeds.count)
        yield lambda done, _found: bar.update(task, completed=min(done * BLOCK, seeds.count))
