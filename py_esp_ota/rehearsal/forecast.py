"""What a play comes to: how the campaign ends and when, who does not get the update, and what to look at. No I/O."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from py_esp_ota.cloud.campaign import CampaignState
from py_esp_ota.cloud.events import Kind
from py_esp_ota.cloud.history import lines
from py_esp_ota.cloud.jobs import NodeState, NodeStatus
from py_esp_ota.cloud.progress import end_of
from py_esp_ota.cloud.reasons import ROLL_BACKS
from py_esp_ota.cloud.rehearsals import Copy, Rehearsal
from py_esp_ota.rehearsal.climate import Climate, Fate, conditions, met, weather_of
from py_esp_ota.rehearsal.play import BOOTS, Played

UNFINISHED = "unfinished"
"""The state of a campaign that would go on for longer than is played."""

_SAMPLES = 48
_BOOTS = 2  # the one with which it comes, and the one into its new image
_NAMED = 5  # nodes named where many are meant
_TROUBLE = frozenset({NodeStatus.FAILED.value, NodeStatus.REJECTED.value})
_UNKNOWN = "not known"
_TURN_NOT_COME, _NEVER_THERE, _NOT_ASKED = "its turn never came", "it never came back", "it has not asked"
_ENDS = {CampaignState.ABORTED: Kind.JOB_ABORTED, CampaignState.PAUSED: Kind.JOB_PAUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseForecast:
    """How one phase goes. Seconds from the campaign's first moment; ``None`` for what does not happen."""

    nodes: int
    began: int | None
    gate_met: int | None
    ended: int | None  # all its nodes have come to their end
    updated: int
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A device that did not simply take its update, and how to look at it alone."""

    node_id: str
    met: str  # of the weather; empty when it was fine
    status: str
    info: str
    reason: str
    seconds: int  # when that was said
    attempts: int  # that failed
    boots: int
    replay: str  # a command line


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes that end alike."""

    status: str
    info: str
    reason: str
    nodes: int
    named: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What becomes of the nodes that have something in common."""

    what: str  # "chip", "version" or "weather"
    value: str
    nodes: int
    updated: int
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """What is not known of some nodes, and what was played instead."""

    sentence: str
    nodes: int
    named: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a campaign would come to."""

    name: str
    nodes: int
    weather: str
    seed: int
    state: str
    phase: int  # the one that began last, from 1; 0 when none did
    why: str  # it is paused, or was aborted
    seconds: int | None  # until nothing is handed out any more
    updated: int
    updated_after: int | None  # seconds until the last of them was
    rolled_back: int
    missed: int  # ended without the update, those that rolled back included
    waiting: int  # neither
    boot_loops: int  # boot for ever, whatever they reported before
    phases: Sequence[PhaseForecast]
    groups: Sequence[Group]  # the nodes that do not have it, the largest first
    shares: Sequence[Share]  # by chip, by version, by weather
    samples: Sequence[tuple[int, int, int, int]]  # seconds, then nodes that had their turn, are updated, missed it
    odd: Sequence[Odd]
    conditions: Sequence[str]  # what the weather means
    assumed: Sequence[Assumption]
    simplified: Sequence[str]
    left_out: int

    @property
    def ok(self) -> bool:
        """Whether the campaign ends by itself, with the update on every node, and all of them run it."""
        return self.state == CampaignState.COMPLETED and self.updated == self.nodes and not self.boot_loops

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return {"ok": self.ok, **asdict(self)}


SIMPLIFIED = (
    "Every image is taken for a RainMaker app: the code in it does not run, the weather says whether it is fit.",
    "Writing and erasing flash takes no time; a download takes as long as its link does, whoever else downloads.",
    "A device that says nothing for two hours in the middle of a download hangs, and is left so.",
    f"A device that has booted {BOOTS} times does so for ever, and is switched off.",
    "Where the gate asks for an admin, one confirms within a minute.",
)


