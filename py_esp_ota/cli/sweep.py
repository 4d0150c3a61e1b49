"""``esp-ota sweep``: an update, cut at every flash operation, and what becomes of the device each time."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import quote

import click
from rich.console import Console
from rich.progress import Progress

from py_esp_ota._core import ImageHeader, PartitionTable, Target, inspect_image
from py_esp_ota.adapters.link import Link
from py_esp_ota.cli.complete import TableName
from py_esp_ota.cli.efuse import load
from py_esp_ota.cli.files import Unusable, print_json, read_app, read_input, write_output
from py_esp_ota.cli.inputs import read_config, refuse_other_chip
from py_esp_ota.cli.output import say, stdout_is_taken
from py_esp_ota.cli.partition_table import read_table
from py_esp_ota.cli.release import Release, idf_version_option, in_app, release
from py_esp_ota.cli.sweep_files import Cuts, Pack, read_key, refuse_used, write_evidence, write_export
from py_esp_ota.cli.sweep_profile import Swept
from py_esp_ota.faults import Plan, parse
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.field.profiles.stories import scene_of, story_of
from py_esp_ota.flash_timing import FLASH_TIMINGS, flash_timing
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Ending, Pace, Scene, Share, Story, StoryError, SweepReport, replay, sweep
from py_esp_ota.sweep.cuts import Tears
from py_esp_ota.sweep.engine import Progress as Told
from py_esp_ota.sweep.export import export
from py_esp_ota.view.junit import sweep_junit
from py_esp_ota.view.sarif import sweep_sarif
from py_esp_ota.view.sweep_html import sweep_html
from py_esp_ota.view.sweep_text import sweep_text
from py_esp_ota.view.sweep_words import FINDINGS, ending_lines
from py_esp_ota.view.teach import Limits, fragment, teach_page

_FILE = click.Path(path_type=Path)
_HEADER = 24
_LESSONS = 20  # findings whose wrecks are in the page in any case


@click.command("sweep")
@click.argument("old", type=_FILE, required=False)
@click.argument("new", type=_FILE, required=False)
@click.option(
    "--profile",
    "project",
    type=click.Choice(list(PROFILES)),
    help="A project's own update in the place of a story: its updater, its table, its confirmation.",
)
@click.option(
    "--story",
    "name",
    type=click.Choice(list(STORIES)),
    show_default="first-ota",
    help="What the device does.",
)
@click.option(
    "--partitions",
    type=TableName(),
    help="A CSV or binary table, or a built-in one; two_ota with slots as large as needed when not given.",
)
@click.option("--depth", type=click.IntRange(1, 2), default=1, show_default=True, help="2: cut the recovery, too.")
@click.option("--cut", type=click.IntRange(0), metavar="K", help="Cut this operation alone.")
@click.option("--shard", default="1/1", metavar="K/N", help="Cut every N-th operation, from the K-th on.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Which second cuts are drawn when there are too many.")
@click.option("--limit", type=click.IntRange(1), default=100_000, show_default=True, help="Cases of depth 2 at most.")
@click.option("--clean", is_flag=True, help="Cut before and after operations only, not inside them.")
@click.option("--replay", "plan", metavar="PLAN", help="Play one case again, and show its console.")
@click.option("--export", "exported", metavar="PLAN", help="Write the flash as one case left it, to see it on a board.")
@click.option("-o", "--output", type=_FILE, metavar="DIR", help="With --export: a folder that is not there yet.")
@click.option("--bootloader", "loader", type=_FILE, help="A bootloader image to flash beside OLD.")
@click.option("--weather", default="", metavar="PLAN", help="What goes wrong beside the power, in the agent's job.")
@click.option("--mutant", type=click.Choice(list(MUTANTS)), help="Switch a bug of our own on, to see it found.")
@click.option("--config", "config_file", type=_FILE, help="An sdkconfig file: how app and bootloader are built.")
@idf_version_option("The release that app and bootloader are of; an sdkconfig or OLD says it otherwise.")
@click.option("--efuse", "efuse_file", type=_FILE, help="An eFuse file; a new chip without one.")
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
@click.option("--teach", type=_FILE, help="Write the page Pull the plug, too; the page of --html leads there.")
@click.option("--evidence", type=_FILE, metavar="DIR", help="Write a pack for those who ask for proof: a new folder.")
@click.option("--evidence-key", type=_FILE, metavar="PEM", help="Sign it with this private key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    old: Path | None,
    new: Path | None,
    project: str | None,
    name: str | None,
    partitions: str | None,
    depth: int,
    cut: int | None,
    shard: str,
    seed: int,
    limit: int,
    clean: bool,
    plan: str | None,
    exported: str | None,
    output: Path | None,
    loader: Path | None,
    weather: str,
    mutant: str | None,
    config_file: Path | None,
    asked: str | None,
    efuse_file: Path | None,
    part: str | None,
    link: str | None,
    junit: Path | None,
    sarif: Path | None,
    html: Path | None,
    teach: Path | None,
    evidence: Path | None,
    evidence_key: Path | None,
    as_json: bool,
) -> None:
    """Run a story of OLD and NEW once, pull the plug at every flash operation of it, and judge what boots.

    With --profile OLD and NEW may be left out: two small images are made. Exit 0 when every promise holds but those
    that the chip itself breaks, 1 when one is broken.
    """
    profile = None if project is None else PROFILES[project]
    if profile is not None and name is not None:
        raise click.UsageError("--profile has a story of its own: --story does not go with it")
    name = name or "first-ota"
    story = STORIES[name] if profile is None else story_of(profile)
    scene, meant = played_with(_files(old, new, profile), profile, partitions, config_file, asked, efuse_file)
    scene = replace(scene, weather=weather_of(weather, story), bootloader=_bootloader(loader, scene))
    if (exported is None) != (output is None):
        raise click.UsageError("--export and --output go together")
    pace = _pace(part, link)
    if evidence_key is not None and evidence is None:
        raise click.UsageError("--evidence-key goes with --evidence")
    if mutant is not None and evidence is not None:
        raise click.UsageError("--mutant is a bug of ours: a run with it is evidence of nothing")
    key = None if evidence_key is None else read_key(evidence_key)
    if evidence is not None:
        refuse_used(evidence)
    try:
        started = time.perf_counter()
        with MUTANTS[mutant].on() if mutant else nullcontext(), _bar(story, shown=not as_json) as told:
            if plan is not None:
                _show(replay(story, scene, plan), plan, as_json=as_json)
            if exported is not None and output is not None:
                write_export(export(story, scene, exported), output, as_json=as_json)
            share = Share(*_shard(shard), cut=cut)
            tears: Tears = "clean" if clean else "torn"
            report = sweep(
                story, scene, depth=depth, tears=tears, share=share, seed=seed, limit=limit, pace=pace, progress=told
            )
            elapsed = time.perf_counter() - started
            lesson = _lesson(story, scene, report) if teach else ""
    except (StoryError, ValueError) as error:
        raise Unusable(str(error)) from error
    swept = profile and Swept.of(profile, report, rollback=scene.config.bootloader_app_rollback_enable)
    options = {
        "--partitions": partitions,
        "--config": config_file,
        "--idf-version": asked,
        "--efuse": efuse_file,
        "--bootloader": loader,
        "--weather": weather,
        "--mutant": mutant,
    }
    played = [str(word) for option in options.items() if option[1] for word in option]
    told_by = ["--story", name] if project is None else ["--profile", project]
    words = shlex.join(["esp-ota", "sweep", *(str(file) for file in (old, new) if file), *told_by, *played])
    if junit:
        write_output(junit, sweep_junit(report, elapsed_s=elapsed).encode())
    if sarif:
        write_output(sarif, sweep_sarif(report, artifact=str(new or project)).encode())
    if teach:
        write_output(teach, lesson.encode())
    if html:
        page = f"{_beside(teach, html)}#{fragment(story.name, scene.old, scene.new)}" if teach else ""
        write_output(html, sweep_html(report, command=f"{words} --replay", elapsed_s=elapsed, teach=page).encode())
    if evidence is not None:
        table = None if partitions in {None, *PartitionTable.builtin_names()} else Path(str(partitions))
        inputs = {"OLD": old, "NEW": new, "--partitions": table, "--bootloader": loader}
        inputs |= {"--config": config_file, "--efuse": efuse_file}
        cuts = Cuts(depth, cut, shard, seed, limit, clean=clean)
        paced = {"--flash-timing": part, "--link": link}
        pack = Pack(story, scene, report, words, cuts, paced, meant.to_dict(), inputs)
        write_evidence(pack, evidence, key)
    if as_json:
        print_json(
            {**report.to_dict(elapsed), "release": meant.to_dict(), "profile": swept.to_dict() if swept else None}
        )
    else:
        Console(stderr=stdout_is_taken()).print(
            sweep_text(report, command=f"{words} --replay", elapsed_s=elapsed, release=str(meant)), soft_wrap=True
        )
        if swept:
            say("", *swept.lines())
    sys.exit(0 if report.ok else 1)


def _lesson(story: Story, scene: Scene, report: SweepReport) -> str:
    """The page of the same story, with the first findings among its wrecks however many cuts they take."""
    found = [case.plan for outcome in FINDINGS for case, _ in report.findings(outcome)]
    return teach_page(story, scene, limits=Limits(plans=tuple(found[:_LESSONS])))


def _beside(page: Path, report: Path) -> str:
    """How a page is reached from another one, as an address."""
    return quote(Path(os.path.relpath(page.resolve(), report.resolve().parent)).as_posix())


def _files(old: Path | None, new: Path | None, profile: Profile | None) -> tuple[Path, Path] | None:
    """Both, or none where a profile makes them. Raises ``Unusable``."""
    if old is not None and new is not None:
        return old, new
    if old is None and profile is not None:
        return None
    raise Unusable("OLD and NEW are needed" + ("" if profile is None else ", both or neither with --profile"))


def played_with(
    files: tuple[Path, Path] | None,
    profile: Profile | None,
    partitions: str | None,
    config_file: Path | None,
    asked: str | None,
    efuse_file: Path | None,
) -> tuple[Scene, Release]:
    """What a story is played with, and of which release that is. Raises ``Unusable``."""
    images = None if files is None else (read_app(files[0]), read_app(files[1]))
    scene = _played(profile, images, None if partitions is None else _table(partitions))
    if files is not None and scene.old == scene.new:
        raise Unusable(f"{files[0]} and {files[1]} are the same image: nobody could tell which of them boots")
    said = None if config_file is None else read_config(config_file)
    if said is not None:
        target = Target.from_chip_id(ImageHeader.from_bytes(scene.old[:_HEADER]).chip_id)
        if target is not None:
            refuse_other_chip(said, target, files[0] if files else Path(str(config_file)))
        scene = replace(scene, config=_checked(said.config))
    found = None if files is None else in_app(scene.old, str(files[0]))
    meant = release(asked, said, found)
    scene = replace(scene, config=replace(scene.config, idf_version=meant.version))
    if efuse_file is not None:
        scene = replace(scene, efuse=load(efuse_file))
    return scene, meant


def _played(profile: Profile | None, images: tuple[bytes, bytes] | None, table: PartitionTable | None) -> Scene:
    """Images and table, and of a profile its build options."""
    if profile is not None:
        try:
            return scene_of(profile, images, table)
        except ValueError as error:
            raise Unusable(f"{error}; --partitions names another one") from error
    old, new = images or (b"", b"")
    return Scene(old, new, _roomy(max(len(old), len(new))) if table is None else table)


def _bootloader(file: Path | None, scene: Scene) -> bytes | None:
    """A sound bootloader image for the chip of the apps, if one is named. Raises ``Unusable``."""
    if file is None:
        return None
    data = read_input(file)
    info = inspect_image(data)
    if info.faults:
        raise Unusable(f"{file}: {info.faults[0].err.name}: {info.faults[0]}")
    if info.kind != "bootloader":
        raise Unusable(f"{file} is no bootloader image")
    chips = [Target.from_chip_id(ImageHeader.from_bytes(image[:_HEADER]).chip_id) for image in (data, scene.old)]
    names = [chip.name if chip else "an unknown chip" for chip in chips]
    if names[0] != names[1]:
        raise Unusable(f"{file} is for {names[0]}, the apps are for {names[1]}")
    return data


def _pace(part: str | None, link: str | None) -> Pace | None:
    """How fast the device is; ``None`` when nobody asks how long anything takes."""
    if part is None:
        if link is not None:
            raise click.UsageError("--link goes with --flash-timing")
        return None
    try:
        return Pace(flash_timing(part), None if link is None else Link.parse(link))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--link") from error


def weather_of(text: str, story: Story) -> Plan:
    """Faults on the sides that the agent's job has."""
    try:
        plan = parse(text)
    except ValueError as error:
        raise Unusable(str(error)) from error
    if plan.parts and not story.reports:
        raise Unusable(f"{story.name} has no network: --weather goes with --story agent-job")
    wrong = [str(part) for part in plan.parts if part.side not in {"network", "mqtt", "clock"}]
    if wrong:
        raise Unusable(f"{wrong[0]} is no fault of the network, of MQTT or of the clock")
    return plan


