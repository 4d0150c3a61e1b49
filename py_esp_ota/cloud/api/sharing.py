"""Which users a node has: mapping by a secret, and sharing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import (
    As,
    MappingRequested,
    MappingState,
    NodeSharingList,
    SharingRequested,
    SharingRequests,
    Success,
)
from py_esp_ota.cloud.api.auth import Service, SignedIn
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, node_users_json, offer_json, success
from py_esp_ota.cloud.codes import USER_NAME_LIMIT
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import NodeRole
from py_esp_ota.cloud.sharing import NODES_LIMIT, PAGE_LIMIT

router = APIRouter(prefix="/v1", tags=["nodes"], responses=RESPONSES, route_class=ApiRoute)

NodeIds = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=NODES_LIMIT)]
RequestId = Annotated[str, Query(max_length=64)]
_ABSENT = ("sub_role", "transfer", "new_role", "confirm_sharing")


class Mapping(BaseModel):
    """Associate a user with a node, or end the association. The node has to be told the same secret."""

    user_id: str | None = None
    node_id: str
    secret_key: Annotated[str, Field(max_length=256)] = ""
    operation: Literal["add", "remove"] = "add"


class Share(BaseModel):
    """Nodes for a user; or, with a ``request_id``, the answer to that. Both calls take both, as RainMaker's do."""

    nodes: NodeIds | None = None
    node_ids: NodeIds | None = None
    user_name: Annotated[str, Field(max_length=USER_NAME_LIMIT)] | None = None
    primary: bool = False
    metadata: dict[str, Any] | None = None
    request_id: Annotated[str, Field(max_length=64)] | None = None
    accept: bool | None = None
    sub_role: Any = None
    transfer: Any = None
    new_role: Any = None
    confirm_sharing: Any = None


@router.put("/user/nodes/mapping")
async def map_node(user: SignedIn, service: Service, body: Mapping) -> Annotated[Json, As(MappingRequested)]:
    """Ask to be a node's user, which the node itself confirms; ``GET`` with the request id tells what became of it."""
    if body.user_id not in {None, user.user_id}:
        raise CloudError(Refusal.INVALID_REQUEST, "user_id is not the user of this access token")
    if body.operation == "remove":
        service.mappings.remove(user.user_id, body.node_id, user.by)
        return success("The mapping is removed", request_id="")
    request_id = service.mappings.request(user.user_id, body.node_id, body.secret_key)
    return success("The mapping was requested", request_id=request_id)


@router.get("/user/nodes/mapping")
async def mapping_status(user: SignedIn, service: Service, request_id: RequestId) -> Annotated[Json, As(MappingState)]:
    """``requested``, ``confirmed`` or ``timedout``."""
    return {"request_id": request_id, "request_status": service.mappings.status(request_id, user.user_id).value}


@router.get("/user/nodes/sharing")
async def shared_with(
    user: SignedIn, service: Service, node_id: Annotated[str | None, Query(max_length=64)] = None
) -> Annotated[Json, As(NodeSharingList)]:
    """Who has the user's nodes, or one of them."""
    return {"node_sharing": [node_users_json(users) for users in service.sharing.users(user, node_id or None)]}


@router.put("/user/nodes/sharing")
@router.put("/user/nodes/sharing/requests")
async def share(user: SignedIn, service: Service, body: Share) -> Annotated[Json, As(SharingRequested)]:
    """Offer nodes to a user, who becomes a secondary or, with ``primary``, a primary one; or answer such an offer."""
    for option in _ABSENT:
        if getattr(body, option):
            raise CloudError(Refusal.INVALID_REQUEST, f"{option} is not offered by this cloud")
    if body.request_id is not None:
        if body.accept is None:
            raise CloudError(Refusal.INVALID_REQUEST, "accept is missing: true or false")
        service.sharing.answer(user, body.request_id, body.accept)
        return success("The request is accepted" if body.accept else "The request is declined")
    nodes = body.nodes or body.node_ids
    if not nodes or not body.user_name:
        raise CloudError(Refusal.INVALID_REQUEST, "nodes and user_name are needed, or request_id and accept")
    role = NodeRole.PRIMARY if body.primary else NodeRole.SECONDARY
    request_id = service.sharing.offer(user, nodes, body.user_name, role, body.metadata)
    return success("The sharing was requested", request_id=request_id)


@router.delete("/user/nodes/sharing")
async def unshare(
    user: SignedIn,
    service: Service,
    nodes: Annotated[str, Query(max_length=NODES_LIMIT * 65)],
    user_name: Annotated[str, Query(max_length=USER_NAME_LIMIT)],
) -> Annotated[Json, As(Success)]:
    """Take nodes, separated by commas, from a user again."""
    service.sharing.end(user, [node for node in nodes.split(",") if node], user_name)
    return success("The sharing is ended")


@router.get("/user/nodes/sharing/requests")
async def sharing_requests(
    *,
    user: SignedIn,
    service: Service,
    request_id: Annotated[str | None, Query(max_length=64)] = None,
    primary_user: bool = False,
    start_request_id: Annotated[str | None, Query(max_length=64)] = None,
    start_user_name: Annotated[str | None, Query(max_length=USER_NAME_LIMIT)] = None,  # noqa: ARG001 - RainMaker's
    num_records: int = PAGE_LIMIT,
) -> Annotated[Json, As(SharingRequests)]:
    """Requests that wait or were declined: those sent by the user with ``primary_user``, else those received."""
    size = num_records if 1 <= num_records <= PAGE_LIMIT else PAGE_LIMIT
    page = service.sharing.offers(
        user, sent=primary_user, request_id=request_id or None, start=start_request_id, num_records=size
    )
    body: Json = {"sharing_requests": [offer_json(offer) for offer in page.items], "total": page.total}
    if page.next_id is not None:
        body |= {"next_request_id": page.next_id, "next_user_name": user.user_name}
    return body


@router.delete("/user/nodes/sharing/requests")
async def withdraw(user: SignedIn, service: Service, request_id: RequestId) -> Annotated[Json, As(Success)]:
    """Take an offer back."""
    service.sharing.withdraw(user, request_id)
    return success("The sharing request is cancelled")
