"""What needs no login, and the login itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from py_esp_ota.cloud.accounts import PASSWORD_MAX, USER_NAME_LIMIT, Tokens
from py_esp_ota.cloud.api.answers import Account, As, LoggedIn, Success
from py_esp_ota.cloud.api.auth import AccountsOf, SignedIn
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, success
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
async def sign_up(body: SignUp, accounts: AccountsOf, response: Response) -> Annotated[Json, As(Success)]:
    """Create an account, or confirm it."""
    if body.verification_code is not None:
        accounts.confirm(body.user_name, body.verification_code)
        return success("The account is verified")
    await accounts.sign_up(body.user_name, body.password or "")
    response.status_code = 201
    return success("The verification code was sent")


@router.post("/login")
@router.post("/login2")
async def log_in(body: Login, accounts: AccountsOf) -> Annotated[Json, As(LoggedIn)]:
    """Log in, or renew the tokens of a login."""
    if body.refreshtoken is not None:
        tokens = accounts.refresh(body.refreshtoken)
        return success("Tokens renewed", idtoken=tokens.idtoken, accesstoken=tokens.accesstoken)
    if body.user_name is None or body.password is None:
        raise CloudError(Refusal.INVALID_REQUEST, "user_name and password are needed, or a refreshtoken")
    return _logged_in(await accounts.log_in(body.user_name, body.password))


def _logged_in(tokens: Tokens) -> Json:
    return success(
        "Login successful", idtoken=tokens.idtoken, accesstoken=tokens.accesstoken, refreshtoken=tokens.refreshtoken
    )


@router.put("/forgotpassword2")
async def forgot_password(body: SignUp, accounts: AccountsOf) -> Annotated[Json, As(Success)]:
    """Ask for a code, then set the new password with it."""
    if body.password is None or body.verification_code is None:
        accounts.forgot_password(body.user_name)
        return success("If there is such a user, a verification code was sent")
    await accounts.reset_password(body.user_name, body.password, body.verification_code)
    return success("The password is changed")


@router.post("/logout2")
async def log_out(
    user: SignedIn, accounts: AccountsOf, logout_all: Annotated[bool, Query()] = False
) -> Annotated[Json, As(Success)]:
    """End this login, or every login of the user."""
    accounts.log_out(user, logout_all)
    return success("Logout successful")


@router.get("/user")
@router.get("/user2")
async def who_am_i(user: SignedIn) -> Annotated[Json, As(Account)]:
    """The account behind the token."""
    return {
        "user_id": user.user_id,
        "user_name": user.user_name,
        "super_admin": user.admin,
        "admin": user.admin,
        "email": user.user_name,
        "phone_number": "",
        "name": "",
        "picture_url": "",
        "mfa": False,
        "user_roles": [],
    }
