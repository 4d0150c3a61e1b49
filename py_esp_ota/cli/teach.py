"""``esp-ota teach``: the page "Pull the plug" of a story."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_esp_ota.cli.complete import TableName
from py_esp_ota.cli.files import Unusable, is_dash, print_json, write_output
from py_esp_ota.cli.output import say
from py_esp_ota.cli.release import idf_version_option
from py_esp_ota.cli.sweep_inputs import bootloader_of, files_of, scene_of, weather_of
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.field.profiles.stories import story_of
from py_esp_ota.sweep import STORIES, Scene, StoryError
from py_esp_ota.view.teach import LESSONS, Limits, core_wasm, fragment, teach_page

if TYPE_CHECKING:
    from py_esp_ota.sweep import Story

_FILE = click.Path(path_type=Path)
_WITHOUT = (
    "the core is not in this installation as WebAssembly (`make wasm` builds it): the page shows recorded boots alone, "
    "no torn cells, and judges no image"
)


@click.command("teach")
@click.argument("old", type=_FILE, required=False)
@click.argument("new", type=_FILE, required=False)
@click.option("-o", "--output", type=_FILE, required=True, help="The page; - is standard output.")
@click.option(
    "--story",
    "name",
    type=click.Choice(list(STORIES)),
    show_default="first-ota",
    help="What the device does.",
)
@click.option(
    "--profile",
    "project",
    type=click.Choice(list(PROFILES)),
    help="A project's own update in the place of a story, as for sweep; its images when OLD and NEW are not named.",
)
@click.option("--lessons", is_flag=True, help="The stories of the lessons beside it; there when nothing is named.")
@click.option(
    "--replay", "plan", metavar="PLAN", help="A case of `esp-ota sweep`: it is in the page, and its address is told."
)
@click.option(
    "--limit", type=click.IntRange(0), default=Limits().wrecks, show_default=True, help="Wrecks of second cuts at most."
)
@click.option("--partitions", type=TableName(), help="A CSV or binary table, or a built-in one; as for sweep.")
@click.option("--bootloader", "loader", type=_FILE, help="A bootloader image to flash beside OLD.")
@click.option("--weather", default="", metavar="PLAN", help="What goes wrong beside the power, in the agent's job.")
@click.option("--config", "config_file", type=_FILE, help="An sdkconfig file: how app and bootloader are built.")
@idf_version_option("The release that app and bootloader are of; an sdkconfig or OLD says it otherwise.")
@click.option("--efuse", "efuse_file", type=_FILE, help="An eFuse file; the key in it, if any, goes into the page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    old: Path | None,
    new: Path | None,
    output: Path,
    name: str | None,
    project: str | None,
    lessons: bool,
    plan: str | None,
    limit: int,
    partitions: str | None,
    loader: Path | None,
    weather: str,
    config_file: Path | None,
    asked: str | None,
    efuse_file: Path | None,
    as_json: bool,
) -> None:
    """Make a page in which a reader drags along an update's flash operations, and pulls the plug wherever they like.

    OLD and NEW are a lamp's when they are not named: that page has the stories of the lessons, too. A page is one file,
    and asks nobody for anything. Exit 2 for a story that does not come to its goal, or images that do not fit.
    """
    if (old is None) != (new is None):
        raise click.UsageError("name both OLD and NEW, or none of them")
    if as_json and is_dash(output):
        raise click.UsageError("--json and -o - both want standard output")
    if project is not None and name is not None:
        raise click.UsageError("--profile has a story of its own: --story does not go with it")
    profile = None if project is None else PROFILES[project]
    story = story_of(profile) if profile else STORIES[name or "first-ota"]
    if old is None and profile is None:
        if partitions or config_file or asked or efuse_file or loader:
            them = "--partitions, --bootloader, --config, --idf-version and --efuse"
            raise click.UsageError(f"{them} go with OLD and NEW")
        scene = _lamp()
    else:
        files = files_of(old, new, profile)
        scene, _ = scene_of(files, profile, partitions, config_file, asked, efuse_file)
        scene = replace(scene, bootloader=bootloader_of(loader, scene))
    lessons = lessons or (old is None and name is None and project is None)
    beside = [STORIES[each] for each in LESSONS] if lessons else []
    scene = replace(scene, weather=weather_of(weather, story))
    options = {
        "--partitions": partitions,
        "--config": config_file,
        "--idf-version": asked,
        "--efuse": efuse_file,
        "--bootloader": loader,
        "--weather": weather,
    }

    def command_of(told: Story) -> str:
        """What plays a cut of a story again: with the words of this command."""
        files = () if profile and not old else (old or "OLD.bin", new or "NEW.bin")
        by = ("--profile", project) if profile else ("--story", told.name)
        played = [word for option in options.items() if option[1] for word in option]
        return shlex.join(["esp-ota", "sweep", *map(str, (*files, *by, *played))])

    wasm = core_wasm()
    try:
        limits = Limits(wrecks=limit, plans=(plan,) if plan else ())
        page = teach_page(story, scene, beside=beside, limits=limits, wasm=wasm, command=command_of)
    except (StoryError, ValueError) as error:
        raise Unusable(str(error)) from error
    write_output(output, page.encode())
    _tell(story, scene, output, page, plan or "", wasm=bool(wasm), as_json=as_json)


def _tell(story: Story, scene: Scene, output: Path, page: str, plan: str, *, wasm: bool, as_json: bool) -> None:
    """What was made, and how to get to the case that was asked for."""
    address = f"{output}#{fragment(story.name, scene.old, scene.new, plan)}"
    if as_json:
        made = {"page": str(output), "story": story.name, "bytes": len(page.encode()), "core": wasm, "address": address}
        print_json(made)
        return
    if not wasm:
        say(_WITHOUT, err=True)
    if not is_dash(output):
        say(f"{output}: {story.name}, {len(page.encode()):,} bytes; open it in a browser", *([address] if plan else []))


def _lamp() -> Scene:
    """README's pair of images."""
    from py_esp_ota.firmware import Firmware

    return Scene(Firmware("lamp", "1.0.0").to_bytes(), Firmware("lamp", "1.1.0").to_bytes())
