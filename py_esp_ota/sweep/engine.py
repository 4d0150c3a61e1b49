"""Count, then cut: one run of a story, and every power cut in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from py_esp_ota._core import EFuse, Flash, PartitionTable, Sectors
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspError, FlashError, PowerLoss
from py_esp_ota.sweep.cuts import Tears, tears_of
from py_esp_ota.sweep.life import Life, Past, left_on
from py_esp_ota.sweep.look import Look, Looker
from py_esp_ota.sweep.promises import Terms
from py_esp_ota.sweep.record import Run, record
from py_esp_ota.sweep.result import Case, Ending, SweepReport
from py_esp_ota.sweep.scene import Scene
from py_esp_ota.sweep.stories import Settings, Story
from py_esp_ota.sweep.timeline import Pace, timeline

Progress = Callable[[int, int], None]
Rehearsed = tuple[Terms, Run, str]


class StoryError(Exception):
    """A story that cannot be swept, or a cut that it does not have; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which operations are cut: every ``count``-th from ``number`` (from 1) on, or the single operation ``cut``."""

    number: int = 1
    count: int = 1
    cut: int | None = None

    def __post_init__(self) -> None:
        """Raises ``StoryError`` for a share that does not exist."""
        if not 1 <= self.number <= self.count:
            raise StoryError(f"shard {self.number}/{self.count} does not exist: K/N needs 1 <= K <= N")

    def has(self, operation: int) -> bool:
        """Whether this operation is in it."""
        return operation == self.cut if self.cut is not None else operation % self.count == self.number - 1

    def require(self, story: Story, operations: int) -> None:
        """Raises ``StoryError`` when the story has no such operation."""
        if self.cut is not None and self.cut >= operations:
            raise StoryError(f"{story.name} has {operations} flash operations: there is no cut@{self.cut}")


ALL = Share()
_CLEAN = Past()


def sweep(
    story: Story,
    scene: Scene,
    *,
    depth: int = 1,
    tears: Tears = "torn",
    share: Share = ALL,
    seed: int = 0,
    limit: int = 100_000,
    pace: Pace | None = None,
    progress: Progress | None = None,
) -> SweepReport:
    """Tell ``story`` once, cut it everywhere, and see what becomes of the device.

    Args:
        story: one of ``STORIES``, or one of your own.
        scene: with which images, table and build.
        depth: 2 cuts the recovery, too: after each kind of first cut the story is told again, and cut again.
        tears: ``"clean"`` cuts before and after each operation, ``"torn"`` also inside it, in every model.
        share: which operations are cut first.
        seed: which of the second cuts are tried when there are more than ``limit``.
        limit: cases of depth 2 at most.
        pace: how fast flash and link are, for a report that says milliseconds, too.
        progress: told of operations done and in all.

    Raises:
        StoryError: the story does not come to its goal without a cut, or ``share`` names an operation it does not have.
        ValueError: an image does not fit.
    """
    terms, run, target = rehearse(story, scene)
    share.require(story, len(run.operations))
    looker = Looker(terms, target)
    firsts: dict[int, tuple[Case, Look]] = {}
    cases: list[Case] = []
    for case, look in every_cut(looker, run, tears, share.has, keep_run=depth > 1, progress=progress):
        cases.append(case)
        firsts.setdefault(id(look), (case, look))
    if depth > 1:
        cases += _second_cuts(looker, [*firsts.values()], tears, seed=seed, limit=limit, progress=progress)
    times = timeline(run.operations, run.judged, terms.scene.table, pace) if pace else None
    return SweepReport(story.name, run.operations, tuple(cases), tuple(looker.endings), looker.boots, times)


def rehearse(story: Story, scene: Scene) -> Rehearsed:
    """The story without a cut: what it promises, its recording, and on which chip. Raises ``StoryError``."""
    scene = story.scene(scene)
    life = scene.life()
    _require_room(life, scene)
    try:
        story.prepare(life, scene)
        life.flash.power_off()
        before = _settings(story, Life(Chip(life.chip.target.name, flash=life.flash.fork()), scene.config))
        booted = len(life.boots)
        run = record(life, lambda life: story.act(life, scene))
    except EspError as error:
        raise StoryError(f"{story.name} cannot be told to its end: {error}") from error
    except PowerLoss:
        raise StoryError(f"{story.name} cannot be told to its end: the device has a fault of its own") from None
    goal = scene.new if story.goal == "new" else scene.old
    if not life.runs(goal):
        runs = life.report.partition.label if life.report.partition else "nothing"
        why = f"without a cut {runs} runs in the end, not the {story.goal} image"
        raise StoryError(f"{story.name} misses its goal: {why}{_because(life)}")
    if not run.operations:
        raise StoryError(f"{story.name} does nothing to the flash here: there is nothing to cut")
    ends = (life.boots[booted].partition, life.report.partition)
    places = frozenset(partition.label for partition in ends if partition)
    return Terms(story, scene, places, (before, _settings(story, life))), run, life.chip.target.name


def _because(life: Life) -> str:
    """What kept the device from its goal, as far as its bootloader or its app has said it."""
    said = life.last_restart if life.report.partition else "; ".join(life.report.why[-2:])
    return f": {said}" if said else ""


def _require_room(life: Life, scene: Scene) -> None:
    """An update needs a slot beside the app that runs, and the new image has to fit into it."""
    look = life.flash.fork()
    look.power_on()
    table = PartitionTable.load(look, scene.config.partition_table_offset, md5=scene.config.partition_table_md5)
    slots = [row for row in table if row.ota_slot is not None]
    if not slots or (len(slots) == 1 and table.find(type=0, subtype=0) is None):
        raise StoryError("the partition table has no second app partition: there is nowhere to write an update")
    small = min(slots, key=lambda row: row.size)
    if len(scene.new) > small.size:
        raise StoryError(f"the new image has {len(scene.new)} bytes, partition {small.label} only {small.size}")


def _settings(story: Story, life: Life) -> Settings:
    if story.settings is None:
        return {}
    life.flash.power_on()
    return story.settings(life)


class Seen(Protocol):
    """A state that was looked at: which sectors of it mattered, and the number of its ending."""

    @property
    def needed(self) -> Sectors: ...  # noqa: D102
    @property
    def ending(self) -> int: ...  # noqa: D102


S = TypeVar("S", bound=Seen)
S_co = TypeVar("S_co", bound=Seen, covariant=True)


class Looks(Protocol[S_co]):
    """Who says what comes of a device without power, and on which sectors that depended."""

    def look(self, flash: Flash, efuse: EFuse, past: Past, *, keep_run: bool = False) -> S_co:
        """One look, or an earlier one that stands for it."""


def every_cut(
    looker: Looks[S],
    run: Run,
    tears: Tears,
    chosen: Callable[[int], bool],
    *,
    prefix: str = "",
    past: Past = _CLEAN,
    keep_run: bool = False,
    progress: Progress | None = None,
    span: tuple[int, int] | None = None,
) -> Iterator[tuple[Case, S]]:
    """The chosen cuts of a run in order, each with the look that stands for it.

    ``span``: from which operation on, and before which, where not all of the run is looked at.
    """
    operations = run.operations
    first, total = span or (0, len(operations))

    def look_at(operation: int, tear: str) -> S:
        state = run.recording.cut(f"cut@{operation}{tear}"), run.efuse(operation, tear)
        now = replace(past, confirmed=past.confirmed or run.confirmed(operation))
        return looker.look(*state, now, keep_run=keep_run)

    def case(operation: int, tear: str, look: S) -> tuple[Case, S]:
        return Case(f"{prefix}cut@{operation}{tear}", operation, look.ending), look

    # Where the eFuses change, or the app begins to confirm itself, the same flash is another state.
    borders = sorted({count for count, _ in run.burns[1:]} | {run.confirmed_at})
    at = first
    while True:
        # What nobody asked for is not looked at: a drawn few of many cuts cost what a few do.
        at = next((number for number in range(at, total) if chosen(number)), total)
        if progress:
            progress(at, total)
        if at == total:
            return
        look = look_at(at, "")
        # Up to here nothing that the look depended on is touched: whatever becomes of these operations, it stands.
        found = run.recording.next_in(look.needed, at)
        touched = total if found is None else min(found, total)
        end = min([touched, *(border for border in borders if border > at)])
        for operation in operations[at:end]:
            if chosen(operation.index):
                for tear in tears_of(operation, tears):
                    yield case(operation.index, tear, look)
        if end == touched and end < total:
            if chosen(end):
                for tear in tears_of(operations[end], tears):
                    yield case(end, tear, look_at(end, tear) if tear else look)
            end += 1
        at = end


def _second_cuts(
    looker: Looker, firsts: list[tuple[Case, Look]], tears: Tears, *, seed: int, limit: int, progress: Progress | None
) -> list[Case]:
    """After each kind of first cut the story is told again: the cuts of that, or a fair share of them."""
    runs = [(first, look, run) for first, look in firsts if (run := looker.runs.pop(id(look))).operations]
    possible = sum(len(tears_of(operation, tears)) for _, _, run in runs for operation in run.operations)
    share = min(1.0, limit / max(possible, 1))
    cases: list[Case] = []
    total = len(runs)
    for number in range(total):
        first, look, run = runs.pop(0)  # a run is large, and told only once more
        chosen = partial(drawn, share=share, salt=seed * 1_000_003 + number)
        found = every_cut(
            looker, run, tears, chosen, prefix=f"{first.plan}+", past=Past(look.past.confirmed, look.nvs_flaw)
        )
        cases += [case._replace(operation=first.operation) for case, _ in found]
        if progress:
            progress(number + 1, total)
    return cases[:limit]


def drawn(operation: int, *, share: float, salt: int) -> bool:
    """Whether an operation is in a share of all: the same ones at each run, and in no pattern."""
    mixed = (operation + 1) * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03
    mixed = (mixed ^ mixed >> 31) * 0xBF58476D1CE4E5B9
    return (mixed >> 11 & 0xFFFFFFFF) < share * 0x100000000


def replay(story: Story, scene: Scene, plan: str, *, rehearsed: Rehearsed | None = None) -> Ending:
    """Tell the story with the plan armed in the flash, once for each of its cuts, and see what becomes of the device.

    ``rehearsed`` is what ``rehearse`` gives for the two: who replays many plans asks it once.

    Raises:
        StoryError: a cut of the plan is beyond the last operation, or tears an operation of the other kind.
        ValueError: the plan does not parse.
    """
    terms, target, life, past = play_cuts(story, scene, plan, rehearsed)
    looker = Looker(terms, target)
    look = looker.look(life.flash, life.chip.efuse, past)
    return looker.endings[look.ending]


def play_cuts(
    story: Story, scene: Scene, plan: str, rehearsed: Rehearsed | None = None
) -> tuple[Terms, str, Life, Past]:
    """The story told into each cut of the plan: what it promises, on which chip, and the device as they leave it.

    Raises as ``replay``.
    """
    terms, run, target = rehearsed or rehearse(story, scene)
    scene = terms.scene
    life = scene.life()
    story.prepare(life, scene)
    life.flash.power_off()
    life.flash.fault = plan
    parts = plan.split("+")
    try:
        run.recording.cut(parts[0])
    except FlashError as error:
        found, expected = error.fact["found"], error.fact["expected"]
        raise StoryError(f"{parts[0]} does not fit {story.name}: found {found}, expected {expected}") from None
    past = Past()
    for part in parts:
        try:
            story.act(life, scene)
        except PowerLoss:
            past = Past(bool(life.confirmed_at), left_on(life.flash, scene.config, past).nvs_flaw)
            continue
        raise StoryError(f"{part} is beyond the last flash operation of {story.name}")
    return terms, target, life, past
