"""Serving nodes: who asks is told, who reports is heard. ``jobs.py`` decides, this file does, in somebody's turn."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.events import THE_CLOUD, Actor, By, Event, Kind
from py_esp_ota.cloud.images import Images, StoredImage
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.joining import Joining
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.outbox import Letter, Outbox
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.texts import heard
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.rainmaker.messages import OTAURL, OtaStatusReport, OtaUrl, topic

AT_ONCE = 100
"""How many nodes a job that is pushed is handed to in one turn; the others follow, a turn after the other."""


SETTLE_S = 2.0
"""How long a node that connected has to subscribe to its topics: nothing tells that it has."""


class Serving:
    """``otafetch`` and ``otastatus`` as the cloud hears them, ``otaurl`` as it answers."""

    def __init__(
        self,
        turns: Turns,
        book: JobBook,
        nodes: NodeBook,
        images: Images,
        outbox: Outbox,
        joining: Joining,
        streams: Callable[[], bool] = lambda: True,
    ) -> None:
        self._joining = joining
        self._has_streams = streams
        self._turns = turns
        self._book = book
        self._nodes = nodes
        self._images = images
        self._outbox = outbox
        self._waiting: deque[tuple[str, str]] = deque()  # job and node of each push that has not begun
        self._absent: dict[str, list[str]] = {}  # jobs that were being pushed when the cloud ended, by node
        self._came: dict[str, None] = {}
        self._news = asyncio.Event()
        outbox.on_room(self._room)

    # ------------------------------------------------------------------------------------------------------------ hear

    def on_fetch(self, turn: Turn, node_id: str, fw_version: str, network_id: str | None = None) -> None:
        """A node asks for an update: it gets the best job there is for it, or silence, until its turn has come."""
        turn.nodes.runs(node_id, heard(fw_version))
        if network_id is not None:
            turn.nodes.network(node_id, heard(network_id, 64))
        turn.note("node", node_id)
        self._joining.join(turn, node_id)
        offers = [(standing.job, state) for standing, state in turn.offers(node_id)]
        choice = rules.choose(offers, fw_version, turn.now, partial(self.busy, turn, node_id))
        for job, state in choice.up_to_date:
            turn.happen(_of_cloud(Kind.UP_TO_DATE, job, rules.already_on_version(state, turn.now)))
        for job, state in choice.held_back:
            if not state.held_back:
                turn.happen(_of_node(Kind.HELD_BACK, job, node_id, turn.now))
        if choice.serve is not None and self._outbox.open:
            self.hand_out(turn, *choice.serve)

    def on_status(self, turn: Turn, node_id: str, report: OtaStatusReport) -> None:
        """A node reports on a job. Raises ``ValueError`` when it is no target of it: then there is nothing to keep."""
        ota_job_id = report.ota_job_id or ""
        try:
            state = turn.state(ota_job_id, node_id)
        except CloudError:
            state = None
        if state is None:
            raise ValueError("otastatus: no job with this ota_job_id has this node as a target")
        if report.network_id is not None:
            turn.nodes.network(node_id, heard(report.network_id, 64))
        ts = report.ts if report.ts is not None and 0 <= report.ts < 2**53 else None
        words = {"status": heard(report.status, 32), "additional_info": heard(report.additional_info), "ts": ts}
        by = By(Actor.NODE, node_id)
        turn.happen(Event(kind=Kind.REPORTED, time=turn.now, by=by, ota_job_id=ota_job_id, node_id=node_id, data=words))

    def busy(self, turn: Turn, node_id: str, job: OtaJob) -> bool:
        """Whether another node of its network is at a job. One that vanished holds the others up for an hour."""
        for neighbour in self._nodes.neighbours(node_id):
            state = turn.state(job.ota_job_id, neighbour)
            if state is not None and rules.at_it(state, turn.now):
                return True
        return False

    # ------------------------------------------------------------------------------------------------------------ tell

    def hand_out(self, turn: Turn, job: OtaJob, state: NodeState) -> None:
        """Note that the URL goes to a node, and send it when that is written."""
        turn.happen(_of_cloud(Kind.URL_SENT, job, rules.hand_out(state, turn.now)))
        turn.promise(job.ota_job_id, [state.node_id])
        image = self._images.within(turn.tx, job.ota_image_id)  # now: a letter that is sent must not ask the database
        turn.letters.append(
            Letter(
                topic(state.node_id, OTAURL),
                partial(self._otaurl, job, image, state.node_id),
                about=job.ota_job_id,
                kept_for=state.node_id,
                arrived=partial(self._turns.later, partial(_arrived, job.ota_job_id, state.node_id)),
                unsent=partial(self._turns.later, partial(_withdrawn, job, state)),
            )
        )

    def push(self, turn: Turn, ota_job_id: str, node_ids: Sequence[str]) -> None:
        """The URL to these nodes, whatever they run: a node refuses its own version itself."""
        for node_id in node_ids[:AT_ONCE]:
            self._push(turn, ota_job_id, node_id)
        later = node_ids[AT_ONCE:]
        turn.promise(ota_job_id, later)
        self._waiting.extend((ota_job_id, node_id) for node_id in later)

    def push_again(self, pushes: Iterable[tuple[str, str]]) -> None:
        """The URLs that the broker had not acknowledged when the cloud ended: each goes when its node is there."""
        for ota_job_id, node_id in pushes:
            self._absent.setdefault(node_id, []).append(ota_job_id)

    def came(self, node_ids: Iterable[str]) -> None:
        """Nodes connected, or the cloud found them connected."""
        self._came |= dict.fromkeys(node_ids)
        self._news.set()

    async def follow(self) -> NoReturn:
        """Bring to each node that came what waits for it."""
        self._news = asyncio.Event()  # of the loop that runs now
        self._news.set()
        while True:
            await self._news.wait()
            self._news.clear()
            came, self._came = self._came, {}
            await asyncio.sleep(SETTLE_S)
            if self._outbox.open:  # else they are told of again when it is
                there = {node_id: None for node_id in came if node_id in self._nodes.online}
                self._outbox.send_kept(there)
                self._waiting.extend((job, node_id) for node_id in there for job in self._absent.pop(node_id, ()))
                self._joining.came(there)
                self._room()

    def _room(self) -> None:
        if keys := [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]:
            self._turns.later(partial(self._push_these, keys))

    def _push_these(self, keys: Sequence[tuple[str, str]], turn: Turn) -> None:
        for key in keys:
            if key in self._book.pushes:  # else the node has asked for it since
                self._push(turn, *key)

    def _push(self, turn: Turn, ota_job_id: str, node_id: str) -> None:
        job, state = turn.standing(ota_job_id).job, turn.state(ota_job_id, node_id)
        if state is None or state.status not in rules.UNREPORTED or job.hold(state, turn.now) is not None:
            turn.arrived(ota_job_id, node_id)  # it spoke since, or it may not have the job any more
        elif job.network_serialised and self.busy(turn, node_id, job):
            turn.arrived(ota_job_id, node_id)
            if not state.held_back:
                turn.happen(_of_node(Kind.HELD_BACK, job, node_id, turn.now))
        else:
            self.hand_out(turn, job, state)

    def _otaurl(self, job: OtaJob, image: StoredImage, node_id: str) -> bytes | None:
        """The message that brings the job to a node, its download link made now; none when the node spoke since."""
        state = self._book.state(job.ota_job_id, node_id)
        if state is None or state.status is not NodeStatus.STARTED:
            return None
        return OtaUrl(
            ota_job_id=job.ota_job_id,
            url=self._images.url(job.ota_image_id),
            fw_version=job.fw_version,
            file_size=image.file_size,
            file_md5=image.file_md5,
            # Nothing that a node says tells how its build downloads, so every message names both ways.
            stream_id=job.ota_job_id if self._has_streams() else None,
            metadata=json.dumps(job.metadata) if job.metadata else None,
        ).encode()


def _of_cloud(kind: Kind, job: OtaJob, state: NodeState, data: Mapping[str, Any] | None = None) -> Event:
    """The cloud itself changes a node's state; the words are the state's, for its history."""
    words = {"status": state.status.value, "additional_info": state.additional_info}
    return Event(
        kind=kind,
        time=state.timestamp,
        by=THE_CLOUD,
        ota_job_id=job.ota_job_id,
        node_id=state.node_id,
        data=data or words,
    )


def _of_node(kind: Kind, job: OtaJob, node_id: str, now: int) -> Event:
    return Event(kind=kind, time=now, by=By(Actor.NODE, node_id), ota_job_id=job.ota_job_id, node_id=node_id)


def _arrived(ota_job_id: str, node_id: str, turn: Turn) -> None:
    turn.arrived(ota_job_id, node_id)


def _withdrawn(job: OtaJob, before: NodeState, turn: Turn) -> None:
    state = turn.state(job.ota_job_id, before.node_id)
    turn.arrived(job.ota_job_id, before.node_id)
    if state is not None and state.status is NodeStatus.STARTED:
        now = replace(before, timestamp=turn.now)
        turn.happen(_of_cloud(Kind.URL_WITHDRAWN, job, now, rules.taken_back(before)))
