"""0002: one log of everything that happened takes the place of the history of nodes in jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_EVENT = (
    ("time", BIG),
    ("kind", TEXT),
    ("actor", TEXT),
    ("who", TEXT),
    ("ota_job_id", TEXT),
    ("node_id", TEXT),
    ("ota_image_id", TEXT),
    ("user_name", TEXT),
    ("data", sa.JSON()),
)

_STATUSES = ("triggered", "started", "in-progress", "delayed", "success", "rejected", "failed")
_SENT, _WITHDRAWN, _UP_TO_DATE = "OTA URL Sent to Node", "The URL was not sent", "Already on this version"


def upgrade() -> None:
    """Tell the past as events, count the nodes of each job, and let the old history go."""
    op.create_table(
        "event",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        *(sa.Column(name, type_, nullable=False) for name, type_ in _EVENT),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("event_of_job", "event", ["ota_job_id", "node_id"])
    op.create_index("event_of_node", "event", ["node_id"])
    op.create_table(
        "push",
        sa.Column("job", BIG, sa.ForeignKey("job.number"), nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("job", "node_id"),
    )
    with op.batch_alter_table("job") as table:
        table.add_column(sa.Column("counts", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("closed", BIG, nullable=False, server_default="0"))
    tx = op.get_bind()
    past = _Past(tx)
    events = _in_order(past.events())
    if events:
        tx.execute(sa.insert(sa.table("event", *(sa.column(name, type_) for name, type_ in _EVENT))), events)
    past.count()
    with op.batch_alter_table("job") as table:
        table.alter_column("counts", server_default=None)
        table.alter_column("closed", server_default=None)
    op.drop_table("report")


class _Past:
    """What the tables of the first revision say."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx
        self._jobs = self._rows("job", "number", "nodes", "groups", "metadata")
        self._states = self._rows("job_node", "job, node_id")

    def _rows(self, table: str, order: str, *json: str) -> list[dict[str, Any]]:
        query = sa.text(f"SELECT * FROM {table} ORDER BY {order}").columns(  # noqa: S608 - names of our own
            **{name: sa.JSON() for name in json}
        )
        return [dict(row) for row in self._tx.execute(query).mappings()]

    def events(self) -> Iterator[Iterable[dict[str, Any]]]:
        """Everything that happened to each thing, in order."""
        for node in self._rows("node", "registration_timestamp, node_id"):
            yield [_event(node["registration_timestamp"] * 1000, "node_joined", "node", node_id=node["node_id"])]
        for image in self._rows("image", "number"):
            facts = image | {"archived": False}
            told = {"ota_image_id": image["ota_image_id"]}
            events = [_event(image["upload_timestamp"], "image_uploaded", "admin", **told, data=facts)]
            if image["archived"]:
                events.append(_event(image["upload_timestamp"], "image_archived", "admin", **told))
            yield events
        targets = defaultdict(list)
        for state in self._states:
            targets[state["job"]].append(state)
        reports = defaultdict(list)
        for report in self._rows("report", "number"):
            reports[report["job"]].append(report)
        for job in self._jobs:
            yield _of_job(job, targets[job["number"]], reports[job["number"]])

    def count(self) -> None:
        """How many nodes of each job have each status, and how many are closed."""
        job = sa.table("job", sa.column("number"), sa.column("counts", sa.JSON()), sa.column("closed"))
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        closed: Counter[int] = Counter()
        for state in self._states:
            counts[state["job"]][state["status"]] += 1
            closed[state["job"]] += bool(state["closed"])
        for number, of in counts.items():
            values = {"counts": {status: of[status] for status in _STATUSES if of[status]}, "closed": closed[number]}
            self._tx.execute(sa.update(job).where(job.c.number == number).values(values))


def _in_order(past: Iterable[Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All of it by time; what happened to one thing, and in one moment, as it is told, however the clock jumped."""
    told: list[tuple[int, dict[str, Any]]] = []
    for events in past:
        latest = 0
        for event in events:
            latest = max(latest, event["time"])
            told.append((latest, event))
    return [event for _, event in sorted(told, key=itemgetter(0))]


def _event(time: int, kind: str, actor: str, **about: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {name: "" for name, _ in _EVENT} | {"data": {}}
    return nothing | {"time": time, "kind": kind, "actor": actor} | about


def _of_job(
    job: dict[str, Any], states: list[dict[str, Any]], reports: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    about = {"ota_job_id": job["ota_job_id"]}
    facts = {name: value for name, value in job.items() if name not in {"counts", "closed", "deadline"}}
    facts |= {"cancelled_timestamp": None, "archived": False, "targets": [state["node_id"] for state in states]}
    facts |= {name: bool(job[name]) for name in ("force_push", "user_approval")}
    begun = job["triggered_timestamp"]
    yield _event(begun, "job_created", "admin", **about, ota_image_id=job["ota_image_id"], data=facts)
    for state in states:
        if state["approved"]:
            yield _event(begun, "approved", "user", **about, node_id=state["node_id"])
    last: dict[str, dict[str, Any]] = {}
    for report in reports:
        node_id = report["node_id"]
        words = {"status": report["status"], "additional_info": report["additional_info"]}
        if report["by_node"]:
            kind, actor, words = "reported", "node", words | {"ts": report["ts"]}
        elif report["additional_info"] == _SENT:
            kind, actor = "url_sent", "cloud"
        elif report["additional_info"] == _UP_TO_DATE:
            kind, actor = "up_to_date", "cloud"
        elif report["additional_info"] == _WITHDRAWN:
            before = last.get(node_id, {"additional_info": "", "timestamp": begun})
            kind, actor = "url_withdrawn", "cloud"
            words["before"] = {name: before[name] for name in ("additional_info", "timestamp")} | {"failing": False}
        elif report["status"] == "triggered":
            continue  # the event with which the job began says so
        else:
            kind, actor = "expired", "clock"
        if kind not in {"url_sent", "url_withdrawn"}:
            last[node_id] = report
        who = node_id if actor == "node" else ""
        yield _event(report["timestamp"], kind, actor, **about, node_id=node_id, who=who, data=words)
    if job["cancelled_timestamp"] is not None:
        yield _event(job["cancelled_timestamp"], "job_cancelled", "admin", **about)
        if job["archived"]:
            yield _event(job["cancelled_timestamp"], "job_archived", "admin", **about)
