"""Groups of nodes: ``admin/node_group``, static or with a query, and ``user/node_group`` of a user's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import As, Success
from py_esp_ota.cloud.api.auth import Admin, NumRecords, Service, SignedIn, StartId, claimed_by
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.group_answers import GroupList, GroupMade
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, group_json, listing, node_detail_json, node_info_json, success
from py_esp_ota.cloud.group_rows import Scope
from py_esp_ota.cloud.group_rules import NODES_LIMIT, QUERY, NodeQuery
from py_esp_ota.cloud.groups import GroupView
from py_esp_ota.cloud.logins import User
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import PAGE_SIZE

router = APIRouter(prefix="/v1", tags=["groups"], responses=RESPONSES, route_class=ApiRoute)

Id = Annotated[str, Field(max_length=64)]
GroupId = Annotated[str, Query(max_length=64)]
NodeIds = Annotated[list[Id], Field(max_length=NODES_LIMIT)]
Flag = Annotated[bool, Query()]
Asked = Annotated[str, Query(max_length=128)]


class _Described(BaseModel):
    type: str | None = None
    description: str | None = None
    mutually_exclusive: bool | None = None
    custom_data: dict[str, Any] | None = None
    parent_group_id: Id | None = None


class _Queried(BaseModel):
    """What chooses the nodes of a dynamic group. The last four are this cloud's own."""

    node_type: str | None = None
    node_model: str | None = None
    node_fw_version: str | None = None
    node_tag: str | None = None
    node_chip: str | None = None
    node_project: str | None = None
    node_presence: str | None = None


class NewGroup(_Described):
    """A user's group."""

    group_name: str
    nodes: NodeIds = []
    is_matter: bool | None = None


class GroupChange(_Described):
    """What is to be otherwise; ``nodes`` are added unless ``operation`` says otherwise."""

    group_name: str | None = None
    nodes: NodeIds = []
    operation: Literal["add", "remove"] = "add"
    is_matter: bool | None = None


class NewAdminGroup(NewGroup, _Queried):
    """An admins' group: static, with ``nodes`` or a parent, or dynamic, with a query."""

    group_metadata: dict[str, Any] | None = None


class AdminGroupChange(GroupChange, _Queried):
    """The same of an admins' group; ``regroup`` asks its query again."""

    group_metadata: dict[str, Any] | None = None
    regroup: bool = False


_NAMED = ("type", "description", "mutually_exclusive", "is_matter", "custom_data", "group_metadata")


def _more(body: BaseModel) -> dict[str, Any]:
    return {name: value for name in _NAMED if (value := getattr(body, name, None)) is not None}


def _query(body: _Queried) -> NodeQuery:
    return NodeQuery.of({name: getattr(body, name) for name in QUERY})


def _of_admin(user: User) -> Scope:
    return Scope(admin_id=claimed_by(user) or "")


def _change(service: CloudService, scope: Scope, group_id: str, user: User, body: GroupChange) -> None:
    query = _query(body) if isinstance(body, _Queried) else None
    nodes = {"remove" if body.operation == "remove" else "add": body.nodes}
    service.groups.change(
        scope,
        group_id,
        **nodes,
        query=query or None,
        parent_group_id=body.parent_group_id,
        by=user.by,
        **_more(body),
        **({} if body.group_name is None else {"group_name": body.group_name}),
    )


# ---------------------------------------------------------------------------------------------------------------- users


@router.post("/user/node_group")
async def new_group(user: SignedIn, service: Service, body: NewGroup) -> Annotated[Json, As(GroupMade)]:
    """A new group of the user's nodes; with a parent, which can have one as well, a sub-group."""
    group = service.groups.create(
        Scope(user_id=user.user_id),
        body.group_name,
        nodes=body.nodes,
        parent_group_id=body.parent_group_id or "",
        by=user.by,
        **_more(body),
    )
    return success("The group is created", group_id=group.group_id)


@router.get("/user/node_group")
async def groups(
    *,
    user: SignedIn,
    service: Service,
    group_id: GroupId = "",
    group_name: Annotated[str | None, Query(max_length=128)] = None,
    node_list: Flag = False,
    node_details: Flag = False,
    sub_groups: Flag = False,
    start_id: StartId = None,
    num_records: NumRecords | None = None,
    limit: NumRecords | None = None,
) -> Annotated[Json, As(GroupList)]:
    """The user's topmost groups; or one of them, whose nodes are paged then, as far as ``num_records`` is given."""
    scope = Scope(user_id=user.user_id)

    def details(node_ids: list[str]) -> list[Json]:
        found = [service.nodes.detail(node_id, user.user_id) for node_id in node_ids]
        return [node_detail_json(each, status=True, config=True, params=True) for each in found]

    wanted = {"node_details": details} if node_details else {"nodes": list} if node_list else {}
    size = num_records or limit or 0
    if group_id:
        one = _one(service, scope, service.groups.get(scope, group_id), wanted, start_id, size, sub_groups)
        return {"groups": [one], "total": 1}
    page = service.groups.find(scope, name=group_name or None, start_id=start_id, num_records=size or PAGE_SIZE)
    return listing("groups", page, lambda view: _one(service, scope, view, wanted, None, 0, sub_groups))


