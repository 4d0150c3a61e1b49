"""Every state that power cuts leave a device in, booted once, and how it goes on from there.

Wrecks that cannot come to different ends are one wreck, as looks of a sweep are: those with the same bytes in every
sector that mattered in any of the lives told of it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import accumulate, groupby

from py_esp_ota._core import EFuse, Flash, FlashCrypt, PartitionTable, Sectors
from py_esp_ota.chip import Chip
from py_esp_ota.sweep import Scene, Story
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.sweep.engine import StoryError, every_cut, rehearse
from py_esp_ota.sweep.life import Life, Past
from py_esp_ota.sweep.look import Looker
from py_esp_ota.sweep.result import Ending
from py_esp_ota.view.teach.told import LIVES, LifeName, Telling, tell, ways_on


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a page goes: ``depth`` cuts one after another, and so many wrecks besides those of the first cut.

    ``plans`` are replay lines whose wrecks are all there in any case.
    """

    depth: int = 2
    wrecks: int = 400
    plans: tuple[str, ...] = ()


_CUT = re.compile(r"cut@(0|[1-9][0-9]*)((?::[^+]*)?)", re.ASCII)

#: For each operation the wrecks of its cuts, in the order of ``tears_of``; runs of the same ones together.
Cuts = tuple[tuple[tuple[int, ...], int], ...]


@dataclass(slots=True, eq=False)
class Told:
    """A telling with the wrecks that its cuts leave, and the one behind its last operation; ``None``: nobody looked."""

    telling: Telling
    cuts: Cuts | None = None
    end: int | None = None


@dataclass(slots=True, eq=False)
class Wreck:
    """A device without power. ``depth`` is how many cuts it took to get here."""

    number: int
    flash: Flash
    efuse: EFuse
    past: Past
    depth: int
    needed: Sectors
    ending: int
    nvs_flaw: str
    lives: Mapping[LifeName, Told]

    def stands_for(self, flash: Flash, efuse: EFuse, past: Past) -> bool:
        """Whether a device in this state cannot but live the same lives."""
        return past == self.past and efuse == self.efuse and flash.same(self.flash, self.needed)


@dataclass(slots=True)
class Atlas:
    """All wrecks of a story."""

    looker: Looker
    wrecks: list[Wreck] = field(default_factory=list)
    depth: int = 1

    def look(self, flash: Flash, efuse: EFuse, past: Past, *, keep_run: bool = False) -> Wreck:  # noqa: ARG002
        """The wreck that this device is; booted now when it is a new one."""
        for known in reversed(self.wrecks):
            if known.stands_for(flash, efuse, past):
                return known
        look = self.looker.look(flash, efuse, past)
        acts: dict[LifeName, Callable[[Life], None]] = {"boot": LIVES["boot"]}
        lives: dict[LifeName, Told] = {}
        needed: list[Sectors] = [look.needed]
        terms = self.looker.terms
        acts["story"] = partial(_tell_story, story=terms.story, scene=terms.scene)
        while acts:
            name = next(iter(acts))
            fork = flash.fork()
            fork.watch()
            chip = Chip(self.looker.target, flash=fork, efuse=efuse.copy())
            told = tell(chip, terms.scene.config, terms.scene.new, acts.pop(name))
            needed.append(fork.needed())
            lives[name] = Told(told)
            if name == "boot":
                acts |= {way: LIVES[way] for way in ways_on(told.boots[-1])}
        union = reduce(lambda one, other: one | other, needed)
        number = len(self.wrecks)
        wreck = Wreck(number, flash, efuse, past, self.depth, union, look.ending, look.nvs_flaw, lives)
        self.wrecks.append(wreck)
        return wreck

    def cut(self, told: Told, past: Past) -> None:
        """Cut a telling everywhere, and pull the plug behind it."""
        run = told.telling.run
        if run.operations:
            found = every_cut(self, run, "torn", lambda _: True, past=past)
            of_operation = (
                tuple(wreck.number for _, wreck in cases)
                for _, cases in groupby(found, key=lambda each: each[0].operation)
            )
            told.cuts = tuple((row, sum(1 for _ in same)) for row, same in groupby(of_operation))
        else:
            told.cuts = ()
        flash = run.recording.flash_after(len(run.operations))
        flash.power_off()
        confirmed = past.confirmed or run.confirmed_at < len(run.operations)
        told.end = self.look(flash, run.burns[-1][1], Past(confirmed, past.nvs_flaw)).number

    def walk(self, first: Told, plan: str) -> None:
        """Follow a replay line, and look at every wreck on its way. Raises ``StoryError`` where it leads nowhere."""
        told, past = first, Past()
        for number, part in enumerate(plan.split("+"), 1):
            if told.cuts is None:
                self.depth = number
                self.cut(told, past)
            wreck = self._behind(told, part)
            told, past = wreck.lives["story"], Past(wreck.past.confirmed, wreck.nvs_flaw)

    def _behind(self, told: Told, part: str) -> Wreck:
        found = _CUT.fullmatch(part)
        if found is None:
            raise StoryError(f"{part} is no power cut that a page can show")
        at, operations = int(found[1]), told.telling.run.operations
        if at >= len(operations):
            raise StoryError(f"there are {len(operations)} flash operations: there is no {part}")
        ways = tears_of(operations[at], "torn")
        tear = f":torn-{operations[at].kind}" if found[2] == ":torn" else found[2]
        if tear not in ways:
            raise StoryError(f"{part} does not fit: operation {at} is {operations[at].kind}")
        row = next(row for row, last in _ends(told.cuts or ()) if at < last)
        return self.wrecks[row[ways.index(tear)]]


