"""Nodes that join a continuous job: whoever belongs to its groups when it asks, or connects, is one more target."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sqlalchemy import Table, exists, select

from py_esp_ota.cloud.events import THE_CLOUD, Event, Kind
from py_esp_ota.cloud.groups import Groups
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.models import EventRow
from py_esp_ota.cloud.targets import wrong_chip
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns

_EVENT: Table = EventRow.__table__  # type: ignore[assignment]


class Joining:
    """Looks whether a node is new to a job that goes on."""

    def __init__(self, turns: Turns, book: JobBook, groups: Groups) -> None:
        self._turns = turns
        self._book = book
        self._groups = groups

    def join(self, turn: Turn, node_id: str) -> None:
        """Add a node to every continuous job it belongs to, in somebody's turn."""
        if self._book.continuous:
            turn.nodes.write()  # what the node has just said counts
        for ota_job_id in self._book.continuous:
            job = turn.standing(ota_job_id).job
            if job.over or turn.now > job.deadline or turn.state(ota_job_id, node_id) is not None:
                continue
            if self._groups.holds(turn.tx, job.groups, node_id, job.admin_id):
                why = "" if job.any_chip else wrong_chip(turn.tx, job.ota_image_id, node_id)
                if not why:
                    turn.happen(_event(Kind.NODE_ADDED, turn, ota_job_id, node_id))
                elif not _told(turn, ota_job_id, node_id):
                    turn.happen(_event(Kind.JOIN_REFUSED, turn, ota_job_id, node_id, why=why))

    def came(self, node_ids: Iterable[str]) -> None:
        """These nodes are there now: a job that is pushed reaches them without their asking."""
        if self._book.continuous:
            for node_id in node_ids:
                self._turns.later(partial(_join, self, node_id))


def _event(kind: Kind, turn: Turn, ota_job_id: str, node_id: str, **data: object) -> Event:
    return Event(kind=kind, time=turn.now, by=THE_CLOUD, ota_job_id=ota_job_id, node_id=node_id, data=data)


def _told(turn: Turn, ota_job_id: str, node_id: str) -> bool:
    """Whether the log says already that a node was refused: it asks again and again."""
    about = (_EVENT.c.ota_job_id == ota_job_id, _EVENT.c.node_id == node_id)
    return bool(turn.tx.scalar(select(exists().where(_EVENT.c.kind == Kind.JOIN_REFUSED.value, *about))))


def _join(joining: Joining, node_id: str, turn: Turn) -> None:
    joining.join(turn, node_id)
