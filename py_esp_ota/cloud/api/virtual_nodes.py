"""Virtual nodes beside this cloud, and flash dumps opened up: calls of this cloud's own, for super admins.

The nodes belong to the server and not to the admin who has claimed one of them, so that they need the account that sees
every node. The words of the answers are those of ``cloud/virtual_nodes.py``, as they are.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import As, NodesOrdered, Success, VirtualNodeList
from py_esp_ota.cloud.api.auth import DEFAULT_RECORDS, NumRecords, Service, StartId, SuperAdmin, Whole
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, listing, success
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import Page
from py_esp_ota.cloud.virtual_nodes import Act, Dials, FlashLook, NewNodes, VirtualNode, VirtualNodes

router = APIRouter(prefix="/v1/local", tags=["virtual nodes"], responses=RESPONSES, route_class=ApiRoute)

BODY_LIMITS = {"/v1/local/flash_dump": 32 * 1024 * 1024}
"""The largest flash of a board that has one chip for it."""

AT_ONCE = 1000
"""Nodes of one call."""

_Id = Annotated[str, Field(max_length=64)]
_Ids = Annotated[list[_Id], Field(min_length=1, max_length=AT_ONCE)]
_Weather = Annotated[str, Field(max_length=1000, description="a fault plan; empty is fine weather")]


class Order(BaseModel):
    """Virtual nodes to make: alike but for their ids."""

    count: Annotated[Whole, Field(ge=1, le=AT_ONCE)] = 1
    ota_image_id: Annotated[str, Field(max_length=128, description="the image they leave the factory with")]
    partitions: Annotated[str, Field(max_length=64, description="a built-in table; empty is the usual one")] = ""
    name: Annotated[str, Field(max_length=64, description="of several, a number is added")] = ""
    prefix: Annotated[str, Field(max_length=48, description="of the ids; empty takes the image's project name")] = ""
    type: Annotated[str, Field(max_length=64)] = "Lightbulb"
    rollback: Annotated[bool, Field(description="CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE")] = True
    weather: _Weather = ""


class Deed(BaseModel):
    """What happens to some of them."""

    node_ids: _Ids
    act: Act


class Turned(BaseModel):
    """The dials of some of them."""

    node_ids: _Ids
    weather: _Weather


class Which(BaseModel):
    """Some of them."""

    node_ids: _Ids


async def _door(request: Request) -> VirtualNodes:
    nodes: VirtualNodes | None = request.app.state.virtual_nodes
    if nodes is None:
        raise CloudError(Refusal.NO_VIRTUAL_NODES, "this server has no virtual nodes")
    return nodes


Door = Annotated[VirtualNodes, Depends(_door)]


@router.get("/virtual_nodes")
async def list_virtual_nodes(
    _user: SuperAdmin, nodes: Door, start_id: StartId = None, num_records: NumRecords = DEFAULT_RECORDS
) -> Annotated[Json, As(VirtualNodeList)]:
    """All of them, by id."""
    all_ = nodes.all()
    rest = [node for node in all_ if node.node_id >= (start_id or "")]
    following = rest[num_records].node_id if len(rest) > num_records else None
    return listing("virtual_nodes", Page(rest[:num_records], len(all_), following), asdict)


@router.post("/virtual_nodes")
async def add_virtual_nodes(_user: SuperAdmin, nodes: Door, body: Order) -> Annotated[Json, As(NodesOrdered)]:
    """Make nodes and switch them on, all or none."""
    words = body.model_dump()
    made = await nodes.add(NewNodes(dials=Dials(weather=words.pop("weather")), **words))
    return success("The nodes are made and switched on", node_ids=list(made))


@router.delete("/virtual_nodes")
async def remove_virtual_nodes(
    user: SuperAdmin, nodes: Door, service: Service, body: Which
) -> Annotated[Json, As(Success)]:
    """Take nodes away with their flash, and forget them: jobs that are open for them end as failed there."""
    await nodes.remove(body.node_ids)
    service.nodes.forget(body.node_ids, user.by)
    return success("The nodes are gone")


@router.post("/virtual_nodes/act")
async def act(_user: SuperAdmin, nodes: Door, body: Deed) -> Annotated[Json, As(Success)]:
    """Switch on or off, cut the power in the next flash operation, reset, erase or flash anew: all of them or none."""
    await nodes.act(body.node_ids, body.act)
    return success("It is done")


@router.put("/virtual_nodes/dials")
async def turn_dials(_user: SuperAdmin, nodes: Door, body: Turned) -> Annotated[Json, As(Success)]:
    """Set what goes wrong around nodes from now on, in place of what was set before."""
    await nodes.turn(body.node_ids, Dials(weather=body.weather))
    return success("The dials are set")


@router.get("/virtual_nodes/{node_id}")
async def virtual_node(_user: SuperAdmin, nodes: Door, node_id: str) -> Annotated[Json, As(VirtualNode)]:
    """One of them."""
    found = nodes.get(node_id)
    if found is None:
        raise CloudError(Refusal.VIRTUAL_NODE_UNKNOWN, "there is no virtual node with this node_id")
    return asdict(found)


@router.get("/virtual_nodes/{node_id}/flash")
async def flash_of(_user: SuperAdmin, nodes: Door, node_id: str) -> Annotated[Json, As(FlashLook)]:
    """Its flash now, opened up."""
    return asdict(nodes.look(node_id))


_DUMP = {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


@router.post("/flash_dump", openapi_extra=_DUMP)
async def open_dump(_user: SuperAdmin, nodes: Door, request: Request) -> Annotated[Json, As(FlashLook)]:
    """The flash of a real board, as ``esptool read_flash 0 ALL`` reads it. Nothing of it is kept."""
    return asdict(nodes.look_at(await request.body()))
