"""Who sends a request, and what the endpoints work with. All of it ``async``: nothing here may need a thread."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Security
from fastapi.security import APIKeyHeader

from py_esp_ota.cloud.accounts import Accounts, User
from py_esp_ota.cloud.api.errors import UnauthorizedError
from py_esp_ota.cloud.events import Actor, By
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


def identify(request: Request) -> User:
    """Who sends it: the ``Authorization`` header is the raw access token, without ``Bearer``.

    Raises ``UnauthorizedError``.
    """
    accounts: Accounts = request.app.state.accounts
    user = accounts.user_of(request.headers.get("authorization", ""))
    if user is None:
        raise UnauthorizedError
    return user


def by(user: User) -> By:
    """Who did it, for the log."""
    return By(Actor.ADMIN if user.admin else Actor.USER, user.user_name)


def only_admin(user: User) -> None:
    """Let an admin pass. Raises ``CloudError`` (NOT_AN_ADMIN)."""
    if not user.admin:
        raise CloudError(Refusal.NOT_AN_ADMIN, "this needs an admin account")


_ACCESS_TOKEN = APIKeyHeader(
    name="Authorization",
    scheme_name="accesstoken",
    description="The `accesstoken` of `POST /v1/login2` as it is, without `Bearer` before it.",
    auto_error=False,
)


async def signed_in(request: Request, _token: Annotated[str | None, Security(_ACCESS_TOKEN)]) -> User:
    """Whom ``route.ApiRoute`` found at the door; on any other route nobody, and an error."""
    user: User = request.state.user
    return user


SignedIn = Annotated[User, Depends(signed_in)]


async def admin(user: SignedIn) -> User:
    """The same, where the door lets admins in only."""
    return user


Admin = Annotated[User, Depends(admin)]


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
