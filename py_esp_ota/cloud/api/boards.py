"""What is known of boards: calls of this cloud's own, for who administers the nodes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from py_esp_ota.cloud.api.answers import As
from py_esp_ota.cloud.api.auth import Admin, NodeId, Service, by, claimed_by
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.foretold import BoardNoted
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json
from py_esp_ota.cloud.api.virtual_nodes import BODY_LIMITS as DUMP_LIMITS
from py_esp_ota.cloud.board_notes import facts_of, with_said
from py_esp_ota.cloud.boards import NOTHING_KNOWN
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.virtual_nodes import VirtualNodes

router = APIRouter(prefix="/v1/local", tags=["nodes"], responses=RESPONSES, route_class=ApiRoute)

BODY_LIMITS = {"/v1/local/nodes/board": max(DUMP_LIMITS.values())}
"""A flash dump."""

_DUMP = {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
_Fuse = Annotated[bool | None, Query()]


@router.get("/nodes/board")
async def board(user: Admin, service: Service, node_id: NodeId) -> Annotated[Json, As(BoardNoted)]:
    """What is known of a node's board; nothing, when nobody has noted it."""
    service.nodes.get(node_id, admin_id=claimed_by(user))
    return _answer(service, node_id)


@router.post("/nodes/board", openapi_extra=_DUMP)
async def note_board(
    *,
    user: Admin,
    service: Service,
    request: Request,
    node_id: NodeId,
    rollback: _Fuse = None,
    secure_boot: _Fuse = None,
    flash_encryption: _Fuse = None,
    secure_version: Annotated[int | None, Query(ge=0, le=128)] = None,
    chip_revision: Annotated[int | None, Query(ge=0, le=65535, description="major * 100 + minor")] = None,
) -> Annotated[Json, As(BoardNoted)]:
    """Note what a board is, by its flash as ``esptool read-flash 0 ALL`` reads it; previews go by it.

    The flash itself is not kept. The eFuses are not in it: the query says what is known of them. Without a flash in the
    body, what was noted before is kept besides.
    """
    service.nodes.get(node_id, admin_id=claimed_by(user))
    dump = await request.body()
    if dump:
        door: VirtualNodes | None = request.app.state.virtual_nodes
        if door is None:
            raise CloudError(Refusal.NO_VIRTUAL_NODES, "this server cannot read flash dumps")
        facts = facts_of(door.look_at(dump))
    else:
        known = service.boards.get(node_id)
        facts = known[0] if known else NOTHING_KNOWN
    said = {
        "rollback": rollback,
        "secure_boot": secure_boot,
        "flash_encryption": flash_encryption,
        "secure_version": secure_version,
        "chip_revision": chip_revision,
    }
    if not dump and all(value is None for value in said.values()):
        raise CloudError(
            Refusal.INVALID_REQUEST, "what is there to note? A flash dump as the body, or what the fuses say"
        )
    service.boards.note(node_id, with_said(facts, said), by(user))
    return _answer(service, node_id)


def _answer(service: Service, node_id: str) -> Json:
    facts, noted = service.boards.get(node_id) or (NOTHING_KNOWN, None)
    return {"node_id": node_id, "facts": facts.to_json(), "noted_timestamp": noted}