def forecast_of(
    rehearsal: Rehearsal,
    played: Played,
    fates: Mapping[str, Fate],
    climate: Climate,
    *,
    weather: str,
    seed: int,
    job: str,
) -> Forecast:
    """The forecast of a play. ``job`` is what the replay lines call the campaign by."""
    progress, whole = played.standing.job.progress, played.standing.whole
    state = played.state if played.ended is not None else UNFINISHED
    failures = _failures(played)
    return Forecast(
        name=rehearsal.job.name,
        nodes=len(rehearsal.nodes),
        weather=weather,
        seed=seed,
        state=str(state),
        phase=progress.phase + 1,
        why=progress.why,
        seconds=_end(played),
        updated=whole.updated,
        updated_after=max(
            (_after(played, node.timestamp) for node in played.nodes if node.status is NodeStatus.SUCCESS), default=None
        ),
        rolled_back=sum(state.reason in ROLL_BACKS for state in played.nodes if state.closed),
        missed=whole.missed,
        waiting=whole.total - whole.closed,
        boot_loops=sum(boots >= BOOTS for boots in played.boots.values()),
        phases=_phases(played),
        groups=_groups(played, fates),
        shares=_shares(rehearsal, played, fates),
        samples=_samples(played),
        odd=[
            _odd(played, node, fates[node.node_id], failures[node.node_id], climate, seed, job)
            for node in played.nodes
            if node.handed_out and _is_odd(node, failures[node.node_id], played.boots[node.node_id])
        ],
        conditions=conditions(climate),
        assumed=[
            Assumption(sentence=sentence, nodes=len(nodes), named=list(nodes[:_NAMED]))
            for sentence, nodes in sorted(played.assumed.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
        simplified=[*SIMPLIFIED, *rehearsal.simplified],
        left_out=rehearsal.left_out,
    )


def _after(played: Played, milliseconds: int) -> int:
    return round((milliseconds - played.began) / 1000)


def _end(played: Played) -> int | None:
    if played.ended is None:
        return None
    kind = _ENDS.get(played.state)
    times = [entry.event.time for entry in played.log if entry.event.kind is kind]
    if times:
        return _after(played, times[-1])
    return max((_after(played, node.timestamp) for node in played.nodes if node.closed), default=round(played.ended))


def _failures(played: Played) -> Counter[str]:
    """How often each node said that an attempt had failed."""
    said = (line for entry in played.log if entry.event.node_id for line in lines(entry))
    return Counter(line.node_id for line in said if line.by_node and line.status in _TROUBLE)


def _phases(played: Played) -> list[PhaseForecast]:
    began: dict[int, int] = {}
    met: dict[int, int] = {}
    for entry in played.log:
        event = entry.event
        if event.kind is Kind.RELEASED:
            began.setdefault(event.data["phase"], _after(played, event.time))
        elif event.kind is Kind.GATE_MET:
            met[event.data["phase"]] = _after(played, event.time)
    sizes = played.standing.job.sizes
    found = []
    for phase, tally in enumerate(played.standing.tallies):
        nodes = played.nodes[end_of(sizes, phase) - sizes[phase] : end_of(sizes, phase)]
        over = bool(nodes) and all(node.closed for node in nodes)
        found.append(
            PhaseForecast(
                nodes=tally.total,
                began=began.get(phase),
                gate_met=met.get(phase),
                ended=_after(played, max(node.timestamp for node in nodes)) if over else None,
                updated=tally.updated,
                missed=tally.missed,
            )
        )
    return found


def _groups(played: Played, fates: Mapping[str, Fate]) -> list[Group]:
    alike: dict[tuple[str, str, str], list[str]] = {}
    for node in played.nodes:
        if node.status is not NodeStatus.SUCCESS:
            key = node.status.value, _info(played, node, fates[node.node_id]), str(node.reason)
            alike.setdefault(key, []).append(node.node_id)
    found = [
        Group(status=status, info=info, reason=reason, nodes=len(nodes), named=nodes[:_NAMED])
        for (status, info, reason), nodes in alike.items()
    ]
    return sorted(found, key=lambda group: (-group.nodes, group.status, group.info))


def _info(played: Played, node: NodeState, fate: Fate) -> str:
    """What is said of a node, and of one that has nothing yet, why."""
    if node.status is not NodeStatus.TRIGGERED:
        return node.additional_info
    if node.position >= played.standing.job.progress.released:
        return _TURN_NOT_COME
    return _NOT_ASKED if fate.comes else _NEVER_THERE


def _shares(rehearsal: Rehearsal, played: Played, fates: Mapping[str, Fate]) -> list[Share]:
    """Each way to sort the nodes that tells some of them apart."""
    ends = {node.node_id: node for node in played.nodes}
    sorts: dict[str, Callable[[Copy], str]] = {
        "chip": lambda copy: copy.chip or copy.board.chip or _UNKNOWN,
        "version": lambda copy: copy.version or _UNKNOWN,
        "weather": lambda copy: met(fates[copy.node_id].plan) or "fine",
    }
    found = []
    for what, value_of in sorts.items():
        alike: dict[str, list[NodeState]] = {}
        for copy in rehearsal.nodes:
            alike.setdefault(value_of(copy), []).append(ends[copy.node_id])
        for value, nodes in sorted(alike.items(), key=lambda item: (-len(item[1]), item[0])):
            updated = sum(node.status is NodeStatus.SUCCESS for node in nodes)
            missed = sum(node.closed for node in nodes) - updated
            found.append(Share(what=what, value=value, nodes=len(nodes), updated=updated, missed=missed))
    return found


def _samples(played: Played) -> list[tuple[int, int, int, int]]:
    """The course of it, at moments that are equally far apart."""
    turns = [(round(milliseconds / 1000), released) for milliseconds, released in played.turns()]
    closed = [
        (_after(played, node.timestamp), node.status is NodeStatus.SUCCESS) for node in played.nodes if node.closed
    ]
    end = max([at for at, _ in turns] + [at for at, _ in closed], default=0)
    moments = sorted({round(end * step / _SAMPLES) for step in range(_SAMPLES + 1)})
    return [
        (
            moment,
            max((released for at, released in turns if at <= moment), default=0),
            sum(good for at, good in closed if at <= moment),
            sum(not good for at, good in closed if at <= moment),
        )
        for moment in moments
    ]


def _odd(played: Played, node: NodeState, fate: Fate, failures: int, climate: Climate, seed: int, job: str) -> Odd:
    turn = _turn(played, node)
    stop = _end(played) if played.state in _ENDS and not node.closed else None
    options = {
        "--alone": node.node_id,
        "--weather": weather_of(fate, climate),
        "--seed": str(seed),
        "--turn": str(turn) if turn else "",
        "--back": f"{fate.boots:g}" if fate.boots >= 0 else "",
        "--stop": str(stop) if stop else "",
    }
    words = [job, *(word for option in options.items() if option[1] for word in option)]
    return Odd(
        node_id=node.node_id,
        met=met(fate.plan),
        status=node.status.value,
        info=node.additional_info,
        reason=str(node.reason),
        seconds=_after(played, node.timestamp),
        attempts=failures,
        boots=played.boots[node.node_id],
        replay=shlex.join(["esp-ota", "cloud", "rehearse", *words]),
    )


def _is_odd(node: NodeState, failures: int, boots: int) -> bool:
    return node.status is not NodeStatus.SUCCESS or failures > 0 or boots > _BOOTS


def _turn(played: Played, node: NodeState) -> int:
    """Seconds until the node had its turn."""
    return next((-(-at // 1000) for at, released in played.turns() if released > node.position), 0)
