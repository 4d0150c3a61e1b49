"""Campaigns under everything that can happen at once, beside a judge that reckons each rule anew from rows and log.

``make campaign-machine STEPS=100000`` plays that many steps; the tests play a thousand and some.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cloud_bench import Bench
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from test_cloud_events import restart, rows

from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Actor, By, Event, Kind
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.standing import Standing

STEPS = int(os.environ.get("ESP_OTA_STEPS", "1000"))
STEPS_OF_A_LIFE = 100
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))
OF_CAMPAIGNS = (
    Kind.RELEASED,
    Kind.GATE_MET,
    Kind.JOB_PAUSED,
    Kind.JOB_RESUMED,
    Kind.JOB_ABORTED,
    Kind.URL_WITHDRAWN,
    Kind.HELD_BACK,
    Kind.SILENT,
    Kind.TIMED_OUT,
    Kind.RETRIED,
    Kind.NODE_ADDED,
)
OVER = frozenset({"completed", "cancelled", "aborted"})
NODES = tuple(f"n{number}" for number in range(8))
ADMINS = tuple(By(Actor.ADMIN, who) for who in ("ann", "bob"))
WORDS = ("in-progress", "success", "rejected", "failed", "delayed", "invalid", "nonsense")
INFOS = ("Firmware rolled back", "no space", "")

node_ids = st.sampled_from(NODES)
admins = st.sampled_from(ADMINS)
PULLED, PUSHED, APPROVED = (False, False), (True, False), (False, True)
LIMITS = ["", "", "", "", "", "1", "2", "5", "34%", "100%"]


def options_of(chance: random.Random) -> tuple[dict[str, Any], tuple[bool, ...]]:
    """A plan, and the flags: pushed, approved by users, continuous, one of a network at a time."""
    pick = chance.choice
    silent = pick(LIMITS)
    plan = {
        "phases": pick([[], ["1", "rest"], ["2", "2", "rest"], ["25%", "50%", "25%"], ["50%", "rest"], ["100%"]]),
        "gate": {
            "success": pick(["1", "1", "50%", "90%", "100%"]),
            "hold": pick([0, 0, 0, 60]),
            "within": pick([0, 0, 0, 300]),
            "confirm": pick([False, False, False, True]),
        },
        "abort": {"failed": pick(LIMITS), "rolled_back": pick(LIMITS), "no_answer": silent, "least": pick([1, 2, 3])},
        "answer_within": 30 if silent else pick([0, 0, 30]),
        "node_timeout": pick([0, 0, 100]),
        "rate": pick([0, 0, 0, 1, 60]),
    }
    more = pick([False, False, True]), pick([False, False, False, True])
    return plan, (*pick([PULLED, PULLED, PULLED, PUSHED, PUSHED, PUSHED, APPROVED]), *more)


options = st.integers(0, 2**32).map(lambda seed: options_of(random.Random(seed)))


class Campaigns(RuleBasedStateMachine):
    """Two admins, eight nodes, a clock and a cloud that may be started again at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.bench.service.outbox.start()
        self.image = self.bench.image().ota_image_id
        self.jobs: list[str] = []
        self.bench.join(*NODES[:6])
        self.updated: dict[str, set[str]] = {}
        self.judged: dict[str, object] = {}
        self.heard: dict[str, tuple[object, Standing]] = {}
        self.rows: dict[str, list[NodeState]] = {}
        self.written = -1

    # ------------------------------------------------------------------------------------------------------------ acts

    def act(self, call: Any, *arguments: Any, **options: Any) -> None:
        """What is refused has not happened."""
        before, refused = self._mark(), ""
        try:
            call(*arguments, **options)
        except CloudError as error:
            refused = error.description
        assert not refused or self._mark() == before, f"refused, and yet something happened: {refused}"

    def _mark(self) -> int:
        self.bench.service.turns.catch_up()
        newest, _ = self.bench.service.log.newest(num_records=1)
        return newest[0].number if newest else 0

    def job_at(self, which: int) -> str:
        return self.jobs[which % len(self.jobs)] if self.jobs else "none"

    @initialize(of=options, start=st.sampled_from([0, 0, 0, 0, 0, 120]))
    def first(self, of: Any, start: int) -> None:
        """There is always something to watch."""
        self.make(of, [*NODES[:6]], True, start, ADMINS[0])

    @rule(
        of=options,
        nodes=st.lists(st.sampled_from(NODES[:6]), min_size=2, max_size=6, unique=True),
        everybody=st.booleans(),
        start=st.sampled_from([0, 0, 120]),
        by=admins,
    )
    def make(self, of: Any, nodes: list[str], everybody: bool, start: int, by: By) -> None:
        if len(self.jobs) == 3:
            return
        plan, (force_push, user_approval, continuous, network_serialised) = of
        now = int(self.bench.clock.time)
        options = {
            "plan": Plan.from_json(plan | {"start": now + start if start else 0}),
            "nodes": () if everybody else nodes,
            "groups": ("FFFF-FFFF",) if everybody else (),
            "force_push": force_push,
            "user_approval": user_approval,
            "continuous": continuous and everybody,
            "network_serialised": network_serialised,
            "timeout": 1_000_000,
            "by": by,
        }
        before = self._mark()
        try:
            made = self.bench.service.jobs.create("j", self.image, **options)
        except CloudError:
            assert self._mark() == before
        else:
            self.jobs.append(made.job.ota_job_id)

    @rule(node_id=node_ids, connected=st.booleans())
    def presence(self, node_id: str, connected: bool) -> None:
        self.bench.presence(node_id, connected)

    @rule(node_id=node_ids)
    def join(self, node_id: str) -> None:
        self.bench.join(node_id)

    @rule(node_id=node_ids, version=st.sampled_from(["1.0.0", "1.0.0", "1.1.0"]), network=st.sampled_from(["", "t"]))
    def fetch(self, node_id: str, version: str, network: str) -> None:
        body = {"node_id": node_id, "fw_version": version}
        self.bench.hear(node_id, "otafetch", body | ({"network_id": network} if network else {}))

    @rule(node_id=node_ids, which=st.integers(0, 3), word=st.sampled_from(WORDS), info=st.sampled_from(INFOS))
    def report(self, node_id: str, which: int, word: str, info: str) -> None:
        """Early, late, twice, about a job that is none of the node's: whatever comes."""
        self.bench.report(node_id, self.job_at(which), word, info)

    @rule(count=st.integers(1, 8))
    def all_fetch(self, count: int) -> None:
        """Many ask: what their turn has come for goes to them."""
        for node_id in NODES[:count]:
            if self.bench.service.nodes.is_known(node_id):
                self.fetch(node_id, "1.0.0", "")

    @rule(which=st.integers(0, 3), words=st.lists(st.sampled_from(WORDS[:4]), min_size=1, max_size=8))
    def some_report(self, which: int, words: list[str]) -> None:
        """Those who have the URL go on with it, each in its way."""
        states = [state for state in self._states(self.job_at(which)) if state.handed_out and not state.closed]
        for state, word in zip(states, words, strict=False):
            self.bench.report(state.node_id, self.job_at(which), word, INFOS[0])

    @rule(which=st.integers(0, 3), count=st.integers(1, 8))
    def some_succeed(self, which: int, count: int) -> None:
        """As it is in good weather."""
        states = [state for state in self._states(self.job_at(which)) if state.handed_out and not state.closed]
        for state in states[:count]:
            self.bench.report(state.node_id, self.job_at(which), "success")

    @rule(which=st.integers(0, 3), word=st.sampled_from(["success", "rejected"]))
    def all_end(self, which: int, word: str) -> None:
        """Whatever its turn was, each says that it is done."""
        for state in self._states(self.job_at(which)):
            self.bench.report(state.node_id, self.job_at(which), word)

    @rule(which=st.integers(0, 3), by=admins)
    def pause(self, which: int, by: By) -> None:
        self.act(self.bench.service.campaigns.pause, self.job_at(which), by)

    @rule(which=st.integers(0, 3), by=admins)
    def resume(self, which: int, by: By) -> None:
        self.act(self.bench.service.campaigns.resume, self.job_at(which), by)

    @rule(which=st.integers(0, 3), by=admins)
    def cancel(self, which: int, by: By) -> None:
        self.act(self.bench.service.jobs.cancel, self.job_at(which), by)

    @rule(which=st.integers(0, 3), node_id=st.none() | node_ids, by=admins)
    def retry(self, which: int, node_id: str | None, by: By) -> None:
        ota_job_id = self.job_at(which)
        self.act(self.bench.service.campaigns.retry, ota_job_id, None if node_id is None else [node_id], by)

    @rule(which=st.integers(0, 3), node_id=node_ids)
    def approve(self, which: int, node_id: str) -> None:
        self.act(self.bench.service.jobs.approve_update, node_id, self.job_at(which))

    @rule(node_id=st.sampled_from(NODES[5:]))
    def forget(self, node_id: str) -> None:
        self.bench.service.nodes.forget([node_id])

    @rule(archived=st.booleans())
    def archive_image(self, archived: bool) -> None:
        self.act(self.bench.service.images.archive, self.image, archived)

    @rule()
    def delete_image(self) -> None:
        if len(self.jobs) == 3:  # else nothing would be left to start
            self.act(self.bench.service.images.delete, self.image)

    @rule(seconds=st.sampled_from([1, 1, 1, 29, 31, 31, 60, 60, 101, 301, 4_501, 90_001]))
    def wait(self, seconds: int) -> None:
        self.bench.clock.time += seconds
        for _ in range(3):  # what time has brought may be more than one turn's
            self.bench.service.campaigns.look()

    @rule()
    def acknowledge(self) -> None:
        """The broker takes what the cloud has sent."""
        for letter in [*self.bench.service.outbox._letters]:
            self._judge_letter(letter.topic, letter.payload)
            if letter.arrived is not None:
                letter.arrived()
        self.bench.service.outbox._letters.clear()
        self.bench.service.intake.take([])

    def _judge_letter(self, topic: str, payload: Any) -> None:
        body = payload if isinstance(payload, bytes) else payload()
        if body is None:
            return
        node_id, ota_job_id = topic.split("/")[1], json.loads(body)["ota_job_id"]
        state = self.bench.service.jobs.state(ota_job_id, node_id)
        job = self.bench.service.jobs.get(ota_job_id).job
        assert state is not None
        assert state.position < job.progress.released
        assert not state.closed
        assert not job.progress.paused
        assert job.cancelled_timestamp is None

    @rule(seed=st.integers(0, 2**32), count=st.integers(5, 30))
    def live_on(self, seed: int, count: int) -> None:
        """A while as it is in the field: nodes ask and report, time goes by, now and then an admin does something."""
        chance = random.Random(seed)
        for _ in range(count):
            self._one_of_many(chance)
            self.every_rule_holds()

    def _one_of_many(self, chance: random.Random) -> None:
        which, node_id, by = chance.randrange(3), chance.choice(NODES), chance.choice(ADMINS)
        acts: list[tuple[int, Callable[[], None]]] = [
            (20, lambda: self.fetch(node_id, chance.choice(["1.0.0"] * 9 + ["1.1.0"]), chance.choice(["", "", "t"]))),
            (20, lambda: self.some_succeed(which, chance.randrange(1, 5))),
            (8, lambda: self.some_report(which, chance.choices(WORDS[:4], k=3))),
            (8, lambda: self.report(node_id, which, chance.choice(WORDS), chance.choice(INFOS))),
            (12, lambda: self.wait(chance.choice([1, 1, 31, 31, 60, 60, 101, 301, 4_501]))),
            (8, self.acknowledge),
            (5, lambda: self.presence(node_id, chance.random() < 0.8)),
            (5, lambda: self.resume(which, by)),
            (3, lambda: self.pause(which, by)),
            (3, lambda: self.retry(which, chance.choice([None, node_id]), by)),
            (3, lambda: self.approve(which, node_id)),
            (1, lambda: self.cancel(which, by)),
            (3, lambda: self.all_end(which, chance.choice(["success", "rejected"]))),
            (1, lambda: self.join(node_id)),
            (3, lambda: self.make(options_of(chance), chance.sample(NODES[:6], 3), chance.random() < 0.5, 0, by)),
            (1, self.start_again),
        ]
        chance.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    @rule()
    def start_again(self) -> None:
        service = self.bench.service
        service.turns.catch_up()
        before = [(service.jobs.get(job), self._states(job)) for job in self.jobs]
        restart(self.bench)
        service = self.bench.service
        assert [(service.jobs.get(job), self._states(job)) for job in self.jobs] == before

    @rule()
    def tell_again(self) -> None:
        self.bench.service.turns.catch_up()
        before = rows(self.bench)
        rebuild(self.bench.store)
        assert rows(self.bench) == before

    # ----------------------------------------------------------------------------------------------------------- rules

    def _states(self, ota_job_id: str) -> list[NodeState]:
        with suppress(CloudError):
            page = self.bench.service.jobs.node_status(ota_job_id, num_records=1000)
            return sorted(page.items, key=lambda state: state.position)
        return []

    def _changes(self) -> int:
        """How many rows of whatever table were ever written: with the same number, each of them is as it was."""
        with self.bench.store.connect() as tx:
            return tx.connection.driver_connection.total_changes  # type: ignore[union-attr,no-any-return]

    @invariant()
    def every_rule_holds(self) -> None:
        self.bench.service.turns.catch_up()
        before, self.written = self.written, self._changes()
        for ota_job_id in self.jobs:
            view = self.bench.service.jobs.get(ota_job_id)
            if self.written != before:
                self.rows[ota_job_id] = self._states(ota_job_id)
            states = self.rows[ota_job_id]
            self._check_history(ota_job_id, view.standing, again=self.written != before)
            # What stands in rows alone is judged when it has changed; what is in memory, each time.
            if view.state.value in OVER and self.judged.get(ota_job_id) == (view, states):
                continue
            self.judged[ota_job_id] = view, states
            check_counts(view.standing, states)
            assert [self.bench.service.jobs.state(ota_job_id, state.node_id) for state in states] == states
            check_limits(view.job, states, int(self.bench.clock.time * 1000))
            assert (
                view.state.value
                in {
                    "triggered": {"running", "scheduled", "paused"},
                    "in_progress": {"running", "scheduled", "paused"},
                    "completed": {"completed"},
                    "cancelled": {"cancelled", "aborted"},
                }[view.status.value]
            )
            self._check_success_stays(ota_job_id, states)

    def _check_success_stays(self, ota_job_id: str, states: list[NodeState]) -> None:
        now = {state.node_id for state in states if state.status is NodeStatus.SUCCESS}
        assert self.updated.get(ota_job_id, set()) <= now
        self.updated[ota_job_id] = now

    def _check_history(self, ota_job_id: str, standing: Standing, *, again: bool) -> None:
        """Phases begin one after the other, with the gate of the one before met or opened by hand."""
        wanted = Wanted(ota_job_id=ota_job_id)
        newest = self.bench.service.log.newest(wanted, num_records=1)[0] if again else self.heard[ota_job_id][0]
        if self.heard.get(ota_job_id) != (newest, standing):
            events = [entry.event for piece in self.bench.service.log.all(wanted) for entry in piece]
            check_phases(standing, events)
        self.heard[ota_job_id] = newest, standing


