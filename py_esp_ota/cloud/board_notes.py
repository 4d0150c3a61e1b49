"""What was noted of boards: by an admin who has read a flash, and of virtual nodes by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, Text, cast, delete, insert, select

from py_esp_ota.cloud.boards import AppFact, BoardFacts, OtadataFact
from py_esp_ota.cloud.events import THE_ADMIN, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.models import BoardRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import rows_of
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.cloud.virtual_nodes import FlashLook
from py_esp_ota.strict_json import read_json

_BOARD: Table = BoardRow.__table__  # type: ignore[assignment]

_BY_ROLLBACK_ONLY = frozenset({"PENDING_VERIFY", "ABORTED"})
"""States of an otadata entry that nobody writes but a bootloader with rollback."""


class Boards:
    """What is known of each board. ``virtual`` tells of those that are simulated beside the cloud."""

    def __init__(self, ground: Ground, turns: Turns) -> None:
        self._ground = ground
        self._turns = turns
        self.virtual: Callable[[str], BoardFacts | None] = lambda _node_id: None

    def note(self, node_id: str, facts: BoardFacts, by: By = THE_ADMIN) -> None:
        """Keep what is known of a node's board, in place of what was.

        Raises:
            CloudError: NODE_NOT_OF_USER for a node that the cloud never heard of; VIRTUAL_NODE_REFUSED for a virtual
                one, whose board needs no notes.
        """
        if self.virtual(node_id) is not None:
            raise CloudError(Refusal.VIRTUAL_NODE_REFUSED, "the node is virtual: what its board is, is known already")
        with self._turns.take() as turn:
            if not turn.nodes.heard_of(node_id):
                raise CloudError(Refusal.NODE_NOT_OF_USER, "the node does not exist")
            document = facts.to_json()
            turn.tx.execute(delete(_BOARD).where(_BOARD.c.node_id == node_id))
            row = {"node_id": node_id, "facts": document, "noted_timestamp": turn.now}
            turn.tx.execute(insert(_BOARD), row)
            turn.happen(Event(kind=Kind.BOARD_NOTED, time=turn.now, by=by, node_id=node_id, data=document))
            turn.note("node", node_id)

    def get(self, node_id: str) -> tuple[BoardFacts, int | None] | None:
        """What is known of a node's board, and when it was noted (milliseconds); ``None`` for one that is virtual."""
        virtual = self.virtual(node_id)
        if virtual is not None:
            return virtual, None
        with self._ground.store.connect() as tx:
            query = select(_BOARD.c.facts, _BOARD.c.noted_timestamp).where(_BOARD.c.node_id == node_id)
            row = tx.execute(query).one_or_none()
        return None if row is None else (BoardFacts.from_json(row.facts), row.noted_timestamp)

    def facts(self, node_ids: Iterable[str]) -> dict[str, BoardFacts]:
        """What is known of these nodes' boards; those of which nothing is are left out."""
        with self._ground.store.connect() as tx:
            return self.within(tx, node_ids)

    def within(self, tx: Connection, node_ids: Iterable[str]) -> dict[str, BoardFacts]:
        """The same, for who is in a transaction already. Boards that are alike are one value."""
        wanted = list(node_ids)
        found = {node_id: facts for node_id in wanted if (facts := self.virtual(node_id)) is not None}
        ids = select(rows_of(tx, wanted).c.value)
        query = select(_BOARD.c.node_id, cast(_BOARD.c.facts, Text)).where(_BOARD.c.node_id.in_(ids))
        read: dict[str, BoardFacts] = {}
        for node_id, text in tx.execute(query):
            if node_id not in found:
                if text not in read:
                    read[text] = _read(text)
                found[node_id] = read[text]
        return found


def _read(text: str) -> BoardFacts:
    return BoardFacts.from_json(read_json(text.encode()))


def facts_of(look: FlashLook) -> BoardFacts:
    """What a flash tells of its board; its eFuses are not in it.

    Raises:
        CloudError: INVALID_REQUEST for a dump that tells neither a chip nor a partition table.
    """
    if not look.chip and not look.table:
        why = f": {look.trouble[0]}" if look.trouble else ""
        raise CloudError(Refusal.INVALID_REQUEST, f"the dump tells neither its chip nor a partition table{why}"[:500])
    states = {entry.state for entry in look.otadata if entry.crc_good}
    return BoardFacts(
        chip=look.chip,
        flash_size=look.size,
        table=tuple(look.table),
        bootloader_idf=look.bootloader_idf,
        rollback=True if states & _BY_ROLLBACK_ONLY else None,
        otadata=tuple(OtadataFact(sequence=entry.sequence, state=entry.state) for entry in look.otadata),
        apps=tuple(
            AppFact(slot=slot.label, project=slot.project, version=slot.version) for slot in look.slots if slot.project
        ),
        runs=next((slot.label for slot in look.slots if slot.runs or slot.boots_next), ""),
    )


def with_said(facts: BoardFacts, said: Mapping[str, Any]) -> BoardFacts:
    """The facts, and what somebody knows besides; ``None`` is what nobody has said."""
    return replace(facts, **{key: value for key, value in said.items() if value is not None})
