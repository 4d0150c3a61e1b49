"""What the cloud knows of its nodes without asking the database, and what one transaction changes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from py_esp_ota.cloud.models import (
    BoardRow,
    GroupNodeRow,
    MappingRequestRow,
    NodeRow,
    NodeTagRow,
    NodeUserRow,
    NodeWordRow,
)
from py_esp_ota.cloud.roles import LOCAL_ADMIN, NodeRole
from py_esp_ota.cloud.store import execute_many

_NODE: Table = NodeRow.__table__  # type: ignore[assignment]

_USER: Table = NodeUserRow.__table__  # type: ignore[assignment]

_ABOUT = (NodeTagRow, NodeUserRow, MappingRequestRow, NodeWordRow, BoardRow, GroupNodeRow, NodeRow)

_OF_NODES: list[Table] = [row.__table__ for row in _ABOUT]  # type: ignore[misc]
"""Everything that is about one node, the node last: the others refer to it."""

_NEW, _MAP = insert(_NODE), insert(_USER)
_READ = select(_NODE.c.node_id, _NODE.c.params).where(_NODE.c.node_id.in_(bindparam("of", expanding=True)))
_CHANGE = update(_NODE).where(_NODE.c.node_id == bindparam("of"))


class NodeBook:
    """What every node runs, and who is connected."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.online: set[str] = set()
        self.networks: dict[str, str] = {}
        """The Thread network of each node that told of one."""
        self._of_network: dict[str, set[str]] = {}
        self.gone: set[str] = set()
        """Forgotten, and not connected since: what is still on its way from them comes from nobody."""

    def load(self, tx: Connection) -> None:
        """Read it from the database, when the cloud starts: nobody is connected to it yet."""
        tx.execute(update(_NODE).where(_NODE.c.connected).values(connected=False))
        rows = tx.execute(select(_NODE.c.node_id, _NODE.c.fw_version, _NODE.c.network_id)).all()
        self.versions = {row.node_id: row.fw_version for row in rows}
        for row in rows:
            if row.network_id:
                self.settle(row.node_id, row.network_id)

    def is_online(self, node_id: str) -> bool:
        """Whether a node is connected now."""
        return node_id in self.online

    def settle(self, node_id: str, network_id: str) -> None:
        """A node is in a network; empty is none."""
        self._of_network.get(self.networks.pop(node_id, ""), set()).discard(node_id)
        if network_id:
            self.networks[node_id] = network_id
            self._of_network.setdefault(network_id, set()).add(node_id)

    def neighbours(self, node_id: str) -> list[str]:
        """The other nodes of its network, by id."""
        return sorted(self._of_network.get(self.networks.get(node_id, ""), set()) - {node_id})


class NodeChanges:
    """The nodes in one transaction: columns to write, by node. Nothing is in the book before it is committed."""

    def __init__(self, book: NodeBook, tx: Connection, now_s: int) -> None:
        self._book = book
        self._tx = tx
        self._now_s = now_s
        self._columns: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, None] = {}  # joined, and not in the database yet
        self._forgotten: dict[str, None] = {}
        self._versions: dict[str, str] = {}
        self._networks: dict[str, str] = {}
        self._params: dict[str, Mapping[str, Any]] = {}  # those that are known, as they are in the database
        self.joined: dict[str, None] = {}  # nodes that were never heard of before

    def known(self, node_id: str) -> dict[str, Any]:
        """The columns of a node that change; one that gave its first sign is new, one that is gone has none."""
        if node_id in self._book.gone:
            return {"params": {}}
        columns = self._columns.get(node_id)
        if columns is None:
            columns = self._columns[node_id] = {}
            if node_id not in self._book.versions and node_id not in self.joined:
                self.joined[node_id] = self._fresh[node_id] = None
                columns |= _new(node_id, self._now_s)
        return columns

    def heard_of(self, node_id: str) -> bool:
        """Whether there is such a node."""
        return node_id in self._book.versions or node_id in self.joined

    def forget(self, node_ids: Sequence[str]) -> None:
        """Delete nodes and what was noted of them."""
        self.write()
        for table in _OF_NODES:
            self._tx.execute(delete(table).where(table.c.node_id.in_(node_ids)))
        self._forgotten |= dict.fromkeys(node_ids)

    def runs(self, node_id: str, version: str) -> None:
        """A node says what it runs."""
        if self._versions.get(node_id, self._book.versions.get(node_id)) != version or node_id in self._columns:
            self.known(node_id)["fw_version"] = version

    def network(self, node_id: str, network_id: str) -> None:
        """A node says in which network it is."""
        if self._networks.get(node_id, self._book.networks.get(node_id, "")) != network_id:
            self.known(node_id)["network_id"] = self._networks[node_id] = network_id

    def read_params(self, node_ids: Iterable[str]) -> None:
        """Ask at once for the parameters of nodes that are going to report some."""
        asked = [each for each in dict.fromkeys(node_ids) if each in self._book.versions and each not in self._params]
        if asked:
            self._params |= {row.node_id: row.params for row in self._tx.execute(_READ, {"of": asked})}

    def params(self, node_id: str) -> Mapping[str, Any]:
        """The parameters of a node so far."""
        columns = self.known(node_id)
        if "params" not in columns:
            self.read_params([node_id])
            columns["params"] = self._params[node_id]
        params: Mapping[str, Any] = columns["params"]
        return params

    def write(self) -> None:
        """Into the database; what changes afterwards is written by the next call."""
        self._versions |= {node: each["fw_version"] for node, each in self._columns.items() if "fw_version" in each}
        self._params |= {node: each["params"] for node, each in self._columns.items() if "params" in each}
        fresh = [self._columns.pop(node_id) for node_id in self._fresh]
        if fresh:
            execute_many(self._tx, _NEW, fresh)
            self._claim(list(self._fresh))
            self._fresh.clear()
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for node_id, columns in self._columns.items():
            if columns:
                alike[tuple(sorted(columns))].append(columns | {"of": node_id})
        for rows in alike.values():  # those of one statement set the same columns
            execute_many(self._tx, _CHANGE, rows)
        self._columns.clear()

    def _claim(self, fresh: list[str]) -> None:
        """The local admin, who has claimed every node, is its first user."""
        columns = {"user_id": LOCAL_ADMIN, "role": NodeRole.PRIMARY.value, "mapping_timestamp": self._now_s}
        execute_many(self._tx, _MAP, [columns | {"node_id": node_id} for node_id in fresh])

    def commit(self) -> None:
        """Into the book."""
        self._book.versions |= self._versions
        for node_id, network_id in self._networks.items():
            self._book.settle(node_id, network_id)
        for node_id in self._forgotten:
            self._book.versions.pop(node_id, None)
            self._book.online.discard(node_id)
            self._book.settle(node_id, "")
        self._book.gone.update(self._forgotten)


def _new(node_id: str, now_s: int) -> dict[str, Any]:
    return {
        "node_id": node_id,
        "name": "",
        "type": "",
        "model": "",
        "fw_version": "",
        "project_name": "",
        "platform": "",
        "network_id": "",
        "config": {},
        "params": {},
        "metadata": {},
        "admin_id": LOCAL_ADMIN,
        "connected": False,
        "connectivity_timestamp": now_s * 1000,
        "registration_timestamp": now_s,
    }