def check_counts(standing: Standing, states: list[NodeState]) -> None:
    """What is counted as it happens is what one counts in the end."""
    job = standing.job
    assert [state.position for state in states] == list(range(len(states)))
    assert sum(job.sizes) == len(states)
    assert 0 <= job.progress.released <= len(states)
    start = 0
    for size, tally in zip(job.sizes, standing.tallies, strict=True):
        of_phase = states[start : start + size]
        start += size
        assert tally.total == size
        assert {status: count for status, count in tally.counts.items() if count} == {
            status: count for status in NodeStatus if (count := sum(state.status is status for state in of_phase))
        }
        missed = [state for state in of_phase if state.closed and state.status is not NodeStatus.SUCCESS]
        rolled_back = [state for state in missed if state.reason == "rolled_back"]
        assert (tally.closed, tally.missed, tally.rolled_back, tally.silent) == (
            sum(state.closed for state in of_phase),
            len(missed),
            len(rolled_back),
            sum(state.silent for state in of_phase),
        )


def check_limits(job: OtaJob, states: list[NodeState], now: int) -> None:
    """A job that has reached a limit hands out nothing any more; one that has not is not aborted."""
    abort = job.plan.abort
    missed = [state for state in states if state.closed and state.status is not NodeStatus.SUCCESS]
    rolled_back = [state for state in missed if state.additional_info.startswith("Firmware rolled back")]
    silent = [state for state in states if state.silent]
    ended = sum(state.closed for state in states)
    turned = job.progress.released
    reached = any(
        limit is not None
        and count > 0
        and (
            count >= limit.nodes
            if limit.percent is None
            else seen >= abort.least and count * 100 >= limit.percent * turned - 1e-6
        )
        for limit, count, seen in (
            (abort.failed, len(missed), ended),
            (abort.rolled_back, len(rolled_back), ended),
            (abort.no_answer, len(silent), ended + len(silent)),
        )
    )
    over = job.over or (all(state.closed for state in states) and not job.continuous)
    if reached:
        assert over or job.progress.paused, "the limit is reached and the job goes on"
    if job.progress.aborted:
        assert job.cancelled_timestamp is not None
        assert job.progress.why


