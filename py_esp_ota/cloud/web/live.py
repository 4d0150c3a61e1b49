"""Server-sent events: what changed, rendered, as soon as the cloud knows it.

Every stream begins with the present state, so that a browser that lost its connection needs no reload.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import get_args

from sqlalchemy import func, select

from py_esp_ota.cloud.live import Kind, Live, Notice
from py_esp_ota.cloud.models import EventRow
from py_esp_ota.cloud.store import Store

PAUSE_S = 0.2
"""Between two looks at what changed: quick for the eye, and busy nodes cost no more than five renderings a second."""

Parts = Mapping[str, str]
"""Fragments by event name."""


def event(name: str, data: str) -> str:
    """One server-sent event; no text can end it early."""
    lines = re.split(r"\r\n|[\r\n]", data)
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


async def batches(events: Live) -> AsyncIterator[frozenset[Notice]]:
    """An empty batch once listening, so that what is looked up then misses nothing; after it what changed, together."""
    arrived: set[Notice] = set()
    wake = asyncio.Event()

    async def collect() -> None:
        async for notice in events.subscribe():
            arrived.add(notice)
            wake.set()

    collector = asyncio.create_task(collect())
    collector.add_done_callback(lambda _: wake.set())
    try:
        await asyncio.sleep(0)  # the collector listens
        yield frozenset()
        while not collector.done() or arrived:
            await wake.wait()
            wake.clear()
            batch = frozenset(arrived)
            arrived.clear()
            if batch:
                yield batch
                await asyncio.sleep(PAUSE_S)
    finally:
        collector.cancel()


async def changed_kinds(events: Live) -> AsyncIterator[str]:
    """For list pages: the event ``image``, ``job`` or ``node`` whenever one of them changed.

    It begins with all three: what changed between a page and its stream, or while the stream was broken, is not lost.
    """
    async for batch in batches(events):
        for kind in sorted({notice.kind for notice in batch} or get_args(Kind)):
            yield event(kind, "")


def reported_since(store: Store, ota_job_id: str, number: int) -> tuple[int, set[str]]:
    """The nodes whose history in a job grew since report ``number``, and the newest number."""
    with store.begin() as tx:
        query = (
            select(EventRow.node_id, func.max(EventRow.number).label("number"))
            .where(EventRow.ota_job_id == ota_job_id, EventRow.node_id != "", EventRow.number > number)
            .group_by(EventRow.node_id)
        )
        newest = {row.node_id: row.number for row in tx.execute(query)}
    return max(newest.values(), default=number), set(newest)


async def monitor(
    events: Live,
    store: Store,
    ota_job_id: str,
    shown: Iterable[str],
    render: Callable[[Iterable[str]], Parts],
) -> AsyncIterator[str]:
    """The job monitor: ``render`` gives the job's fragments and those of the nodes it is asked for.

    Only nodes that are ``shown`` are rendered, only when they did something, and only what differs is sent.
    """
    visible = set(shown)
    sent: dict[str, str] = {}
    newest = 0
    async for batch in batches(events):
        first = not sent
        if not first and not any(_concerns(notice, ota_job_id, visible) for notice in batch):
            continue
        newest, reported = reported_since(store, ota_job_id, newest)
        moved = {notice.id for notice in batch if notice.kind == "node"}
        for name, html in render(sorted(visible if first else (reported | moved) & visible)).items():
            if sent.get(name) != html:
                sent[name] = html
                yield event(name, html)


def _concerns(notice: Notice, ota_job_id: str, visible: set[str]) -> bool:
    return notice == Notice("job", ota_job_id) or (notice.kind == "node" and notice.id in visible)
