"""A fleet on real sockets and the real clock: each device a whole one in this process, its cloud wherever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any

from py_esp_ota.device import Device, Doors
from py_esp_ota.errors import PowerLoss
from py_esp_ota.exposed import Exposed
from py_esp_ota.faults import parse
from py_esp_ota.fleet.members import JobOrder, Member
from py_esp_ota.fleet.reports import Witness
from py_esp_ota.fleet.result import FleetResult, SoFar, Told
from py_esp_ota.fleet.script import likeness_of
from py_esp_ota.rehearsal.likeness import Likeness
from py_esp_ota.rehearsal.play import BOOTS

_LOOK_S = 1.0  # between two looks at everybody
_SETTLED_S = 6.0  # after the params: the fetch that follows a boot is over
_MISSED_S = 60.0  # so long nobody more has come: the job begins without the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the devices find outside.

    Attributes:
        doors: broker, downloads, clock.
        basic_ingest: whether the broker delivers ``$aws/rules/...``.
        press: starts the job, once everybody is there; nothing when somebody else does.
        ramp: seconds over which the devices are switched on.
        within: seconds from the job's begin to the end of this, whoever is still at it.
    """

    doors: Doors
    basic_ingest: bool
    press: Callable[[], Awaitable[object]] | None = None
    ramp: float = 0.0
    within: float = 3600.0


async def live_fleet(
    members: Sequence[Member], orders: Sequence[JobOrder], outside: Outside, *, seed: int, told: Told
) -> FleetResult:
    """Let devices live until each has come to the end of its job, or the time is over.

    What they meet begins with the job, and so does their time: whoever is away at night is away in hours of the
    clock on the wall. Cancelled, it gives back what it has come to so far, and that it is not whole.

    Args:
        members: the devices.
        orders: the jobs; each device is in one.
        outside: broker, downloads, clock, and who starts the jobs.
        seed: of the population.
        told: hears every second how far it is.

    Raises:
        ValueError: a kind of device cannot be made.
        Exception: whatever ``press`` raises, or a mistake of this package.
    """
    gathering = _Gathering(members, orders, outside, told)
    whole = True
    try:
        await gathering.live()
    except asyncio.CancelledError:
        whole = False
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
    finally:
        await gathering.end()
    return gathering.result(seed, whole=whole)


@dataclass(slots=True)
class _One:
    """A device, who sees it, and what it will meet."""

    member: Member
    place: Exposed
    witness: Witness
    plugged: bool = False  # nobody has switched it off; a cut may have

    @property
    def device(self) -> Device:
        """The device itself."""
        return self.place.device