def _ends(cuts: Cuts) -> Iterator[tuple[tuple[int, ...], int]]:
    """Each row, and behind which operation it ends."""
    return ((row, last) for (row, _), last in zip(cuts, accumulate(count for _, count in cuts), strict=True))


def _tell_story(life: Life, *, story: Story, scene: Scene) -> None:
    story.act(life, scene)


@dataclass(frozen=True, slots=True)
class Lesson:
    """All that a page shows of one story. ``named`` is the scene as given, ``scene`` what the story made of it.

    ``whole``: every cut is there as deep as was asked for, and ``depth`` is how deep.
    """

    story: Story
    named: Scene
    scene: Scene
    target: str
    flash: Flash
    table: PartitionTable
    crypt: EFuse | None
    first: Told
    wrecks: tuple[Wreck, ...]
    endings: tuple[Ending, ...]
    depth: int
    whole: bool


def learn(story: Story, scene: Scene, limits: Limits) -> Lesson:
    """Tell the story, cut it everywhere, and boot each wreck; cut what the wrecks do then, as far as ``limits`` go.

    Raises:
        StoryError: the story does not come to its goal without a cut, or one of ``plans`` is none.
        ValueError: an image does not fit.
    """
    terms, _, target = rehearse(story, scene)
    named, scene = scene, terms.scene
    life = scene.life()
    story.prepare(life, scene)
    life.flash.power_off()
    flash = life.flash.fork()
    chip = Chip(target, flash=life.flash.fork(), efuse=life.chip.efuse.copy())
    act = partial(_tell_story, story=story, scene=scene)
    first = Told(tell(chip, scene.config, scene.new, act, confirmed_at=life.confirmed_at))
    atlas = Atlas(Looker(terms, target))
    atlas.cut(first, Past())
    for plan in limits.plans:
        atlas.walk(first, plan)
    most = len(atlas.wrecks) + limits.wrecks
    queue = deque((wreck, name) for wreck in atlas.wrecks for name in wreck.lives)
    while queue and len(atlas.wrecks) < most:
        wreck, name = queue.popleft()
        if wreck.depth >= limits.depth or wreck.lives[name].cuts is not None:
            continue
        known, atlas.depth = len(atlas.wrecks), wreck.depth + 1
        atlas.cut(wreck.lives[name], Past(wreck.past.confirmed, wreck.nvs_flaw))
        queue += [(new, name) for new in atlas.wrecks[known:] for name in new.lives]
    look = flash.fork()
    look.encryption = FlashCrypt.of_efuse(life.chip.efuse)
    look.power_on()
    table = PartitionTable.load(look, scene.config.partition_table_offset, md5=scene.config.partition_table_md5)
    crypt = life.chip.efuse if look.encryption else None
    wrecks, endings = tuple(atlas.wrecks), tuple(atlas.looker.endings)
    whole = all(
        told.cuts is not None for wreck in wrecks if wreck.depth < limits.depth for told in wreck.lives.values()
    )
    return Lesson(story, named, scene, target, flash, table, crypt, first, wrecks, endings, limits.depth, whole)
