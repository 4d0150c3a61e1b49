"""Users are told that an update waits for them: as events, which who brings messages to people can follow.

RainMaker's cloud sends push notifications to phones. This one knows no phones: it says in its log whom to tell, once
for each node, when the node's turn has come and its user is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select

from py_esp_ota.cloud.events import THE_CLOUD, Event, Kind
from py_esp_ota.cloud.jobs import OtaJob
from py_esp_ota.cloud.models import NodeUserRow, UserRow
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.roles import LOCAL_ADMIN
from py_esp_ota.cloud.store import rows_of
from py_esp_ota.cloud.turn import Turn


def notify(turn: Turn, job: OtaJob, nodes: NodeBook, node_ids: Sequence[str]) -> None:
    """Say of each of these nodes who is to be told; nothing of one that has no user, or runs the version already."""
    if not (job.notify and job.user_approval):
        return
    waiting = [node_id for node_id in node_ids if nodes.versions.get(node_id) != job.fw_version]
    query = (
        select(NodeUserRow.node_id, UserRow.user_name)
        .join(UserRow, UserRow.user_id == NodeUserRow.user_id)
        .where(NodeUserRow.node_id.in_(select(rows_of(turn.tx, waiting).c.value)), UserRow.user_id != LOCAL_ADMIN)
        .order_by(UserRow.user_name)
    )
    users: dict[str, list[str]] = defaultdict(list)
    for node_id, user_name in turn.tx.execute(query):
        users[node_id].append(user_name)
    for node_id in waiting:
        if node_id in users:
            turn.happen(
                Event(
                    kind=Kind.USERS_NOTIFIED,
                    time=turn.now,
                    by=THE_CLOUD,
                    ota_job_id=job.ota_job_id,
                    node_id=node_id,
                    data={"users": users[node_id], "description": job.description},
                )
            )