class _Gathering:
    """The devices of a fleet in this process."""

    def __init__(self, members: Sequence[Member], orders: Sequence[JobOrder], outside: Outside, told: Told) -> None:
        self._loop = asyncio.get_running_loop()
        self._outside = outside
        self._told = told
        self._zero: float | None = None  # when the job began
        self._likes: dict[str, Likeness] = {}
        of_kind: Mapping[str, JobOrder] = {
            name: order for order in orders for name in order.kinds or {member.kind.name for member in members}
        }
        self._all = [self._made(member, of_kind[member.kind.name]) for member in members]
        self._lives = [
            self._loop.create_task(one.device.live(one.place.doors), name=f"device {one.member.node_id}")
            for one in self._all
        ]
        self._timers: list[asyncio.TimerHandle] = []

    def _made(self, member: Member, order: JobOrder) -> _One:
        kind, out = member.kind, self._outside
        if kind.name not in self._likes:
            self._likes[kind.name] = likeness_of(kind)
        like, witness, doors = self._likes[kind.name], Witness(member, order, self._loop.time), out.doors
        ingest = out.basic_ingest and like.config.esp_rmaker_mqtt_use_basic_ingest_topics
        config = replace(like.config, esp_rmaker_mqtt_use_basic_ingest_topics=ingest)

        def make(**weather: Any) -> Device:
            device = Device(
                like.table,
                target=kind.chip,
                flash_size=like.flash.size,
                config=config,
                node_id=member.node_id,
                **weather,
            )
            device.chip.flash = like.flash.fork()
            return device

        seen = Doors(mqtt=witness.mqtt(doors.mqtt), fetch=witness.fetch(doors.fetch), clock=doors.clock)
        place = Exposed(like.table, seen, make)
        one = _One(member, place, witness)
        place.device.on_power_loss = partial(self._dark, one)
        return one

    # -------------------------------------------------------------------------------------------------------- the job

    async def live(self) -> None:
        """From the first who is switched on to the last who has come to an end."""
        for number, one in enumerate(self._all):
            self._later(self._outside.ramp * number / len(self._all), self._switch_on, one)
        await self._assembled()
        self._meet()
        if self._outside.press is not None:
            self._zero = self._loop.time()
            await self._outside.press()
        while not await self._over():
            await self._look()

    async def _assembled(self) -> None:
        """Until everybody was there, so that the cloud knows them all, or nobody more comes."""
        there, since = 0, self._loop.time() + self._outside.ramp
        while there < len(self._all) and self._loop.time() <= since + _MISSED_S:
            await self._look()
            now = sum(one.witness.there for one in self._all)
            if now > there:
                there, since = now, max(since, self._loop.time())
        await asyncio.sleep(_SETTLED_S)

    def _meet(self) -> None:
        """What the devices meet counts from here."""
        for one in self._all:
            member = one.member
            one.place.suffer(parse(member.plan))
            if not member.comes or member.boots_at > 0:
                _switch_off(one)
            if member.comes and member.boots_at > 0:
                self._later(member.boots_at, self._switch_on, one)
            for down, up in member.away:
                self._later(down, _switch_off, one)
                self._later(up, self._switch_on, one)

    async def _over(self) -> bool:
        if self._zero is None:
            self._zero = min((one.witness.turn for one in self._all if one.witness.turn is not None), default=None)
        if self._zero is not None and self._loop.time() > self._zero + self._outside.within:
            return True
        return all(one.witness.state.closed for one in self._all)

    async def _look(self) -> None:
        """A moment later: tell how far it is, stop what boots for ever, and raise what went wrong."""
        done, _ = await asyncio.wait(self._lives, timeout=_LOOK_S, return_when=asyncio.FIRST_EXCEPTION)
        for life in done:
            life.result()  # a mistake of ours: no life ends by itself
        for one in self._all:
            one.device.console.clear()
            if len(one.device.boots) >= BOOTS and one.device.flash.powered:
                _switch_off(one)
        closed = [one.witness.state for one in self._all if one.witness.state.closed]
        updated = sum(state.status == "success" for state in closed)
        at_it = sum(one.witness.turn is not None and not one.witness.state.closed for one in self._all)
        self._told(SoFar(len(self._all), updated, len(closed) - updated, at_it, self._seconds()))

    def _seconds(self) -> int:
        return 0 if self._zero is None else round(self._loop.time() - self._zero)

    # ---------------------------------------------------------------------------------------------------------- power

    def _later(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        self._timers.append(self._loop.call_later(seconds, act, *args))

    def _switch_on(self, one: _One) -> None:
        one.plugged = True
        try:
            one.device.power_on()
        except PowerLoss:  # its weather cuts it in the boot
            self._dark(one)

    def _dark(self, one: _One) -> None:
        """Somebody, or the mains, switches on again what a planned cut has ended; not what was switched off."""
        if one.plugged:
            self._later(one.member.power, self._switch_on_again, one)

    def _switch_on_again(self, one: _One) -> None:
        if one.plugged and not one.device.flash.powered:
            self._switch_on(one)

    # ------------------------------------------------------------------------------------------------------------ end

    async def end(self) -> None:
        """Every device says goodbye."""
        for timer in self._timers:
            timer.cancel()
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)

    def result(self, seed: int, *, whole: bool) -> FleetResult:
        """What became of each."""
        zero = self._loop.time() if self._zero is None else self._zero
        found = [one.witness.result(zero, min(len(one.device.boots), BOOTS)) for one in self._all]
        return FleetResult(
            seed=seed, members=tuple(sorted(found, key=attrgetter("node_id"))), whole=whole, seconds=self._seconds()
        )


def _switch_off(one: _One) -> None:
    one.plugged = False
    one.device.power_off()
