"""Who sends a request, and what the endpoints work with. All of it ``async``: nothing here may need a thread."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Query, Request

from py_esp_ota.cloud.accounts import Accounts, User
from py_esp_ota.cloud.api.errors import UnauthorizedError
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import PAGE_LIMIT, PAGE_SIZE


async def _service(request: Request) -> CloudService:
    service: CloudService = request.app.state.service
    return service


async def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


Service = Annotated[CloudService, Depends(_service)]
AccountsOf = Annotated[Accounts, Depends(_accounts)]


async def _signed_in(accounts: AccountsOf, authorization: Annotated[str, Header()] = "") -> User:
    """The ``Authorization`` header is the raw access token, without ``Bearer``."""
    user = accounts.user_of(authorization)
    if user is None:
        raise UnauthorizedError
    return user


SignedIn = Annotated[User, Depends(_signed_in)]


async def _admin(user: SignedIn) -> User:
    if not user.admin:
        raise CloudError(Refusal.NOT_AN_ADMIN, "this needs an admin account")
    return user


Admin = Annotated[User, Depends(_admin)]


async def _node_id(node_id: str = "", nodeid: str = "") -> str:
    """Clients write both, for the same thing."""
    return node_id or nodeid


async def _node_id_required(node_id: Annotated[str, Depends(_node_id)]) -> str:
    if not node_id:
        raise CloudError(Refusal.NODE_ID_MISSING, "node_id is missing")
    return node_id


OptionalNodeId = Annotated[str, Depends(_node_id)]
NodeId = Annotated[str, Depends(_node_id_required)]

StartId = Annotated[str | None, Query(max_length=128)]
NumRecords = Annotated[int, Query(ge=1, le=PAGE_LIMIT)]
DEFAULT_RECORDS = PAGE_SIZE
