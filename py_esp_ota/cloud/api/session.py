"""What needs no login, and the login itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from py_esp_ota.cloud.accounts import PASSWORD_MAX
from py_esp_ota.cloud.api.answers import Account, As, LoggedIn, SessionList, Success
from py_esp_ota.cloud.api.auth import AccountsOf, CallerOf, SignedIn
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, success, user_json
from py_esp_ota.cloud.codes import USER_NAME_LIMIT
from py_esp_ota.cloud.logins import Login as LoginView
from py_esp_ota.cloud.logins import Tokens, User
from py_esp_ota.cloud.refusals import CloudError, Refusal

UserName = Annotated[str, Field(max_length=USER_NAME_LIMIT)]
Password = Annotated[str, Field(max_length=PASSWORD_MAX)]
Code = Annotated[str, Field(max_length=16)]

router = APIRouter(prefix="/v1", tags=["session"], responses=RESPONSES, route_class=ApiRoute)


CREATED: dict[int | str, dict[str, Any]] = {201: {"model": Success, "description": "The account waits for its code"}}


class SignUp(BaseModel):
    """First a password, then the code that was sent."""

    user_name: UserName
    password: Password | None = None
    verification_code: Code | None = None


class Login(BaseModel):
    """A user name with its password, or a refresh token."""

    user_name: UserName | None = None
    password: Password | None = None
    refreshtoken: Annotated[str, Field(max_length=4096)] | None = None


@router.post("/user", responses=CREATED)
@router.post("/user2", responses=CREATED)
async def sign_up(
    body: SignUp, accounts: AccountsOf, caller: CallerOf, response: Response
) -> Annotated[Json, As(Success)]:
    """Create an account, or confirm it."""
    if body.verification_code is not None:
        accounts.confirm(body.user_name, body.verification_code, caller)
        return success("The account is verified")
    await accounts.sign_up(body.user_name, body.password or "", caller)
    response.status_code = 201
    return success("The verification code was sent")


@router.post("/login")
@router.post("/login2")
async def log_in(body: Login, accounts: AccountsOf, caller: CallerOf) -> Annotated[Json, As(LoggedIn)]:
    """Log in, or renew the tokens of a login."""
    if body.refreshtoken is not None:
        tokens = accounts.logins.refresh(body.refreshtoken)
        return success("Tokens renewed", idtoken=tokens.idtoken, accesstoken=tokens.accesstoken)
    if body.user_name is None or body.password is None:
        raise CloudError(Refusal.INVALID_REQUEST, "user_name and password are needed, or a refreshtoken")
    return _logged_in(await accounts.log_in(body.user_name, body.password, caller))


def _logged_in(tokens: Tokens) -> Json:
    return success(
        "Login successful", idtoken=tokens.idtoken, accesstoken=tokens.accesstoken, refreshtoken=tokens.refreshtoken
    )


@router.put("/forgotpassword2")
async def forgot_password(body: SignUp, accounts: AccountsOf, caller: CallerOf) -> Annotated[Json, As(Success)]:
    """Ask for a code, then set the new password with it."""
    if body.password is None or body.verification_code is None:
        accounts.forgot_password(body.user_name, caller)
        return success("If there is such a user, a verification code was sent")
    await accounts.reset_password(body.user_name, body.password, body.verification_code, caller)
    return success("The password is changed")


@router.post("/logout2")
async def log_out(
    user: SignedIn, accounts: AccountsOf, logout_all: Annotated[bool, Query()] = False
) -> Annotated[Json, As(Success)]:
    """End this login, or every login of the user."""
    accounts.logins.log_out(user, logout_all)
    return success("Logout successful")


@router.get("/user")
@router.get("/user2")
async def who_am_i(user: SignedIn) -> Annotated[Json, As(Account)]:
    """The account behind the token."""
    return user_json(user.user_id, user.user_name, user.role)


@router.delete("/user2")
async def end_my_account(
    *,
    user: SignedIn,
    accounts: AccountsOf,
    caller: CallerOf,
    request: Annotated[bool, Query()] = False,
    verification_code: Annotated[str, Query(max_length=16)] = "",
) -> Annotated[Json, As(Success)]:
    """End one's own account: ``request=true`` sends a code, which ends it."""
    return end_account(accounts, user, user.user_name, caller, request=request, code=verification_code)


def end_account(accounts: AccountsOf, by: User, user_name: str, caller: CallerOf, *, request: bool, code: str) -> Json:
    """The two steps in which an account ends, one's own or another's."""
    if request:
        accounts.members.request_end(by, user_name, caller)
        return success("The verification code was sent")
    if not code:
        raise CloudError(Refusal.INVALID_REQUEST, "request=true or verification_code is needed")
    accounts.members.end(by, user_name, code, caller)
    return success("The account is deleted")


@router.get("/user/sessions")
async def sessions(user: SignedIn, accounts: AccountsOf) -> Annotated[Json, As(SessionList)]:
    """The logins of the user that go on, newest first."""
    logins = accounts.logins.of(user.user_id)
    return {"sessions": [_session_json(login, user) for login in logins], "total": len(logins)}


@router.delete("/user/sessions")
async def end_session(
    user: SignedIn, accounts: AccountsOf, session_id: Annotated[str, Query(max_length=64)]
) -> Annotated[Json, As(Success)]:
    """End one login; ``logout2`` with ``logout_all`` ends all."""
    accounts.logins.end(user, session_id)
    return success("The login is ended")


def _session_json(login: LoginView, user: User) -> Json:
    return {
        "session_id": login.session_id,
        "kind": login.kind,
        "address": login.address,
        "client": login.client,
        "started_timestamp": login.started,
        "used_timestamp": login.used,
        "expires_timestamp": login.expires,
        "current": login.session_id == user.session_id,
    }
