"""``esp-ota sweep``: an update, cut at every flash operation, and what becomes of the device each time."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.progress import Progress

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli.ending import INTERRUPTED
from py_esp_ota.cli.files import Unusable, print_json, refuse_used, write_output
from py_esp_ota.cli.output import say, stdout_is_taken
from py_esp_ota.cli.story_options import StoryWords, device_options, story_options
from py_esp_ota.cli.sweep_files import Cuts, Pack, read_key, write_evidence, write_export
from py_esp_ota.cli.sweep_inputs import pace_of, shard_of
from py_esp_ota.cli.sweep_profile import Swept
from py_esp_ota.cli.work_options import STOPPED, executor, work_options
from py_esp_ota.flash_timing import FLASH_TIMINGS
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.sweep import Ending, Scene, Share, Story, StoryError, SweepReport, replay
from py_esp_ota.sweep.engine import Progress as Tell
from py_esp_ota.sweep.export import export
from py_esp_ota.sweep.order import Order, Props
from py_esp_ota.sweep.shared import shared_sweep
from py_esp_ota.view.junit import sweep_junit
from py_esp_ota.view.sarif import sweep_sarif
from py_esp_ota.view.sweep_html import sweep_html
from py_esp_ota.view.sweep_text import sweep_text
from py_esp_ota.view.sweep_words import FINDINGS, ending_lines
from py_esp_ota.view.teach import Limits, fragment, teach_page
from py_esp_ota.work import INTERRUPTION, WorkError

_FILE = click.Path(path_type=Path)
_LESSONS = 20  # findings whose wrecks are in the page in any case


@click.command("sweep")
@click.argument("old", type=_FILE, required=False)
@click.argument("new", type=_FILE, required=False)
@story_options
@click.option("--depth", type=click.IntRange(1, 2), default=1, show_default=True, help="2: cut the recovery, too.")
@click.option("--cut", type=click.IntRange(0), metavar="K", help="Cut this operation alone.")
@click.option("--shard", default="1/1", metavar="K/N", help="Cut every N-th operation, from the K-th on.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Which second cuts are drawn when there are too many.")
@click.option("--limit", type=click.IntRange(1), default=100_000, show_default=True, help="Cases of depth 2 at most.")
@click.option("--clean", is_flag=True, help="Cut before and after operations only, not inside them.")
@click.option("--replay", "plan", metavar="PLAN", help="Play one case again, and show its console.")
@click.option("--export", "exported", metavar="PLAN", help="Write the flash as one case left it, to see it on a board.")
@click.option("-o", "--output", type=_FILE, metavar="DIR", help="With --export: a folder that is not there yet.")
@click.option("--mutant", type=click.Choice(list(MUTANTS)), help="Switch a bug of our own on, to see it found.")
@device_options(efuse="An eFuse file; a new chip without one.")
@click.option(
    "--flash-timing",
    "part",
    type=click.Choice(list(FLASH_TIMINGS), case_sensitive=False),
    help="Say how long everything takes on this flash chip, and how long the device is at risk.",
)
@click.option(
    "--link", metavar="RATE[@MS]", help="Of its network: bytes a second (125k), milliseconds of a round trip."
)
@click.option("--junit", type=_FILE, help="Write a JUnit report.")
@click.option("--sarif", type=_FILE, help="Write a SARIF report.")
@click.option("--html", type=_FILE, help="Write a page to look around in.")
@click.option("--evidence", type=_FILE, metavar="DIR", help="Write a pack for those who ask for proof: a new folder.")
@click.option("--evidence-key", type=_FILE, metavar="PEM", help="Sign it with this private key.")
@click.option("--teach", type=_FILE, help="Write the page Pull the plug, too; the page of --html leads there.")
@work_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    old: Path | None,
    new: Path | None,
    depth: int,
    cut: int | None,
    shard: str,
    seed: int,
    limit: int,
    clean: bool,
    plan: str | None,
    exported: str | None,
    output: Path | None,
    mutant: str | None,
    part: str | None,
    link: str | None,
    junit: Path | None,
    sarif: Path | None,
    html: Path | None,
    evidence: Path | None,
    evidence_key: Path | None,
    teach: Path | None,
    where: str,
    jobs: int | None,
    as_json: bool,
    **story_words: Any,
) -> None:
    """Run a story of OLD and NEW once, pull the plug at every flash operation of it, and judge what boots.

    With --profile OLD and NEW may be left out: two small images are made. Exit 0 when every promise holds but those
    that the chip itself breaks, 1 when one is broken.
    """
    words = StoryWords(**story_words)
    said, profile = words.told(), words.profile
    story = said.story
    scene, meant = words.scene(old, new)
    scene = words.exposed(scene, story)
    if (exported is None) != (output is None):
        raise click.UsageError("--export and --output go together")
    if sum(one is not None for one in (plan, exported, evidence)) > 1:
        raise click.UsageError("--replay, --export and --evidence exclude each other")
    pace = pace_of(part, link)
    if evidence_key is not None and evidence is None:
        raise click.UsageError("--evidence-key goes with --evidence")
    if mutant is not None and evidence is not None:
        raise click.UsageError("--mutant is a bug of ours: a run with it is evidence of nothing")
    key = None if evidence_key is None else read_key(evidence_key)
    if evidence is not None:
        refuse_used(evidence)
    played = ["--story" if profile is None else "--profile", said.name, *words.device()]
    played += [] if mutant is None else ["--mutant", mutant]
    line = shlex.join(["esp-ota", "sweep", *(str(file) for file in (old, new) if file), *played])
    try:
        started = time.perf_counter()
        order = Order(said, Props.of(scene), tears="clean" if clean else "torn", share=Share(*shard_of(shard), cut=cut))
        order = replace(order, depth=depth, seed=seed, mutant=mutant or "")
        with order.bug():
            if plan is not None:
                _show(replay(story, scene, plan), plan, as_json=as_json)
            if exported is not None and output is not None:
                write_export(export(story, scene, exported), output, as_json=as_json)
        with _bar(story, shown=not as_json) as told:
            who = executor(where, jobs)
            report = shared_sweep(order, who, limit=limit, pace=pace, progress=told)
        elapsed = time.perf_counter() - started
        with order.bug():
            lesson = _lesson(story, scene, report, line) if teach else ""
    except (StoryError, WorkError, ValueError) as error:
        raise Unusable(str(error)) from error
    swept = profile and Swept.of(profile, report, rollback=scene.config.bootloader_app_rollback_enable)
    if junit:
        write_output(junit, sweep_junit(report, elapsed_s=elapsed).encode())
    if sarif:
        write_output(sarif, sweep_sarif(report, artifact=str(new or words.project)).encode())
    if teach:
        write_output(teach, lesson.encode())
    if html:
        page = f"{_beside(teach, html)}#{fragment(story.name, scene.old, scene.new)}" if teach else ""
        write_output(html, sweep_html(report, command=f"{line} --replay", elapsed_s=elapsed, teach=page).encode())
    if evidence is not None and report.stopped:
        say("no pack is written: what was stopped is evidence of nothing", err=True)
    elif evidence is not None:
        table = None if words.partitions in {None, *PartitionTable.builtin_names()} else Path(str(words.partitions))
        inputs = {"OLD": old, "NEW": new, "--partitions": table, "--bootloader": words.loader}
        inputs |= {"--config": words.config_file, "--efuse": words.efuse_file}
        cuts = Cuts(depth, cut, shard, seed, limit, clean=clean)
        paced = {"--flash-timing": part, "--link": link}
        pack = Pack(story, scene, report, line, cuts, paced, meant.to_dict(), inputs)
        write_evidence(pack, evidence, key)
    if as_json:
        print_json(
            {**report.to_dict(elapsed), "release": meant.to_dict(), "profile": swept.to_dict() if swept else None}
        )
    else:
        Console(stderr=stdout_is_taken()).print(
            sweep_text(report, command=f"{line} --replay", elapsed_s=elapsed, release=str(meant)), soft_wrap=True
        )
        if swept:
            say("", *swept.lines())
    if report.stopped:
        sys.exit(INTERRUPTED if report.stopped.startswith(INTERRUPTION) else STOPPED)
    sys.exit(0 if report.ok else 1)


def _lesson(story: Story, scene: Scene, report: SweepReport, words: str) -> str:
    """The page of the same story, with the first findings among its wrecks however many cuts they take."""
    found = [case.plan for outcome in FINDINGS for case, _ in report.findings(outcome)]
    limits = Limits(plans=tuple(found[:_LESSONS]))
    return teach_page(story, scene, limits=limits, command=lambda _: words)


def _beside(page: Path, report: Path) -> str:
    """How a page is reached from another one, as an address."""
    return quote(Path(os.path.relpath(page.resolve(), report.resolve().parent)).as_posix())


def _show(ending: Ending, plan: str, *, as_json: bool) -> None:
    """One case, and no more."""
    if as_json:
        print_json({"plan": plan, **asdict(ending)})
    else:
        say(*ending_lines(ending))
    sys.exit(1 if ending.outcome == "violation" else 0)


@contextmanager
def _bar(story: Story, *, shown: bool) -> Iterator[Tell | None]:
    """A progress bar on stderr, when somebody looks at it."""
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(story.text)
        yield lambda done, total: bar.update(task, completed=done, total=total)