def check_phases(standing: Standing, events: list[Event]) -> None:
    """What the log says of the phases; a success is never taken back, so that a gate that was met is met still."""
    job = standing.job
    phase, opened, released, paused = -1, False, 0, False
    opened_next = False
    by_hand: set[int] = set()
    for event in events:
        match event.kind:
            case Kind.JOB_PAUSED:
                assert not paused
                paused, opened_next = True, event.data["at_gate"]
            case Kind.JOB_RESUMED:
                assert paused
                paused, opened = False, opened or opened_next
                by_hand |= {phase} if opened_next else set()
            case Kind.GATE_MET:
                opened = opened or not job.plan.gate.confirm
            case Kind.RELEASED:
                assert not paused
                assert event.data["released"] >= released
                if event.data["phase"] != phase:
                    assert event.data["phase"] == phase + 1
                    assert phase < 0 or opened, "a phase began before the gate was open"
                    phase, opened = event.data["phase"], False
                released = event.data["released"]
            case Kind.URL_SENT:
                assert not paused, "a paused job hands out nothing"
    for done in set(range(phase)) - by_hand:
        amount, tally = job.plan.gate.success, standing.tallies[done]
        share = amount.nodes if amount.percent is None else tally.total * amount.percent / 100
        assert tally.updated >= share - 1e-6, "a phase began and the one before it had not met its gate"


