"""What the workers of a sweep are told, as plain data, and what each of them makes of it once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.faults import Plan
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.cuts import Tears
from py_esp_ota.sweep.engine import ALL, Share, rehearse
from py_esp_ota.sweep.look import Looker
from py_esp_ota.sweep.part import Name
from py_esp_ota.sweep.scene import Scene
from py_esp_ota.sweep.stories import STORIES, Story

#: Stretches of first cuts: enough for many workers to have the same to do, few enough to cost nothing.
STRETCHES = 64
#: An operation outside of the apps is looked at again and again, one inside hardly ever.
_HEAVY = 200
_APP = 0


def known_story(name: str) -> Story:
    """One of ``STORIES``, by its name."""
    return STORIES[name]


class Told(NamedTuple):
    """Where a worker finds a story: a named function of a module, and the name that it is given."""

    by: Callable[[str], Story]
    name: str

    @property
    def story(self) -> Story:
        """The story."""
        return self.by(self.name)


@dataclass(frozen=True, slots=True)
class Props:
    """A scene as plain data."""

    old: bytes
    new: bytes
    partitions: bytes | str
    config: Sdkconfig
    efuse: str | None
    weather: Plan
    bootloader: bytes | None
    recovery: bytes

    @classmethod
    def of(cls, scene: Scene) -> Props:
        """Of a scene."""
        table, efuse = scene.partitions, scene.efuse and scene.efuse.to_json()
        plain = table if isinstance(table, str) else table.to_bytes()
        return cls(scene.old, scene.new, plain, scene.config, efuse, scene.weather, scene.bootloader, scene.recovery)

    def scene(self) -> Scene:
        """The same scene."""
        table = self.partitions if isinstance(self.partitions, str) else PartitionTable.from_bytes(self.partitions)
        efuse = None if self.efuse is None else EFuse.from_json(self.efuse)
        return Scene(self.old, self.new, table, self.config, efuse, self.weather, self.bootloader, self.recovery)


class First(NamedTuple):
    """A first cut whose recovery is cut: it stands for all that come to the same look."""

    plan: str
    operation: int


@dataclass(slots=True)
class Order:
    """What is swept, and how.

    ``mutant`` is the bug that is switched on, ``""`` for none. ``firsts`` are the first cuts behind which second ones
    are drawn, with a chance of ``drawn`` each, by ``seed``.
    """

    told: Told
    props: Props
    _: KW_ONLY
    tears: Tears = "torn"
    share: Share = ALL
    depth: int = 1
    mutant: str = ""
    firsts: tuple[First, ...] = ()
    drawn: float = 1.0
    seed: int = 0
    _stage: list[Stage] = field(default_factory=list, repr=False, compare=False)

    def __getstate__(self) -> tuple[Any, ...]:
        """What a worker keeps does not travel."""
        return (
            self.told,
            self.props,
            self.tears,
            self.share,
            self.depth,
            self.mutant,
            self.firsts,
            self.drawn,
            self.seed,
        )

    def __setstate__(self, told: tuple[Any, ...]) -> None:
        """The same order, and nothing made of it yet."""
        self.told, self.props, self.tears, self.share, self.depth, self.mutant, self.firsts, self.drawn, self.seed = (
            told
        )
        self._stage = []

    def bug(self) -> AbstractContextManager[None]:
        """With the mutant, if there is one."""
        return MUTANTS[self.mutant].on() if self.mutant else nullcontext()

    @property
    def stage(self) -> Stage:
        """The story as this process has recorded it, once."""
        if not self._stage:
            self._stage.append(Stage(self.told.story, self.props.scene()))
        return self._stage[0]


class Stage:
    """A story's recording, the looks that were done in this process, and what they are called."""

    def __init__(self, story: Story, scene: Scene) -> None:
        """Tell the story. Raises ``StoryError``."""
        self.terms, self.run, target = rehearse(story, scene)
        self.looker = Looker(self.terms, target)
        #: By a look's identity in this process: its name, and in how many ways its story can be cut again.
        self.known: dict[int, tuple[Name | None, int]] = {}
        apps = [range(row.offset, row.offset + row.size) for row in self.terms.scene.table if row.type == _APP]
        heavy = (all(operation.address not in app for app in apps) for operation in self.run.operations)
        self._weights = [0, *accumulate(_HEAVY if one else 1 for one in heavy)]

    def stretch(self, number: int) -> tuple[int, int]:
        """From which operation to before which the ``number``-th of ``STRETCHES`` reaches: all have the same to do."""
        borders = (self._weights[-1] * border // STRETCHES for border in (number, number + 1))
        first, last = (bisect_left(self._weights, border) for border in borders)
        return first, last
