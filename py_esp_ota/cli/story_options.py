"""Which story is played, and on which device: the same options for ``esp-ota sweep`` and ``teach``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from py_esp_ota.cli.complete import TableName
from py_esp_ota.cli.release import Release, idf_version_option
from py_esp_ota.cli.sweep_inputs import bootloader_of, files_of, scene_of, weather_of
from py_esp_ota.cli.sweep_profile import profile_story
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.sweep import STORIES, Scene, Story
from py_esp_ota.sweep.order import Told, known_story

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_FIRST = "first-ota"

_STORY = (
    click.option(
        "--profile",
        "project",
        type=click.Choice(list(PROFILES)),
        help="A project's own update in the place of a story: its updater, its table, its confirmation.",
    ),
    click.option(
        "--story",
        "name",
        type=click.Choice(list(STORIES)),
        show_default=_FIRST,
        help="What the device does.",
    ),
    click.option(
        "--partitions",
        type=TableName(),
        help="A CSV or binary table, or a built-in one; two_ota with slots as large as needed when not given.",
    ),
)
_DEVICE = (
    click.option("--bootloader", "loader", type=_FILE, help="A bootloader image to flash beside OLD."),
    click.option("--weather", default="", metavar="PLAN", help="What goes wrong beside the power, in the agent's job."),
    click.option("--config", "config_file", type=_FILE, help="An sdkconfig file: how app and bootloader are built."),
    idf_version_option("The release that app and bootloader are of; an sdkconfig or OLD says it otherwise."),
)


def story_options(verb: _F) -> _F:
    """What is played; together with ``device_options`` they come as the fields of ``StoryWords``."""
    return _all(_STORY, verb)


def device_options(*, efuse: str) -> Callable[[_F], _F]:
    """What it is played on; ``efuse`` says what ``--efuse`` does."""
    return lambda verb: _all((*_DEVICE, click.option("--efuse", "efuse_file", type=_FILE, help=efuse)), verb)


def _all(options: tuple[Callable[[_F], _F], ...], verb: _F) -> _F:
    for option in reversed(options):
        verb = option(verb)
    return verb


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryWords:
    """What a call says of it."""

    project: str | None
    name: str | None
    partitions: str | None
    loader: Path | None
    weather: str
    config_file: Path | None
    asked: str | None
    efuse_file: Path | None

    def told(self) -> Told:
        """The story. Raises ``UsageError``: two are named."""
        if self.project is None:
            return Told(known_story, self.name or _FIRST)
        if self.name is not None:
            raise click.UsageError("--profile has a story of its own: --story does not go with it")
        return Told(profile_story, self.project)

    @property
    def profile(self) -> Profile | None:
        """Whose update it is."""
        return None if self.project is None else PROFILES[self.project]

    def scene(self, old: Path | None, new: Path | None) -> tuple[Scene, Release]:
        """The device with these images, in fine weather; and of which release it is. Raises ``Unusable``."""
        files = files_of(old, new, self.profile)
        scene, meant = scene_of(files, self.profile, self.partitions, self.config_file, self.asked, self.efuse_file)
        return replace(scene, bootloader=bootloader_of(self.loader, scene)), meant

    def exposed(self, scene: Scene, story: Story) -> Scene:
        """The same in the weather that is asked for. Raises ``Unusable``."""
        return replace(scene, weather=weather_of(self.weather, story))

    def device(self) -> list[str]:
        """What says of the device that it is another than usual, as words of a call."""
        said = {
            "--partitions": self.partitions,
            "--config": self.config_file,
            "--idf-version": self.asked,
            "--efuse": self.efuse_file,
            "--bootloader": self.loader,
            "--weather": self.weather,
        }
        return [str(word) for option in said.items() if option[1] for word in option]