@router.put("/user/node_group")
async def change_group(
    user: SignedIn, service: Service, group_id: GroupId, body: GroupChange
) -> Annotated[Json, As(Success)]:
    """Rename or describe a group, hang it elsewhere, add nodes or remove some."""
    _change(service, Scope(user_id=user.user_id), group_id, user, body)
    return success("The group is updated")


@router.delete("/user/node_group")
async def end_group(user: SignedIn, service: Service, group_id: GroupId) -> Annotated[Json, As(Success)]:
    """The end of a group and of its sub-groups; its nodes stay."""
    service.groups.remove(Scope(user_id=user.user_id), group_id, user.by)
    return success("The group is removed")


# --------------------------------------------------------------------------------------------------------------- admins


@router.post("/admin/node_group")
async def new_admin_group(user: Admin, service: Service, body: NewAdminGroup) -> Annotated[Json, As(GroupMade)]:
    """A new group: of nodes that are named, or of all that agree with a query, now and later.

    ``node_tag``, ``node_chip``, ``node_project`` and ``node_presence`` (``online``, ``offline``) are this cloud's own.
    """
    group = service.groups.create(
        _of_admin(user),
        body.group_name,
        nodes=body.nodes,
        query=_query(body),
        parent_group_id=body.parent_group_id or "",
        by=user.by,
        **_more(body),
    )
    return success("The group is created", group_id=group.group_id)


@router.get("/admin/node_group")
async def admin_groups(
    *,
    user: Admin,
    service: Service,
    group_id: GroupId = "",
    group_name: Annotated[str | None, Query(max_length=128)] = None,
    node_type: Asked = "",
    node_model: Asked = "",
    node_fw_version: Asked = "",
    node_tag: Asked = "",
    node_chip: Asked = "",
    node_project: Asked = "",
    node_presence: Asked = "",
    node_list: Flag = False,
    node_details: Flag = False,
    start_id: StartId = None,
    num_records: NumRecords | None = None,
) -> Annotated[Json, As(GroupList)]:
    """All groups with their sub-groups; those of a name, or whose query asks for this; or one, its nodes paged then.

    Of their nodes an admin sees those that he has claimed.
    """
    scope = _of_admin(user)

    def details(node_ids: list[str]) -> list[Json]:
        found = service.nodes.find(among=node_ids, num_records=len(node_ids) or 1)
        return [node_info_json(node) for node in found.items]

    wanted = {"node_details": details} if node_details else {"nodes": list}
    if group_id:
        one = _one(service, scope, service.groups.get(scope, group_id), wanted, start_id, num_records or 0, True)
        return {"groups": [one], "total": 1}
    asked = (node_type, node_model, node_fw_version, node_tag, node_chip, node_project, node_presence)
    query = NodeQuery.of(dict(zip(QUERY, asked, strict=True)))
    size = num_records or PAGE_SIZE
    page = service.groups.find(scope, name=group_name or None, query=query, start_id=start_id, num_records=size)
    wanted = wanted if node_list or node_details else {}
    return listing("groups", page, lambda view: _one(service, scope, view, wanted, None, 0, True))


@router.put("/admin/node_group")
async def change_admin_group(
    user: Admin, service: Service, group_id: GroupId, body: AdminGroupChange
) -> Annotated[Json, As(Success)]:
    """Rename or describe a group, hang it elsewhere, add nodes or remove some; another query; or ``regroup``.

    What a query asks for is looked up whenever somebody wants to know. ``regroup`` has the nodes that agree with it
    now join the continuous jobs for the group at once, where else they do when they ask or connect.
    """
    scope = _of_admin(user)
    if not body.regroup:
        _change(service, scope, group_id, user, body)
        return success("The group is updated")
    if body.model_fields_set - {"regroup"}:
        raise CloudError(Refusal.GROUP_REFUSED, "regroup comes alone")
    count = service.groups.regroup(scope, group_id, user.by)
    return success(f"The group has {count} node{'' if count == 1 else 's'} now")


@router.delete("/admin/node_group")
async def end_admin_group(user: Admin, service: Service, group_id: GroupId) -> Annotated[Json, As(Success)]:
    """The end of a group and of its sub-groups; its nodes stay, and so do jobs that were started for it."""
    service.groups.remove(_of_admin(user), group_id, user.by)
    return success("The group is removed")


def _one(
    service: CloudService,
    scope: Scope,
    view: GroupView,
    wanted: dict[str, Any],
    start_id: str | None,
    num_records: int,
    sub_groups: bool,
) -> Json:
    """A group, its nodes in the shape that is wanted, if one is."""
    body = group_json(view, sub_groups=sub_groups)
    for key, shape in wanted.items():
        page = service.groups.nodes(scope, view.group.group_id, start_id, num_records)
        body[key] = shape(page.items)
        if page.next_id is not None:
            body["next_id"] = page.next_id
    return body
