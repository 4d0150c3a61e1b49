"""The cloud of this package as the desk of a world: its database, rules and download. A restart keeps the rows alone.

What a job is made with goes to the service itself and not through REST, of which every answer has tests of its own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Table, select

from py_esp_ota.adapters.asgi import AsgiFetch
from py_esp_ota.adapters.memory import MemoryBroker
from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.cloud.api import download, errors
from py_esp_ota.cloud.history import lines
from py_esp_ota.cloud.jobs import NodeStatus, at_it
from py_esp_ota.cloud.models import JobNodeRow, JobRow
from py_esp_ota.cloud.plan import AT_ONCE, Plan
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.errors import FetchError
from py_esp_ota.hunt.desk import AT_WORK, Order, Word
from py_esp_ota.hunt.hand_outs import HandOut, Watched
from py_esp_ota.ports import Clock, Fetch, MqttSession, Response
from py_esp_ota.world import LAB_URL

_ROWS: tuple[Table, ...] = (JobRow.__table__, JobNodeRow.__table__)  # type: ignore[assignment]

_ONE_BY_ONE = Plan.from_json(
    {
        "phases": ["1", "rest"],
        "gate": {"success": "100%", "hold": 20},
        "abort": {"failed": "1", "rolled_back": "1"},
    }
)


class RealDesk:
    """``Desk`` over a ``CloudService``."""

    def __init__(self, broker: MemoryBroker, clock: Clock, images: Sequence[bytes]) -> None:
        self.orders: list[Order] = []
        self.handed: list[HandOut] = []
        self._approved: set[tuple[str, str]] = set()
        self.fetch: Fetch = self._fetch
        self._broker = broker
        self._clock = clock
        self._images = images
        self._token_hex = Repeatable().token_hex
        self._store = Store()
        self._app = FastAPI(routes=list(download.router.routes), openapi_url=None, docs_url=None, redoc_url=None)
        errors.install(self._app)
        self._asgi = AsgiFetch(self._app)
        self._ids: dict[int, str | None] = {}
        self._told: defaultdict[tuple[str, str], list[Word]] | None = None
        self._life: asyncio.Task[None] | None = None
        self.service: CloudService
        broker.on_presence(self._on_presence)

    # ----------------------------------------------------------------------------------------------------------- life

    async def open(self) -> None:
        """A new process on the same database."""
        self.service = CloudService(
            self._store, clock=self._clock, public_url=LAB_URL, token_hex=self._token_hex, streams=lambda: True
        )
        self._app.state.service = self.service
        self._life = asyncio.create_task(self.service.run(self._session), name="the cloud's half on MQTT")
        for node_id in self._broker.connected:
            self._on_presence(node_id, connected=True)
        await self.service.wait_connected()

    async def close(self) -> None:
        """The process ends; its database is closed with the world."""
        if self._life is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life
            self._life = None

    async def restart(self, seconds: float) -> None:
        """Be killed, be away, and come again."""
        await self.close()
        await asyncio.sleep(seconds)
        await self.open()

    def end(self) -> None:
        """The world is over."""
        self._store.close()

    def _on_presence(self, node_id: str, connected: bool) -> None:
        if self._life is not None and not self._life.done() and node_id != "cloud":
            self.service.intake.on_presence(node_id, connected)

    @asynccontextmanager
    async def _session(self, client_id: str) -> AsyncIterator[MqttSession]:
        async with self._broker.session(client_id) as session:
            yield Watched(session, self._see)

    def _see(self, node_id: str, job_id: str) -> None:
        """A job goes to a node now."""
        order = next(order for order in self.orders if order.job_id == job_id)
        cancelled = self.service.jobs.get(job_id).job.cancelled_timestamp
        now = self._clock.now() * 1000
        states = [state for each in order.nodes if (state := self.service.jobs.state(job_id, each)) is not None]
        others = [state for state in states if state.node_id != node_id and not state.failing]
        self.handed.append(
            HandOut(
                job_id,
                node_id,
                order.policy,
                order.nodes.index(node_id),
                opened=any(state.node_id == order.nodes[0] and state.status is NodeStatus.SUCCESS for state in states),
                approved=(job_id, node_id) in self._approved,
                beside=any(at_it(state, int(now)) and state.timestamp < now for state in others),
                over=cancelled is not None and cancelled < now,
            )
        )

    @asynccontextmanager
    async def _fetch(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        if self._life is None:
            raise FetchError("connect", "the cloud is away", 111)
        async with self._asgi(url, headers) as response:
            yield response

    # ----------------------------------------------------------------------------------------------------------- jobs

    def order(self, image: int, nodes: Sequence[str], metadata: Mapping[str, Any], policy: str = "") -> Order | None:
        """Upload the image when it is new, and start a job."""
        known = [node_id for node_id in nodes if self.service.nodes.is_known(node_id)]
        ota_image_id = self._upload(image)
        if self._life is None or ota_image_id is None or not known:
            return None
        name = f"job {len(self.orders)}"
        made = self.service.jobs.create(
            name,
            ota_image_id,
            nodes=known,
            force_push=True,
            metadata=metadata,
            user_approval=policy == "approval",
            network_serialised=policy == "serialised",
            plan=_ONE_BY_ONE if policy == "phases" and len(known) > 1 else AT_ONCE,
        )
        order = Order(made.job.ota_job_id, image, tuple(known), policy)
        self.orders.append(order)
        return order

    def _upload(self, image: int) -> str | None:
        if image not in self._ids:
            try:
                stored = self.service.images.add(f"image {image}", self._images[image])
                self._ids[image] = stored.ota_image_id
            except CloudError:
                self._ids[image] = None
        return self._ids[image]

    def approve(self, node_id: str) -> None:
        """Its user says yes, and is refused when the node is away or has nothing to wait for."""
        order = next((order for order in reversed(self.orders) if node_id in order.nodes), None)
        if order is None or self._life is None or order.policy != "approval":
            return
        with suppress(CloudError):
            self.service.jobs.approve_update(node_id, order.job_id)
            self._approved.add((order.job_id, node_id))

    def cancel(self, order: Order) -> None:
        """Cancel it; who holds the URL goes on."""
        if self._life is not None:
            self.service.jobs.cancel(order.job_id)

    def words(self, order: Order, node_id: str) -> list[Word]:
        """What the log has of a job on a node. Read once, when the world is at its end."""
        if self._told is None:
            self._told = defaultdict(list)
            for piece in self.service.log.all():
                for entry in piece:
                    place = entry.event.ota_job_id, entry.event.node_id
                    self._told[place] += [Word(line.status, line.additional_info) for line in lines(entry)]
        return self._told[order.job_id, node_id]

    def at_work(self, order: Order, node_id: str) -> bool:
        """By its state in the job."""
        state = self.service.jobs.state(order.job_id, node_id)
        return state is not None and state.status.value in AT_WORK

    def closed(self, order: Order, node_id: str) -> bool:
        """Whether the job is over for it."""
        state = self.service.jobs.state(order.job_id, node_id)
        return state is None or state.closed or self.service.jobs.get(order.job_id).job.cancelled_timestamp is not None

    # ---------------------------------------------------------------------------------------------------------- books

    def flaw(self) -> str:
        """Jobs whose nodes do not add up, and rows that the log does not tell again."""
        for order in self.orders:
            summary = self.service.jobs.summary(order.job_id)
            total = summary["total"]
            told = sum(number for status, number in summary.items() if status != "total")
            states = self.service.jobs.node_status(order.job_id, num_records=len(order.nodes) + 1)
            if not total == told == len(order.nodes) == len(states.items):
                return f"job {order.job_id} is for {len(order.nodes)} nodes: its summary says {summary}"
        return ""

    def marks(self) -> Iterator[str]:
        """What became of phases, limits, approvals and networks."""
        handed = {(hand.job_id, hand.node_id) for hand in self.handed}
        if any(hand.policy == "phases" and hand.place for hand in self.handed):
            yield "phase-begun"
        for order in self.orders:
            if self.service.jobs.get(order.job_id).job.progress.aborted:
                yield "campaign-aborted"
            if order.policy == "serialised" and sum((order.job_id, node_id) in handed for node_id in order.nodes) > 1:
                yield "neighbour-waited"
            if order.policy == "approval":
                given = [(order.job_id, node_id) in handed for node_id in order.nodes]
                yield from {"approval-given" if was else "approval-withheld" for was in given}

    def refolded(self) -> str:
        """What differs when the rows are made anew from the log, ``""`` when nothing does. For a cloud at rest."""
        before = self._rows()
        rebuild(self._store)
        after = self._rows()
        wrong = [(one, two) for one, two in zip(before, after, strict=False) if one != two]
        if wrong or len(before) != len(after):
            return f"the log tells {len(after)} rows for {len(before)}; the first that differs: {wrong[:1]}"
        return ""

    def _rows(self) -> list[dict[str, Any]]:
        with self._store.connect() as tx:
            return [
                dict(row)
                for table in _ROWS
                for row in tx.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
