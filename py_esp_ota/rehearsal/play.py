"""The play: a crowd under virtual time, the cloud's own campaign, and a device for each copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from py_esp_ota.cloud.campaign import CampaignState
from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Entry, Kind
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rehearsals import RehearsedJob
from py_esp_ota.cloud.standing import Standing, Tally
from py_esp_ota.faults import parse
from py_esp_ota.lives.breed import Breed
from py_esp_ota.lives.crowd import Crowd, open_crowd
from py_esp_ota.lives.member import Member
from py_esp_ota.rehearsal.climate import Fate
from py_esp_ota.rehearsal.likeness import Likeness
from py_esp_ota.sdkconfig import Sdkconfig

JOB_ID = "rehearsal"
_LEAD_S = 86_500.0  # before the campaign: so that each device is somewhere in the period after which it asks
_LOOK_S = 60.0  # between two looks: an admin who confirms a gate does so within a minute
_LONGEST_LOOK_S = 3600.0  # while nothing changes
_LINGER_S = 2 * 3600.0  # after an end: nodes that hold the URL go on
_AFTER_LOOKS = 10  # after the end of everything
_HANGS_S = 2 * 3600.0  # without a word, beside what its download takes: it hangs, and would for ever
_PIECE = 16 << 10  # bytes that a device reads at once where no cut counts its writes
BOOTS = 30
"""A device that has booted so often boots for ever, and is stopped."""
_LONGEST_S = 40 * 86_400.0
_OVER = frozenset({CampaignState.COMPLETED, CampaignState.ABORTED, CampaignState.CANCELLED, CampaignState.PAUSED})

Told = Callable[[Tally, int], None]
"""Called now and then with how the nodes stand, and how many seconds have been played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One device of a play: its board, and what it meets."""

    node_id: str
    like: Likeness
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is played."""

    job: RehearsedJob
    image: bytes  # the job's
    began: int  # milliseconds since 1970: the campaign's first moment
    parts: tuple[Part, ...]  # in the job's order


@dataclass(frozen=True, slots=True)
class Played:
    """What a play left behind."""

    began: int  # milliseconds: the campaign's first moment
    seconds: float  # from there until this was looked at
    ended: float | None  # seconds from there until nothing was handed out any more; None when the play ended first
    state: CampaignState
    standing: Standing
    nodes: Sequence[NodeState]  # in the job's order
    log: Sequence[Entry]  # of the job
    assumed: Mapping[str, Sequence[str]]  # by sentence: of which nodes
    boots: Mapping[str, int]  # by node
    spent: Mapping[str, tuple[int, int]]
    """By node: boots, and bytes downloaded, until some minutes after its end, however long the others are at it."""
    console: Sequence[tuple[float, str]] = field(default=())  # of a device that is played alone, with seconds

    def turns(self) -> list[tuple[int, int]]:
        """Milliseconds, and how many nodes had their turn from then on."""
        released = (entry.event for entry in self.log if entry.event.kind is Kind.RELEASED)
        return [(event.time - self.began, int(event.data["released"])) for event in released]


async def play(script: Script, *, told: Told, stop: float | None = None, listen: bool = False) -> Played:
    """Play a campaign to its end.

    Args:
        script: the campaign.
        told: hears how far it is.
        stop: seconds after which the job is cancelled.
        listen: keep what the devices print.

    Raises:
        ValueError: a board cannot be as its facts say.
    """
    async with on_stage(script, listen=listen) as stage:
        await stage.play(told, stop)
        return stage.played()


@asynccontextmanager
async def on_stage(script: Script, *, listen: bool = False) -> AsyncIterator[Stage]:
    """A stage with the devices of a script on it, for those who look at it in the middle of the play."""
    epoch = script.began / 1000 - _LEAD_S - asyncio.get_running_loop().time()
    async with open_crowd(epoch=epoch, most_boots=BOOTS) as crowd:
        yield Stage(crowd, script, listen=listen)


