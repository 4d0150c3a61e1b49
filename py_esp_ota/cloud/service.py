"""The whole cloud as one object: what the REST API, the web page and the lab hold.

Its parts, one file each, hold what they need of each other: ``images``, ``nodes``, ``groups``, ``mappings`` and
``sharing`` (which users a node has), ``field`` (all nodes at a glance), ``jobs``, ``campaigns`` (what their plans make
of them), ``monitor`` (how they go), ``serving`` (what nodes are answered), ``streams`` (images block by block),
``intake`` (what they say), ``outbox`` (what they are told), ``boards`` (what they are made of), ``previews`` (what a
job would meet), ``webhooks`` (who else is told), ``log`` (what happened), ``live`` (which pages are told of it). This
file puts them together and adds the life of the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from py_esp_ota.cloud.board_notes import Boards
from py_esp_ota.cloud.calls import Calls
from py_esp_ota.cloud.campaigns import Campaigns
from py_esp_ota.cloud.event_log import EventLog
from py_esp_ota.cloud.field import Field
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.groups import Groups
from py_esp_ota.cloud.images import Images
from py_esp_ota.cloud.intake import Intake
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.jobs import DEFAULT_FETCH_CYCLES
from py_esp_ota.cloud.joining import Joining
from py_esp_ota.cloud.mapping import Mappings
from py_esp_ota.cloud.monitor import Monitoring
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.nodes import CLIENT_ID, Nodes
from py_esp_ota.cloud.otajobs import Jobs
from py_esp_ota.cloud.outage import outage, pauses
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.previews import Previews
from py_esp_ota.cloud.rehearsing import Rehearsing
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.cloud.sharing import Sharing
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.streams import Streams
from py_esp_ota.cloud.targets import Targets
from py_esp_ota.cloud.tokens import Ids, Links, TokenHex
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.cloud.webhooks import Webhooks
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Clock, MqttSession, MqttSessionConnect, Post

log = logging.getLogger(__name__)

RECONNECT_S = 1.0
RECONNECT_LIMIT_S = 30.0
EXPIRY_CHECK_S = 3600.0  # the wall clock may be set, so that no sleep is longer


class CloudService:
    """A RainMaker-compatible OTA cloud.

    The actions are plain calls and take effect at once; ``run`` is the connection to the broker. Without it jobs can
    be made and watched, but nothing reaches a node. ``streams`` says whether the broker delivers topics that begin with
    ``$aws/things``, so that nodes may have their images over MQTT.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        public_url: str | Callable[[], str],
        token_hex: TokenHex,
        max_fetch_cycles: int = DEFAULT_FETCH_CYCLES,
        streams: Callable[[], bool] = lambda: True,
    ) -> None:
        ids = Ids(token_hex)
        self.store = store
        self.ground = Ground(store, clock, ids)
        self.live = self.ground.live
        self.log = EventLog(store)
        self.links = Links(store.setting("link_key", ids.key), public_url)
        self.outbox = Outbox()
        jobs, nodes = JobBook(), NodeBook()
        with store.begin() as tx:
            jobs.load(tx)
            nodes.load(tx.connection())
        self.turns = turns = Turns(self.ground, jobs, nodes, self.outbox)
        self.images = Images(self.ground, self.links)
        self.nodes = Nodes(self.ground, turns, nodes, self.outbox)
        self.webhooks = Webhooks(self.ground)
        self.field = Field(self.ground, turns)
        self.mappings = Mappings(self.ground, turns)
        self.sharing = Sharing(self.ground, turns)
        self.groups = Groups(self.ground, turns, jobs)
        self.boards = Boards(self.ground, turns)
        joining = Joining(turns, jobs, self.groups)
        self.groups.on_added = joining.came
        self.serving = Serving(turns, jobs, nodes, self.images, self.outbox, joining, streams)
        self.serving.push_again(jobs.pushes)
        self.streams = Streams(self.images, self.outbox)
        self.campaigns = Campaigns(self.ground, turns, jobs, nodes, self.serving, self.outbox)
        self.jobs = Jobs(self.ground, turns, jobs, self.nodes, self.groups, self.serving, self.outbox, max_fetch_cycles)
        targets = Targets(self.nodes, self.groups)
        self.previews = Previews(self.ground, turns, jobs, nodes, self.images, targets, self.boards)
        self.rehearsing = Rehearsing(
            self.ground, turns, self.jobs, nodes, self.images, self.previews, targets, self.boards
        )
        self.monitor = Monitoring(self.ground)
        self.intake = Intake(self.ground, turns, nodes, self.nodes, self.mappings, self.serving, self.streams)
        self._waiters: list[asyncio.Future[None]] = []
        self._online = nodes.online
        self._hears = False
        self._gone: float | None = None  # since when there is no broker
        self._pause = RECONNECT_S

    def __repr__(self) -> str:
        return f"<CloudService, {'hears its nodes' if self.connected else 'hears no nodes'}>"

    @property
    def connected(self) -> bool:
        """Whether the cloud hears its nodes now."""
        return self._hears

    async def wait_connected(self) -> None:
        """Return when the cloud hears its nodes: from then on no message of theirs is lost."""
        if not self.connected:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def run(self, connect: MqttSessionConnect, post: Post | None = None) -> NoReturn:
        """Serve nodes over MQTT for ever, connecting again whenever the broker goes away.

        Webhooks are told through ``post``; without it they wait.
        """
        made = asyncio.Event()
        self.campaigns.on_earlier = made.set
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_deadlines(made))
            group.create_task(self.intake.do_chores())
            group.create_task(self.serving.follow())
            if post is not None:
                group.create_task(Calls(self.webhooks, self.ground, post).make())
            await self._stay_connected(connect)
        raise AssertionError("unreachable")  # all of them go on for ever

    async def _stay_connected(self, connect: MqttSessionConnect) -> NoReturn:
        time = asyncio.get_running_loop().time
        while True:
            try:
                async with connect(CLIENT_ID) as mqtt:
                    await self._serve(mqtt)
            except* MqttError as lost:
                known = self._gone is not None
                log.log(logging.DEBUG if known else logging.WARNING, "no broker, trying again: %s", lost.exceptions[0])
                self._gone = self._gone if known else time()
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, RECONNECT_LIMIT_S)

    async def _serve(self, mqtt: MqttSession) -> None:
        """One connection, until it ends: raises ``MqttError``."""
        self.outbox.start()
        self.serving.came(sorted(self._online))
        # No TaskGroup: one that fails already swallows a cancellation, and the cloud would never end.
        lives = [self._subscribe(mqtt), self.outbox.deliver(mqtt), self.intake.listen(mqtt)]
        parts = [asyncio.create_task(life) for life in lives]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._hears = False
            for part in parts:
                part.cancel()
            ends = await asyncio.gather(*parts, return_exceptions=True)
            self.outbox.close()  # not before: who delivers must find what is on its way
        # A mistake of the program comes before the lost connection, and both before the part that was only stopped.
        raised = [end for end in ends if end is not None]
        raise min(raised, key=lambda end: 2 * isinstance(end, asyncio.CancelledError) + isinstance(end, MqttError))

    async def _subscribe(self, mqtt: MqttSession) -> None:
        """While others listen already: what has waited for the cloud comes before the broker's answers."""
        for topic_filter in self.intake.TOPIC_FILTERS:
            await mqtt.subscribe(topic_filter)
        if self._gone is not None:
            log.warning("the broker is back after %.0f s", asyncio.get_running_loop().time() - self._gone)
        self._gone, self._pause, self._hears = None, RECONNECT_S, True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _watch_deadlines(self, made: asyncio.Event) -> NoReturn:
        retry = pauses()
        while True:
            try:
                deadline = self.campaigns.look()
            except Exception as error:
                if not (why := outage(error)):
                    raise
                seconds = next(retry)
                log.error("deadlines of jobs wait, looking again in %g s: %s", seconds, why)
                await asyncio.sleep(seconds)
                continue
            retry = pauses()
            made.clear()
            pause = None if deadline is None else min((deadline - self.ground.now_ms() + 1) / 1000, EXPIRY_CHECK_S)
            try:
                async with asyncio.timeout(pause):
                    await made.wait()
            except TimeoutError:
                continue