def _checked(config: Sdkconfig) -> Sdkconfig:
    try:
        config.check()
    except ValueError as error:
        raise Unusable(str(error)) from error
    return config


def _roomy(size: int) -> PartitionTable:
    """``two_ota``, its slots enlarged until an image of ``size`` bytes fits."""
    slot = max(1 << 20, -(-size // 0x10000) * 0x10000)
    data = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy_init,data,phy,0xf000,0x1000\n"
    apps = "".join(f"{name},app,{name},,0x{slot:x}\n" for name in ("factory", "ota_0", "ota_1"))
    return PartitionTable.from_csv(data + apps)


def _table(text: str) -> PartitionTable:
    """A built-in table by its name, or one in a file."""
    if text in PartitionTable.builtin_names():
        return PartitionTable.builtin(text)
    return read_table(Path(text))


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit() and int(count)):
        raise click.BadParameter(f"{text!r} is no K/N, for example 1/4", param_hint="--shard")
    return int(number), int(count)


def _show(ending: Ending, plan: str, *, as_json: bool) -> None:
    """One case, and no more."""
    if as_json:
        print_json({"plan": plan, **asdict(ending)})
    else:
        say(*ending_lines(ending))
    sys.exit(1 if ending.outcome == "violation" else 0)


@contextmanager
def _bar(story: Story, *, shown: bool) -> Iterator[Told | None]:
    """A progress bar on stderr, when somebody looks at it."""
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(story.text)
        yield lambda done, total: bar.update(task, completed=done, total=total)
