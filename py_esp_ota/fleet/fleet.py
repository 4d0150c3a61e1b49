"""The engine: a fleet and a job, played to the end."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from py_esp_ota.cloud.jobs import NodeState
from py_esp_ota.cloud.standing import Tally
from py_esp_ota.fleet.members import JobOrder, Member
from py_esp_ota.fleet.population import Population
from py_esp_ota.fleet.result import FleetResult, MemberResult, SoFar, Told
from py_esp_ota.fleet.script import script_of
from py_esp_ota.rehearsal.climate import met
from py_esp_ota.rehearsal.play import Played, on_stage

_BESIDE = 256 << 10


def room_of(order: JobOrder) -> int:
    """Bytes of memory that one device takes: the image in a flash of its own, and all else that it has."""
    return len(order.image) + _BESIDE


async def run_fleet(population: Population, order: JobOrder, *, told: Told) -> FleetResult:
    """Play a job for the devices of a population that it is for. To be run under virtual time.

    Cancelled once the job has begun, it gives back what it has come to so far, and that it is not whole.

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
            if stage.now() <= 0:
                raise
            whole = False
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
        return _result(population.seed, members, stage.played(), whole=whole)


def _result(seed: int, members: Sequence[Member], played: Played, *, whole: bool) -> FleetResult:
    turns = played.turns()
    ends = [released for _, released in turns]
    states = {state.node_id: state for state in played.nodes}

    def turn_of(state: NodeState) -> int | None:
        at = bisect_right(ends, state.position)
        return round(turns[at][0] / 1000) if at < len(turns) else None

    def of(member: Member) -> MemberResult:
        state = states[member.node_id]
        said = state.timestamp if state.handed_out or state.closed else None
        return MemberResult(
            node_id=member.node_id,
            kind=member.kind.name,
            status=state.status.value,
            additional_info=state.additional_info,
            reason=str(state.reason),
            closed=state.closed,
            turn=turn_of(state),
            seconds=None if said is None else round((said - played.began) / 1000),
            boots=played.boots[member.node_id],
            bytes=played.bytes[member.node_id],
            met=met(member.plan),
        )

    found = sorted(members, key=lambda member: member.node_id)
    return FleetResult(seed=seed, members=tuple(map(of, found)), whole=whole, seconds=round(max(played.seconds, 0.0)))
