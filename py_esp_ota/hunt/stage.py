"""A world that is being played: its boards, its broker, its cloud, and what happens to them, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock
from py_esp_ota.errors import EspError, PowerLoss
from py_esp_ota.hunt.board import USER, Board
from py_esp_ota.hunt.desk import Desk, Order, Script
from py_esp_ota.hunt.kinds import damaged, forged, table
from py_esp_ota.hunt.marks import marks_of_boot, marks_of_left, marks_of_line, marks_of_words
from py_esp_ota.hunt.promises import PROMISES
from py_esp_ota.hunt.promises.ends import OFTEN
from py_esp_ota.hunt.promises.images import DECEIVED
from py_esp_ota.hunt.promises.promise import Broken, Look, holds
from py_esp_ota.hunt.reasons import Needs
from py_esp_ota.hunt.rescue import Wreck
from py_esp_ota.hunt.result import Breach, Heard
from py_esp_ota.hunt.unrecoverable import prove
from py_esp_ota.hunt.world import Act, Image, World, image_of, seconds_of
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.ports import Response
from py_esp_ota.sweep.life import Past, left_on

BOOTS: Final = 30
"""A board that has booted so often since its job began does so for ever, and is stopped."""
_CHOSEN, _DONE = "Rebooting into", "Reporting success"
_OFFER = "Upgrade Handler got:"
_EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@dataclass(frozen=True, slots=True)
class Doubt:
    """A breach, unless an upstream function made the board what it is; ``happened``: what a reason may need."""

    breach: Breach
    wreck: Wreck
    happened: frozenset[Needs]

    def as_the_chip(self) -> str:
        """That function, proven; ``""`` when there is none."""
        said = prove(self.wreck)
        reason = said.reason
        if said.recovers or not said.proven or reason is None or reason.needs not in self.happened:
            return ""
        return f"{reason.function}: {reason.text}" if reason.function else reason.text


class Over(Exception):
    """A promise was broken, and the world is not played on."""


class Stage:
    """One world at play."""

    def __init__(self, world: World, heard: Heard | None = None) -> None:
        self.world = world
        self.marks: set[str] = set()
        self.chips_own: set[str] = set()
        self.breach: Breach | None = None
        self.doubts: list[Doubt] = []
        self.ended = 0.0
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self.broker = MemoryBroker()
        self.clock = VirtualClock(_EPOCH, self._loop)
        self.images = images_of(world)
        self.sound = [image for image, made in zip(self.images, _made(world), strict=True) if made.quality != "d"]
        self.goal = world.target
        self.desk = self._desk()
        self.boards = [
            Board(world, number, mqtt=self.broker, fetch=self._fetch, clock=self.clock, told=self._hear)
            for number in range(world.boards)
        ]
        self.was_away = any(act.who in {"cloud", "broker"} for act in world.acts)
        self._away: asyncio.Task[object] | None = None
        if world.boards > 1:
            self.marks.add("several-boards")

    def _desk(self) -> Desk:
        if self.world.cloud == "script":
            return Script(self.world, self.broker, self.images)
        from py_esp_ota.hunt.real_desk import RealDesk  # noqa: PLC0415 - half a second of imports

        return RealDesk(self.broker, self.clock, self.images)

    def _fetch(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        asked = next((value for name, value in headers.items() if name.lower() == "range"), "")
        if asked.startswith("bytes=") and not asked.startswith("bytes=0-"):
            self.marks.add("download-resumed")
        return self.desk.fetch(url, headers)

    # ------------------------------------------------------------------------------------------------------------ life

    async def begin(self) -> None:
        """The cloud listens, and every board has power."""
        await self.desk.open()
        for board in self.boards:
            board.device.on_power_loss = partial(self._lost, board)
            self.start(board.device.live(board.doors))
            self.switch_on(board)

    async def end(self) -> None:
        """Nothing goes on."""
        self.ended = round(self.now, 3)
        left = {*self._tasks}
        while left:  # a board whose app ends at this very moment takes the first for that app's end
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1.0)
        await self.desk.close()
        self.desk.end()

    def start(self, life: object) -> asyncio.Task[object]:
        """Something that goes on beside; a mistake in it is a breach of its own."""
        task: asyncio.Task[object] = self._loop.create_task(life)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.break_off("program", None, f"{type(error).__name__}: {error}")

    async def wait(self, seconds: float) -> None:
        """Let so much time pass. Raises ``Over``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        if self._stopped.is_set():
            raise Over

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, for at most so long; whether it is. Raises ``Over``."""
        end, step = self._loop.time() + seconds, 5.0
        while not condition():
            left = end - self._loop.time()
            if left <= 0:
                return False
            await self.wait(min(step, left))
            step = min(step * 1.5, 300.0)
        return True

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self._loop.time()

    # --------------------------------------------------------------------------------------------------------- promises

    def break_off(self, promise: str, board: Board | None, why: str) -> None:
        """Note the first breach, and stop."""
        if self.breach is None:
            self.breach = Breach(promise, board.number if board else None, round(self.now, 3), why)
        self._stop_here()

    def _judge(self, promise: str, board: Board | None, broken: Broken | None) -> None:
        if broken is None:
            return
        if broken.as_the_chip:
            self.chips_own.add(broken.as_the_chip)
        else:
            self.break_off(promise, board, broken.why)

    def doubt(self, promise: str, board: Board, why: str) -> None:
        """A board is dead, or will not come to the target: whether it is beyond rescue is asked when all is over."""
        goal = self.images[self.goal]
        wreck = Wreck.of(board.device, goal, [goal])
        wreck = replace(wreck, config=board.config, ota_diag=board.fit, crashes=board.panics)
        breach = Breach(promise, board.number, round(self.now, 3), why)
        self.doubts.append(Doubt(breach, wreck, _happened(board, deceived=DECEIVED in self.chips_own)))
        self._stop_here()

    def _stop_here(self) -> None:
        self._stopped.set()
        for board in self.boards:
            if board.tape is not None:
                board.tape.end()

    def judge_end(self) -> None:
        """Ask the promises about the end."""
        for promise in PROMISES:
            if promise.at_end is not None:
                self._judge(promise.name, None, promise.at_end(self))

    def look(self, board: Board, *, cut: bool = False) -> None:
        """Look at a board whose flash has changed since the last look, or whose power was cut."""
        memory, flash = board.memory, board.device.flash
        if flash.operations == memory.looked_at and not cut:
            return
        memory.looked_at = flash.operations
        if board.was_looked_at():
            return
        copy = board.copy()
        if cut:
            left = left_on(copy.flash, board.config, Past(nvs_flaw=memory.nvs_flaw))
            memory.nvs_flaw = left.nvs_flaw
            self.marks.update(marks_of_left(left.otadata))
        copy.flash.power_on()
        booted = board.boots.boot(copy)
        report = booted.report
        boots = None if report.partition is None else holds(copy.flash, report.partition, self.sound)
        look = Look(report, copy.flash, boots)
        for promise in PROMISES:
            if promise.at_look is not None:
                self._judge(promise.name, board, promise.at_look(self, board, look))
        board.remember(booted.needed | copy.flash.needed())

    def _hear(self, board: Board, line: str) -> None:
        boots = board.device.boots
        if len(boots) > board.memory.boots_seen:
            board.memory.boots_seen = len(boots)
            self._booted(board, boots[-1])
        if _CHOSEN in line or _DONE in line:
            board.memory.chosen = _CHOSEN in line
            self.look(board)
            for promise in PROMISES:
                if promise.at_line is not None:
                    self._judge(promise.name, board, promise.at_line(self, board, line))
        if _OFFER in line:
            self._offered(board)
        self.marks.update(marks_of_line(line))
        if self._heard is not None:
            self._heard(self.now, board.number, line)

    def _offered(self, board: Board) -> None:
        memory = board.memory
        memory.offers += 1
        if memory.offers > 1:
            memory.offered_twice = True
            self.marks.add("offered-twice")

    def _booted(self, board: Board, report: BootReport) -> None:
        board.memory.offers, board.memory.chosen = 0, False
        board.memory.boots_since += 1
        shown = {*marks_of_boot(report)}
        self.marks |= shown
        if "slot-skipped" in shown and "glitch" in board.memory.met:
            board.memory.passed_over = True
        for promise in PROMISES:
            if promise.at_boot is not None:
                self._judge(promise.name, board, promise.at_boot(self, board, report))
        if board.device.chip.efuse.secure_version > board.memory.fuse:
            board.memory.fuse = board.device.chip.efuse.secure_version
            self.marks.add("fuse-raised")
        if report.app_desc is not None:
            board.memory.ran.add(report.app_desc.version)
        if report.otadata_writes:
            self.look(board)
        if board.memory.boots_since == OFTEN:
            self.marks.add("again-and-again")
            self._loop.call_soon(self.cancel)
        elif board.memory.boots_since >= BOOTS:
            self._loop.call_soon(self._stop, board)

    def _stop(self, board: Board) -> None:
        board.memory.boots_for_ever = True
        board.device.power_off()

    # ----------------------------------------------------------------------------------------------------------- power

    def switch_on(self, board: Board) -> None:
        """Give a board its power, if it has none."""
        if board.device.flash.powered and board.device.boots:
            return
        if board.memory.boots_for_ever:
            return
        try:
            board.device.power_on()
        except PowerLoss:
            self._lost(board)

    def _lost(self, board: Board) -> None:
        """Its power is gone: when a planned cut took it, look at what it left, and switch it on again after a while."""
        memory, flash = board.memory, board.device.flash
        if flash.fault == board.armed:
            return
        memory.cuts += 1
        self.marks.add("cut" if memory.cuts == 1 else "cut-twice")
        self.marks.update(self._where(board))
        board.armed = flash.fault
        if board.tape is not None:
            board.tape.cut()
        else:
            flash.record(False)
        self.look(board, cut=True)
        self._loop.call_later(self.world.back, self.switch_on, board)

    def _where(self, board: Board) -> Sequence[str]:
        """In what a cut fell."""
        last = next(iter(board.device.flash.journal()[-1:]), None)
        if last is None:
            return ()
        row = next((row for row in table(self.world.table) if row.offset <= last.address < row.offset + row.size), None)
        in_otadata = "cut-in-boot" if board.memory.chosen else "cut-in-otadata"
        names = {(1, 0): in_otadata, (1, 2): "cut-in-nvs"}
        if row is None:
            return ()
        return ("cut-in-download",) if row.type == 0 else tuple(filter(None, [names.get((row.type, row.subtype))]))

    def press(self, board: Board) -> None:
        """Its reset button, or its plug pulled and put back."""
        if board.device.flash.powered:
            board.device.power_off()
            self.switch_on(board)

    # ------------------------------------------------------------------------------------------------------------- acts

    def act(self, act: Act) -> None:
        """Let something happen."""
        for board in self.boards:
            if board.tape is not None:
                board.tape.note(str(act))
        if act.who == "job":
            self._job(act.what)
        elif act.who == "cloud":
            self._mark_work("cloud-restarted-at-work")
            if self._away is None or self._away.done():
                self._away = self.start(self.desk.restart(seconds_of(act.what)))
        elif act.who == "broker":
            self._mark_work("broker-down-at-work")
            self.broker.stop()
            self._loop.call_later(seconds_of(act.what), self.broker.start)
        else:
            self._to_board(self.boards[int(act.who)], act.what)

    def _to_board(self, board: Board, what: str) -> None:
        if what == "press":
            self.press(board)
        elif what.startswith("off*"):
            if self.at_work(board):
                self.marks.add("plug-pulled-at-work")
            board.device.power_off()
            self.look(board)
            self._loop.call_later(seconds_of(what), self.switch_on, board)
        elif what == "approve":
            self.desk.approve(board.node_id)
        elif what.startswith("set*"):
            self._set(board, seconds_of(what))
        else:
            board.arm(what)

    def _set(self, board: Board, value: int) -> None:
        """The user sets something on the board that runs: where the power goes meanwhile, either value may be there."""
        device, allowed = board.device, board.memory.settings["level"]
        if not device.running:
            return
        allowed.add(value)
        try:
            device.nvs.set(USER, "level", value)
        except PowerLoss:
            device.power_off()
            self._lost(board)
            return
        except EspError:
            return
        self.marks.add("setting-written")
        board.memory.settings["level"] = {value}

    def _job(self, what: str) -> None:
        if what == "cancel":
            if self.desk.orders:
                self.marks.add("job-cancelled")
                self.cancel()
            return
        if self.order(image_of(what), self.boards, seconds_of(what), self.world.policy) is None:
            self.marks.add("image-refused")

    def order(self, image: int, boards: Sequence[Board], valid_in: int = 0, policy: str = "") -> Order | None:
        """Start a job for some boards."""
        for board in boards:
            board.memory.boots_since = 0
        metadata = {"validity": {"start": int(self.clock.now()) + valid_in}} if valid_in else {}
        return self.desk.order(image, [board.node_id for board in boards], metadata, policy)

    def cancel(self, *, but: Order | None = None) -> None:
        """End all jobs, or all but one: nobody is handed them any more."""
        for order in self.desk.orders:
            if order is not but:
                self.desk.cancel(order)

    def at_work(self, board: Board) -> bool:
        """Whether a board is about a job now."""
        orders = [order for order in self.desk.orders[-1:] if board.node_id in order.nodes]
        return any(self.desk.at_work(order, board.node_id) for order in orders)

    def _mark_work(self, mark: str) -> None:
        if any(map(self.at_work, self.boards)):
            self.marks.add(mark)

    # ---------------------------------------------------------------------------------------------------------- the end

    async def mend(self) -> None:
        """Faults stop: whatever was planned does not come, all are there, and every board has power."""
        for board in self.boards:
            board.arm("")
        self.broker.start()
        if self._away is not None and not self._away.done():
            await self.until(self._away.done, 1000.0)
        for board in self.boards:
            self.switch_on(board)

    def version_of(self, image: int) -> str:
        """What an image calls itself."""
        return f"{_made(self.world)[image].version}.0.0"

    def there(self, board: Board) -> bool:
        """Whether a board runs the goal for good."""
        runs = board.version == self.version_of(self.goal) and board.runs([self.images[self.goal]]) is not None
        return runs and not board.on_trial and board.stays

    def over(self, order: Order, board: Board) -> bool:
        """Whether a job has ended on a board, or was never for it."""
        return board.node_id not in order.nodes or self.desk.closed(order, board.node_id)

    def note_words(self) -> None:
        """The marks of all that was said, and of what the cloud has seen."""
        self.marks.update(self.desk.marks())
        for order in self.desk.orders:
            for board in self.boards:
                if board.node_id in order.nodes:
                    self.marks.update(marks_of_words(self.desk.words(order, board.node_id)))


def _happened(board: Board, *, deceived: bool) -> frozenset[Needs]:
    """What a reason may need, and this board has met.

    Nothing here flips a bit by itself. But a second offer overwrites what waits for its reboot, and a glitch may
    have it run; and the slot that otadata names is overwritten where a glitch had another one boot.
    """
    met: dict[Needs, bool] = {
        "build": True,
        "offer": True,
        "cut": board.memory.cuts > 0,
        "again": board.chose_twice,
        "damage": (deceived and board.memory.offered_twice) or board.memory.passed_over,
    }
    return frozenset(need for need, was in met.items() if was)


def _made(world: World) -> tuple[Image, ...]:
    """The images of a world, and behind them one that is good for everybody: the rescue."""
    last = max(image.version for image in world.images)
    secure = max([world.fuse, *(image.secure_version for image in world.images)])
    return (*world.images, Image(last + 1, "g", secure))


def images_of(world: World) -> list[bytes]:
    """The images of a world as they are sent; the last one is good for everybody."""
    found = []
    for image in _made(world):
        data = forged(world.chip, image.version, image.secure_version, world.sized)
        found.append(damaged(data) if image.quality == "d" else data)
    return found
