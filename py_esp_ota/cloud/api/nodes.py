"""Nodes of a user, and of an admin."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import (
    AdminNodes,
    As,
    ParamsResult,
    Status,
    Success,
    UserNodes,
)
from py_esp_ota.cloud.api.auth import (
    DEFAULT_RECORDS,
    Admin,
    NodeId,
    NumRecords,
    OptionalNodeId,
    Service,
    SignedIn,
    StartId,
    claimed_by,
)
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import (
    Json,
    connectivity_json,
    listing,
    node_detail_json,
    node_info_json,
    success,
)
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import Page

router = APIRouter(prefix="/v1", tags=["nodes"], responses=RESPONSES, route_class=ApiRoute)

Params = dict[str, dict[str, Any]]
Flag = Annotated[bool, Query()]


class NodeNotes(BaseModel):
    """Tags to add, metadata to merge."""

    tags: Annotated[list[str], Field(max_length=100)] | None = None
    metadata: dict[str, Any] | None = None


class Tags(BaseModel):
    """Tags to take off."""

    tags: Annotated[list[str], Field(max_length=100)]


class NodeParams(BaseModel):
    """Parameters for one node."""

    node_id: str
    payload: Params


@router.get("/user/nodes")
async def user_nodes(
    *,
    user: SignedIn,
    service: Service,
    node_id: OptionalNodeId,
    node_details: Flag = False,
    status: Flag = True,
    config: Flag = True,
    params: Flag = True,
    tags: Annotated[str, Query()] = "",
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(UserNodes)]:
    """The user's nodes: ids, or details as well."""
    if node_id:
        page = Page([service.nodes.get(node_id, user.user_id)], 1)
    else:
        wanted = [tag for tag in tags.split(",") if tag]
        page = service.nodes.find(user_id=user.user_id, tags=wanted, start_id=start_id, num_records=num_records)
    body = listing("nodes", page, lambda node: node.node_id)
    if node_details:
        details = [service.nodes.detail(node.node_id, user.user_id) for node in page.items]
        body["node_details"] = [
            node_detail_json(detail, status=status, config=config, params=params) for detail in details
        ]
    return body


@router.put("/user/nodes")
async def note(user: SignedIn, service: Service, node_id: NodeId, body: NodeNotes) -> Annotated[Json, As(Success)]:
    """Add tags, merge metadata; ``metadata: null`` deletes all of it."""
    if not body.model_fields_set:
        raise CloudError(Refusal.INVALID_REQUEST, "tags or metadata are needed")
    if body.tags is not None:
        service.nodes.add_tags(node_id, body.tags, user.user_id)
    if "metadata" in body.model_fields_set:
        service.nodes.set_metadata(node_id, body.metadata, user.user_id)
    return success("The node is updated")


@router.delete("/user/nodes")
async def untag(user: SignedIn, service: Service, node_id: NodeId, body: Tags) -> Annotated[Json, As(Success)]:
    """Take tags off."""
    service.nodes.remove_tags(node_id, body.tags, user.user_id)
    return success("The tags are removed")


@router.get("/user/nodes/config")
async def node_config(user: SignedIn, service: Service, node_id: NodeId) -> Json:
    """The config document as the node sent it."""
    return dict(service.nodes.detail(node_id, user.user_id).config)


@router.get("/user/nodes/status")
async def node_status(user: SignedIn, service: Service, node_id: NodeId) -> Annotated[Json, As(Status)]:
    """Whether the node is connected."""
    return connectivity_json(service.nodes.get(node_id, user.user_id))


@router.get("/user/nodes/params")
async def node_params(user: SignedIn, service: Service, node_id: NodeId) -> Json:
    """The parameters as the node last reported them."""
    return dict(service.nodes.detail(node_id, user.user_id).params)


@router.put("/user/nodes/params", response_model=None, responses={200: {"model": list[ParamsResult] | Success}})
async def set_params(
    user: SignedIn, service: Service, node_id: OptionalNodeId, body: list[NodeParams] | Params
) -> Json | list[Json]:
    """Set parameters of several nodes, each with its own result; or, in the older form, of one."""
    if isinstance(body, list):
        return [_set_params(service, user.user_id, one) for one in body]
    if not node_id:
        raise CloudError(Refusal.NODE_ID_MISSING, "node_id is missing")
    service.nodes.set_params(node_id, body, user.user_id)
    return success("Parameters sent")


def _set_params(service: Service, user_id: str, one: NodeParams) -> Json:
    try:
        service.nodes.set_params(one.node_id, one.payload, user_id)
    except CloudError as error:
        return {"node_id": one.node_id, "status": "failure", "description": error.description}
    return {"node_id": one.node_id, "status": "success", "description": "Parameters sent"}


@router.get("/admin/nodes")
async def admin_nodes(
    *,
    user: Admin,
    service: Service,
    node_id: OptionalNodeId,
    type: Annotated[str | None, Query()] = None,  # noqa: A002 (the API's name)
    model: Annotated[str | None, Query()] = None,
    fw_version: Annotated[str | None, Query()] = None,
    tags: Annotated[str, Query()] = "",
    node_status: Annotated[Literal["not_activated", "online", "offline", "deactivated"] | None, Query()] = None,
    status: Annotated[Literal["online", "offline"] | None, Query()] = None,
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(AdminNodes)]:
    """The nodes that the admin has claimed, for a super admin all. ``model`` needs ``type``, ``fw_version`` both."""
    if (model is not None and type is None) or (fw_version is not None and model is None):
        raise CloudError(Refusal.INVALID_REQUEST, "fw_version needs model, and model needs type")
    wanted = node_status or status
    if node_id:
        page = Page([service.nodes.get(node_id, admin_id=claimed_by(user))], 1)
    elif wanted in {"not_activated", "deactivated"}:
        page = Page([], 0)  # a local cloud has no certificates that could be switched off
    else:
        page = service.nodes.find(
            admin_id=claimed_by(user),
            type=type,
            model=model,
            fw_version=fw_version,
            connected=None if wanted is None else wanted == "online",
            tags=[tag for tag in tags.split(",") if tag],
            start_id=start_id,
            num_records=num_records,
        )
    body = listing("node_info", page, node_info_json)
    return {"nodes": [node.node_id for node in page.items], **body}