class Stage:
    """One crowd with one campaign in it. Seconds count from the campaign's first moment."""

    def __init__(self, crowd: Crowd, script: Script, *, listen: bool) -> None:
        self._crowd, self._script, self._listen = crowd, script, listen
        self._fates = {part.node_id: part.fate for part in script.parts}
        self._loop = asyncio.get_running_loop()
        self._working = dict.fromkeys(self._fates)  # those that may still hang
        self._assumed: dict[str, list[str]] = {}
        self._breeds: dict[tuple[int, str], Breed] = {}
        self._ended: float | None = None
        self._zero = self._loop.time() + _LEAD_S

    async def play(self, told: Told, stop: float | None = None) -> None:
        """All of it; ``told`` hears how far it is, and after ``stop`` seconds the job is cancelled."""
        self._set_up()
        await self._wait_until(0.0)
        self._start_job()
        await self._to_its_end(told, stop)
        await self._watch_on()

    def now(self) -> float:
        """Seconds since the campaign's first moment, negative before it."""
        return self._loop.time() - self._zero

    async def _wait_until(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds - self.now(), 0.0))

    # ---------------------------------------------------------------------------------------------------- the devices

    def _set_up(self) -> None:
        """A device for each part, and when it has power."""
        crowd = self._crowd
        for part in self._script.parts:
            fate = part.fate
            for sentence in part.like.assumed:
                self._assumed.setdefault(sentence, []).append(part.node_id)
            member = crowd.add(part.node_id, self._breed(part.like, fate.plan), power=fate.power)
            if fate.comes:
                self._loop.call_at(self._zero + fate.boots, crowd.switch_on, member)
            for off, on in fate.away:
                self._loop.call_at(self._zero + off, self._at_night, member, crowd.switch_off)
                self._loop.call_at(self._zero + on, self._at_night, member, crowd.switch_on)

    def _at_night(self, member: Member, act: Callable[[Member], None]) -> None:
        """Switched off or on again, until it has come to its end: what it does then is of no interest any more."""
        state = self._crowd.service.jobs.state(JOB_ID, member.node_id)
        if state is None or not state.closed:
            act(member)

    def _breed(self, like: Likeness, plan: str) -> Breed:
        """Devices of one likeness that meet the same share one life."""
        key = id(like), plan
        if key not in self._breeds:
            self._breeds[key] = breed_of(like, plan)
        return self._breeds[key]

    # --------------------------------------------------------------------------------------------------------- the job

    def _start_job(self) -> None:
        """The cloud's own: from here on nothing is told but by its campaign."""
        facts, service = self._script.job, self._crowd.service
        image = service.images.add(
            facts.name or "image", self._script.image, fw_version=facts.fw_version, model=facts.model
        )
        plan = facts.plan
        if plan.phases:
            plan = replace(plan, phases=tuple(str(size) for size in facts.sizes))  # a group is of another cloud
        job = OtaJob(
            ota_job_id=JOB_ID,
            ota_job_name=facts.name,
            ota_image_id=image.ota_image_id,
            fw_version=facts.fw_version,
            triggered_timestamp=service.ground.now_ms(),
            metadata=facts.metadata,
            priority=facts.priority,
            timeout=facts.timeout,
            force_push=facts.force_push,
            max_fetch_cycles=facts.max_fetch_cycles,
            plan=plan,
            sizes=facts.sizes,
        )
        service.jobs.adopt(job, [part.node_id for part in self._script.parts])

    async def _to_its_end(self, told: Told, stop: float | None) -> None:
        """Until the campaign is over, and a little longer."""
        before, look = None, _LOOK_S
        while self.now() < _LONGEST_S:
            view = self._crowd.service.jobs.get(JOB_ID)
            whole = view.standing.whole
            told(whole, round(self.now()))
            if view.state in _OVER and not self._confirmed(view.standing):
                ended = self._ended = self.now() if self._ended is None else self._ended
                if whole.closed == whole.total or not self._at_it() or self.now() > ended + _LINGER_S:
                    return
            elif stop is not None and self.now() >= stop:
                self._crowd.service.jobs.cancel(JOB_ID)
                continue
            now = view.standing, sum(member.state.step.boots for member in self._crowd.members.values())
            if now == before and whole.counts.get(NodeStatus.IN_PROGRESS):
                self._stop_what_hangs()
            look, before = min(2 * look, _LONGEST_LOOK_S) if now == before else _LOOK_S, now
            pause = _LOOK_S if self._ended is not None or view.standing.job.plan.gate.confirm else look
            await asyncio.sleep(pause if stop is None or self._ended else min(pause, max(stop - self.now(), 0.0)))
            self._crowd.check()

    async def _watch_on(self) -> None:
        """A while longer: an app that was fit a moment ago may crash for ever."""
        for _ in range(_AFTER_LOOKS):
            await asyncio.sleep(_LOOK_S)
        self._crowd.check()

    def _confirmed(self, standing: Standing) -> bool:
        """An admin who has read the plan opens a gate that was met and waits for him."""
        progress, gate = standing.job.progress, standing.job.plan.gate
        if not (progress.paused and progress.at_gate and gate.confirm and progress.gate_met):
            return False
        self._crowd.service.campaigns.resume(JOB_ID)
        return True

    def _stop_what_hangs(self) -> None:
        """Nor is a download that does not go on."""
        size, now = len(self._script.image), self._script.began / 1000 + self.now()
        for node_id in [*self._working]:
            member = self._crowd.members[node_id]
            state = self._crowd.service.jobs.state(JOB_ID, node_id) if member.state.step.boots else None
            if state is None:
                continue
            patience = _HANGS_S + size / _slowest(self._fates[node_id].plan)
            if state.closed:
                del self._working[node_id]
            elif state.status is NodeStatus.IN_PROGRESS and now - state.timestamp / 1000 > patience:
                self._stop(member)

    def _stop(self, member: Member) -> None:
        self._crowd.sky.give_up(member)
        self._working.pop(member.node_id, None)

    def _at_it(self) -> bool:
        """Whether a node holds the URL and has not said how it ended."""
        states = self._crowd.service.jobs.node_status(JOB_ID, num_records=len(self._fates)).items
        return any(state.handed_out and not state.closed for state in states)

    def played(self, only: Kind | None = None) -> Played:
        """What there is now, of the log ``only`` one kind. Only when the job has been started."""
        service = self._crowd.service
        view = service.jobs.get(JOB_ID)
        states = sorted(
            service.jobs.node_status(JOB_ID, num_records=len(self._fates)).items, key=lambda state: state.position
        )
        return Played(
            began=self._script.began,
            seconds=self.now(),
            ended=self._ended,
            state=view.state,
            standing=view.standing,
            nodes=states,
            log=[entry for piece in service.log.all(Wanted(kind=only, ota_job_id=JOB_ID)) for entry in piece],
            assumed=self._assumed,
            boots={name: min(member.state.step.boots, BOOTS) for name, member in self._crowd.members.items()},
            spent={state.node_id: self._spent(state) for state in states},
            console=self._console() if self._listen else (),
        )

    def _spent(self, state: NodeState) -> tuple[int, int]:
        member = self._crowd.members[state.node_id]
        ended = state.timestamp / 1000 - self._script.began / 1000 + self._zero + _AFTER_LOOKS * _LOOK_S
        step = (member.by(ended) if state.closed else member.state).step
        return min(step.boots, BOOTS), step.read

    def check(self, some: Iterable[str]) -> None:
        """Play the lives of some devices again, the long way. Raises ``UnlikeError``: one did not do it again."""
        for name in some:
            self._crowd.members[name].again().close()

    def _console(self) -> Sequence[tuple[float, str]]:
        """What the devices have printed: played again, since nobody listened."""
        heard: list[tuple[float, str]] = []
        for member in self._crowd.members.values():
            member.again(lambda when, line: heard.append((when - self._zero, line))).close()
        return heard


