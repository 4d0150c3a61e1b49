"""``esp-ota teach``: the page "Pull the plug" of a story."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_esp_ota.cli.files import Unusable, is_dash, print_json, write_output
from py_esp_ota.cli.output import say
from py_esp_ota.cli.story_options import StoryWords, device_options, story_options
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
@story_options
@click.option("--lessons", is_flag=True, help="The stories of the lessons beside it; there when nothing is named.")
@click.option(
    "--replay", "plan", metavar="PLAN", help="A case of `esp-ota sweep`: it is in the page, and its address is told."
)
@click.option(
    "--limit", type=click.IntRange(0), default=Limits().wrecks, show_default=True, help="Wrecks of second cuts at most."
)
@device_options(efuse="An eFuse file; the key in it, if any, goes into the page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    old: Path | None,
    new: Path | None,
    output: Path,
    lessons: bool,
    plan: str | None,
    limit: int,
    as_json: bool,
    **story_words: Any,
) -> None:
    """Make a page in which a reader drags along an update's flash operations, and pulls the plug wherever they like.

    OLD and NEW are a lamp's when they are not named: that page has the stories of the lessons, too. A page is one file,
    and asks nobody for anything. Exit 2 for a story that does not come to its goal, or images that do not fit.
    """
    if (old is None) != (new is None):
        raise click.UsageError("name both OLD and NEW, or none of them")
    if as_json and is_dash(output):
        raise click.UsageError("--json and -o - both want standard output")
    words = StoryWords(**story_words)
    story = words.told().story
    if old is None and words.profile is None:
        if words.partitions or words.config_file or words.asked or words.efuse_file or words.loader:
            them = "--partitions, --bootloader, --config, --idf-version and --efuse"
            raise click.UsageError(f"{them} go with OLD and NEW")
        scene = _lamp()
    else:
        scene, _ = words.scene(old, new)
    scene = words.exposed(scene, story)
    lessons = lessons or (old is None and words.name is None and words.project is None)
    beside = [STORIES[each] for each in LESSONS] if lessons else []

    def command_of(told: Story) -> str:
        """What plays a cut of a story again: with the words of this command."""
        files = () if words.profile and not old else (old or "OLD.bin", new or "NEW.bin")
        by = ("--profile", words.project) if words.project else ("--story", told.name)
        return shlex.join(["esp-ota", "sweep", *map(str, (*files, *by)), *words.device()])

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
