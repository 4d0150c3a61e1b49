"""Accounts as super admins manage them, and which admin has which node."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import As, MemberList, NodesOfUser, Success
from py_esp_ota.cloud.api.auth import (
    DEFAULT_RECORDS,
    AccountsOf,
    CallerOf,
    NumRecords,
    Service,
    StartId,
    SuperAdmin,
)
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.session import CREATED, UserName, end_account
from py_esp_ota.cloud.api.shapes import Json, success, user_json
from py_esp_ota.cloud.codes import USER_NAME_LIMIT
from py_esp_ota.cloud.members import Member
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import Act, Role, may, role_of
from py_esp_ota.cloud.store import Page

router = APIRouter(prefix="/v1", tags=["accounts"], responses=RESPONSES, route_class=ApiRoute)

ADMINS = frozenset(role for role in Role if may(role, Act.ADMINISTER))
Name = Annotated[str, Query(max_length=USER_NAME_LIMIT)]


class Privileges(BaseModel):
    """What an account may do. Of the two flags the greater counts."""

    user_name: UserName
    super_admin: bool = False
    admin: bool = False
    quota: Any = None
    roles: Any = None


class Claim(BaseModel):
    """Nodes for an admin."""

    node_ids: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=100)]
    user_name: UserName


def _member_json(member: Member) -> Json:
    return {**user_json(member.user_id, member.user_name, member.role), "verified": member.verified}


def _role(body: Privileges) -> Role:
    for option in ("quota", "roles"):
        if getattr(body, option):
            raise CloudError(Refusal.INVALID_REQUEST, f"{option} is not offered by this cloud")
    return role_of(super_admin=body.super_admin, admin=body.admin)


@router.get("/admin/user2")
async def members(
    *,
    _user: SuperAdmin,
    accounts: AccountsOf,
    user_name: Name | None = None,
    all_users: bool = False,
    admin: bool = False,
    superadmin: bool = False,
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(MemberList)]:
    """The admins; all accounts with ``all_users``; those with a flag; or the one of a name."""
    if user_name:
        page = Page([accounts.members.get(user_name)], 1)
    else:
        roles = frozenset(Role) if all_users else ADMINS
        if admin or superadmin:
            asked = {Role.ADMIN: admin, Role.SUPER_ADMIN: superadmin}
            roles = frozenset(role for role, wanted in asked.items() if wanted)
        page = accounts.members.find(roles, start_id=start_id, num_records=num_records)
    body: Json = {"users_list": [_member_json(member) for member in page.items], "total": page.total}
    return body if page.next_id is None else {**body, "next_id": page.next_id}


@router.post("/admin/user2", responses=CREATED)
async def create_member(
    user: SuperAdmin, accounts: AccountsOf, body: Privileges, response: Response
) -> Annotated[Json, As(Success)]:
    """A new account; a code goes to it, with which ``forgotpassword2`` sets its password."""
    accounts.members.create(body.user_name, _role(body), user.by)
    response.status_code = 201
    return success("The user is created, and the verification code was sent")


@router.put("/admin/user2")
async def change_member(user: SuperAdmin, accounts: AccountsOf, body: Privileges) -> Annotated[Json, As(Success)]:
    """What an account may do from now on."""
    accounts.members.set_role(body.user_name, _role(body), user.by)
    return success("The user is updated")


@router.delete("/admin/user2")
async def end_member(
    *,
    user: SuperAdmin,
    accounts: AccountsOf,
    caller: CallerOf,
    user_name: Name,
    request: Annotated[bool, Query()] = False,
    verification_code: Annotated[str, Query(max_length=16)] = "",
) -> Annotated[Json, As(Success)]:
    """End an account: ``request=true`` sends a code to who asks for it, which then ends the account."""
    return end_account(accounts, user, user_name, caller, request=request, code=verification_code)


@router.get("/admin/user/nodes")
async def nodes_of_user(
    *,
    _user: SuperAdmin,
    accounts: AccountsOf,
    service: Service,
    user_id: Annotated[str, Query(max_length=64)] = "",
    user_name: Name = "",
    role: Literal["primary", "secondary"] | None = None,
) -> Annotated[Json, As(NodesOfUser)]:
    """The nodes of a user by what the user is to them."""
    if not user_id and not user_name:
        raise CloudError(Refusal.INVALID_REQUEST, "user_id or user_name is needed")
    member = accounts.members.get(user_name) if user_name else accounts.members.by_id(user_id)
    held = service.sharing.of_user(member.user_id)
    wanted = {name.value: list(nodes) for name, nodes in held.items() if role in {None, name.value}}
    body: Json = {name: {"nodes": nodes, "total": len(nodes)} for name, nodes in wanted.items()}
    return {**body, "total": sum(len(nodes) for nodes in wanted.values())}


@router.put("/admin/nodes/claim")
async def claim(user: SuperAdmin, accounts: AccountsOf, service: Service, body: Claim) -> Annotated[Json, As(Success)]:
    """Give nodes to another admin: this cloud's own call, for here nobody claims a node by its certificate."""
    member = accounts.members.get(body.user_name)
    if not may(member.role, Act.ADMINISTER):
        raise CloudError(Refusal.NOT_AN_ADMIN, "user_name: only an admin can have claimed a node")
    service.nodes.claim(body.node_ids, member.user_id, user.by, member.user_name)
    return success("The nodes are claimed")
