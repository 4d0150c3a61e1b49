"""Who sends a request, and what the endpoints work with. All of it ``async``: nothing here may need a thread."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Security
from fastapi.security import APIKeyHeader
from pydantic import BeforeValidator

from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api.errors import UnauthorizedError
from py_esp_ota.cloud.events import By
from py_esp_ota.cloud.logins import Caller, User
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import Act
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

ACCESS_TOKEN = APIKeyHeader(
    name="Authorization",
    scheme_name="accesstoken",
    description=(
        "The `accesstoken` of `POST /v1/login2`, as it is, without `Bearer` before it. It lives for an hour; "
        "`POST /v1/login2` with the `refreshtoken` gives the next one."
    ),
    auto_error=False,  # the gateway's 401 is ours to give, before the body is read
)


def caller_of(request: Request) -> Caller:
    """Where a request comes from."""
    return Caller(request.client.host if request.client else "", request.headers.get("user-agent", ""))


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerOf = Annotated[Caller, Depends(_caller)]


def identify(request: Request) -> User:
    """Who sends it: the ``Authorization`` header is the raw access token, without ``Bearer``.

    Raises ``UnauthorizedError``.
    """
    accounts: Accounts = request.app.state.accounts
    user = accounts.logins.user_of(request.headers.get("authorization", ""))
    if user is None:
        raise UnauthorizedError
    return user


def check_may(user: User, act: Act) -> None:
    """Let pass whose role allows it. Raises ``CloudError`` (NOT_AN_ADMIN)."""
    if not user.may(act):
        kind = "an admin" if act is Act.ADMINISTER else "a super admin"
        raise CloudError(Refusal.NOT_AN_ADMIN, f"this needs the account of {kind}")


def by(user: User) -> By:
    """Who did it, for the log."""
    return user.by


def only_admin(user: User) -> None:
    """Let an admin pass. Raises ``CloudError`` (NOT_AN_ADMIN)."""
    check_may(user, Act.ADMINISTER)


async def signed_in(request: Request, _token: Annotated[str | None, Security(ACCESS_TOKEN)]) -> User:
    """Whom ``route.ApiRoute`` found at the door; on any other route nobody, and an error."""
    user: User = request.state.user
    return user


SignedIn = Annotated[User, Depends(signed_in)]


async def admin(user: SignedIn) -> User:
    """The same, where the door lets admins in only."""
    return user


async def super_admin(user: SignedIn) -> User:
    """The same, where the door lets super admins in only."""
    return user


Admin = Annotated[User, Depends(admin)]
SuperAdmin = Annotated[User, Depends(super_admin)]

DOORS = {admin: Act.ADMINISTER, super_admin: Act.MANAGE_ACCOUNTS}
"""What each of these asks for, so that the door can ask before the body is read."""


def claimed_by(user: User) -> str | None:
    """Whose claimed nodes an admin sees: the own ones, or those of everybody."""
    return None if user.may(Act.SEE_EVERY_NODE) else user.user_id


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


def _no_flag(value: object) -> object:
    """JSON's ``true`` is Python's 1: a number it is not."""
    if isinstance(value, bool):
        raise ValueError("a whole number, not a truth value")  # noqa: TRY004 - pydantic makes a refusal of it
    return value


Whole = Annotated[int, BeforeValidator(_no_flag)]
"""A whole number in a body."""