SETTINGS = settings(
    max_examples=12 if STEPS <= 1000 else 100,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.mark.timeout(600)
@pytest.mark.sqlite
def test_no_act_leads_where_the_rules_forbid():
    """What is found here is made small."""
    run_state_machine_as_test(Campaigns, settings=SETTINGS)


@pytest.mark.timeout(0 if STEPS > 10_000 else 600)
@pytest.mark.sqlite
def test_no_long_life_leads_there_either():
    """Many lives of many steps, each from a number that the failure names."""
    seen: Counter[str] = Counter()
    for life in range(STEPS // STEPS_OF_A_LIFE):
        number = SEED * 1_000_000 + life
        world, chance = Campaigns(), random.Random(number)
        world.first(options_of(chance), chance.choice([0, 0, 0, 120]))
        for step in range(STEPS_OF_A_LIFE):
            try:
                world._one_of_many(chance)
                world.every_rule_holds()
            except AssertionError as error:
                raise AssertionError(f"life {number}, step {step}: {error}") from error
        world.tell_again()
        for piece in world.bench.service.log.all():
            seen.update(entry.event.kind.value for entry in piece)
        world.bench.store.close()
    assert {kind.value for kind in OF_CAMPAIGNS} <= seen.keys(), "the lives are too quiet to prove anything"
