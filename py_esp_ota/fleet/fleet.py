"""The engine: a fleet and a job, played to the end."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter

from py_esp_ota.cloud.events import Kind as Event
from py_esp_ota.cloud.jobs import NodeStatus
from py_esp_ota.cloud.standing import Tally
from py_esp_ota.fleet.members import JobOrder, Member
from py_esp_ota.fleet.population import Population
from py_esp_ota.fleet.result import FleetResult, MemberResult, SoFar, Told
from py_esp_ota.fleet.script import script_of
from py_esp_ota.rehearsal.climate import drawn, met
from py_esp_ota.rehearsal.play import Played, on_stage

_CHECKED = 20  # devices of a population, about


async def run_fleet(population: Population, order: JobOrder, *, told: Told) -> FleetResult:
    """Play a job for the devices of a population that it is for. To be run under virtual time.

    Some of the devices are played again the long way at the end, and must do all that they did before.

    Cancelled, it gives back what it has come to so far, and that it is not whole.

    Args:
        population: the devices.
        order: the job.
        told: hears now and then how far it is.

    Raises:
        ValueError: the job's phases do not add up, or a kind of device cannot be made.
    """
    members = population.of_kinds(order.kinds).members()
    if not members:
        return FleetResult(seed=population.seed, members=())

    def heard(whole: Tally, seconds: int) -> None:
        told(SoFar(whole.total, whole.updated, whole.missed, whole.total - whole.closed, seconds))

    whole = True
    async with on_stage(script_of(members, order, population.begin)) as stage:
        try:
            await stage.play(heard)
        except asyncio.CancelledError:
            whole = False
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
        played = stage.played(Event.RELEASED) if stage.now() > 0 else None  # before that there is no job
        checked = [member.node_id for member in members if _is_checked(population, member.node_id)]
        stage.check(checked)
    found = [_waiting(member) for member in members] if played is None else _ended(members, played)
    seconds = 0 if played is None else round(played.seconds)
    return FleetResult(
        seed=population.seed,
        members=tuple(sorted(found, key=attrgetter("node_id"))),
        whole=whole,
        seconds=seconds,
        checked=tuple(sorted(checked)),
    )


def _is_checked(population: Population, node_id: str) -> bool:
    """Whether a device is among those that are played again; the same in whichever shard it is."""
    return drawn(population.seed, node_id, "check") * population.devices < _CHECKED


def _waiting(member: Member) -> MemberResult:
    """A device before there is a job."""
    return MemberResult(
        node_id=member.node_id,
        kind=member.kind.name,
        status=NodeStatus.TRIGGERED.value,
        additional_info="",
        reason="",
        closed=False,
        turn=None,
        seconds=None,
        boots=0,
        bytes=0,
        met=met(member.plan),
    )


def _ended(members: Sequence[Member], played: Played) -> Iterator[MemberResult]:
    turns = played.turns()
    ends = [released for _, released in turns]
    states = {state.node_id: state for state in played.nodes}
    for member in members:
        state = states[member.node_id]
        at = bisect_right(ends, state.position)
        said = state.handed_out or state.closed
        boots, read = played.spent[member.node_id]
        yield replace(
            _waiting(member),
            status=state.status.value,
            additional_info=state.additional_info,
            reason=str(state.reason),
            closed=state.closed,
            turn=-(-turns[at][0] // 1000) if at < len(turns) else None,
            seconds=round((state.timestamp - played.began) / 1000) if said else None,
            boots=boots,
            bytes=read,
        )
