"""Logging in and out, and the logins of who is in: each can be ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.accounts import PASSWORD_MAX, Accounts
from py_esp_ota.cloud.codes import USER_NAME_LIMIT
from py_esp_ota.cloud.logins import User
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.roles import LOCAL_ADMIN, Role
from py_esp_ota.cloud.web.login import PATH, LoginGate, way_back
from py_esp_ota.cloud.web.site import Site, go


def add_entrance(router: APIRouter, site: Site, gate: LoginGate) -> None:
    """``/login``: for who is not in yet."""

    @router.get(PATH)
    async def form(request: Request, next: str = "") -> Response:  # noqa: A002 - as it is called everywhere
        return go(way_back(next)) if gate.admits(request) else _form(next)

    @router.post(PATH)
    async def log_in(
        request: Request,
        user_name: Annotated[str, Form(max_length=USER_NAME_LIMIT)] = "",
        password: Annotated[str, Form(max_length=PASSWORD_MAX)] = "",
        next: Annotated[str, Form()] = "",  # noqa: A002
    ) -> Response:
        try:
            cookie = await gate.let_in(request, user_name, password)
        except CloudError as refused:
            return _form(next, user_name, refused)
        response = go(way_back(next))
        gate.set_cookie(request, response, cookie)
        return response

    def _form(following: str, user_name: str = "", refused: CloudError | None = None) -> HTMLResponse:
        answer = site.page(
            "login.html",
            refused.refusal.http_status if refused else 200,
            next=way_back(following),
            user_name=user_name,
            error=refused.description if refused else "",
        )
        if refused and "retry_after" in refused.extra:
            answer.headers["Retry-After"] = str(refused.extra["retry_after"])
        return answer


def add_pages(router: APIRouter, site: Site, accounts: Accounts) -> None:
    """``/account``. Without a login the page acts for the local admin, and shows the logins of that."""
    gate = site.login

    def visitor(request: Request) -> User:
        found = gate.visitor(request) if gate else None
        return found or User(LOCAL_ADMIN, "", Role.SUPER_ADMIN)

    @router.get("/account")
    async def account(request: Request) -> HTMLResponse:
        user = visitor(request)
        logins = accounts.logins.of(user.user_id)
        return site.page("account.html", user=user, logins=logins, has_login=gate is not None)

    @router.post("/account/logins/{session_id}/end")
    async def end(request: Request, session_id: str) -> Response:
        accounts.logins.end(visitor(request), session_id)
        return go("/account")

    @router.post("/account/logins/end")
    async def end_others(request: Request) -> Response:
        accounts.logins.end_others(visitor(request))
        return go("/account")

    if gate is None:
        return

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        accounts.logins.log_out(visitor(request))
        response = go(PATH)
        response.delete_cookie(gate.cookie, httponly=True, samesite="strict")
        return response