def breed_of(like: Likeness, plan: str) -> Breed:
    """Devices like this one which meet the same."""
    config = replace(
        like.config,
        esp_rmaker_ota_http_rx_buffer_size=_piece(plan),
        esp_rmaker_mqtt_use_basic_ingest_topics=True,
    )
    return Breed(like.table, like.flash, like.image, config, parse(plan), like.efuse)


def _piece(plan: str) -> int:
    """Bytes that a device reads at once. As the default has it where a cut counts writes; else as quickly as it can."""
    usual = Sdkconfig().esp_rmaker_ota_http_rx_buffer_size
    return usual if parse(plan).flash else max(usual, min(_PIECE, _slowest(plan)))


def _slowest(plan: str) -> int:
    """Bytes per second of the slowest link in a plan."""
    slow = (fault.at for fault in parse(plan).of("network") if fault.word == "slow")
    return min(slow, default=1 << 30)


def alone(job: RehearsedJob, began: int, turn: float) -> RehearsedJob:
    """The job for one of its nodes, whose turn comes ``turn`` seconds after the campaign's first moment."""
    start = -(-began // 1000) + round(turn) if turn else 0
    plan = Plan(answer_within=job.plan.answer_within, node_timeout=job.plan.node_timeout, start=start)
    return replace(job, plan=plan, sizes=(1,))
