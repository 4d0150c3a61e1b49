"""A login for the pages: a form, and a cookie that no script reads and no other site can send along.

A ``SameSite`` cookie still comes with forms of other ports of this host, which count as the same site. The guard in
front of the whole app refuses a foreign ``Origin``; here one is asked for, because every browser sends it with a form.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request, Response

from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api.auth import caller_of
from py_esp_ota.cloud.api.guard import READING
from py_esp_ota.cloud.logins import LoginKind, User
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import Act

PATH = "/login"
AFTER = "/"
_NEXT_LIMIT = 2000


class LoginGate:
    """Lets super admins in, for the pages show and do everything.

    Args:
        accounts: who has a password.
        suffix: of the cookie's name, for a cookie knows no port: another cloud on this host must not overwrite ours.
    """

    def __init__(self, accounts: Accounts, suffix: str) -> None:
        self.accounts = accounts
        self.cookie = f"esp-ota-login-{suffix}"

    def visitor(self, request: Request) -> User | None:
        """Who has logged in with this browser."""
        return self.accounts.logins.user_of_cookie(request.cookies.get(self.cookie, ""))

    def admits(self, request: Request) -> bool:
        """Whether the browser may see a page, or send a form."""
        user = self.visitor(request)
        return user is not None and user.may(Act.SEE_EVERY_NODE) and sent_by_a_page(request)

    async def let_in(self, request: Request, user_name: str, password: str) -> str:
        """The value of the cookie. Raises ``CloudError``."""
        if not sent_by_a_page(request):
            raise CloudError(Refusal.FOREIGN_ORIGIN, "this form was not sent by a page of this server")
        user = await self.accounts.let_in(user_name, password, LoginKind.PAGE, caller_of(request))
        if not user.may(Act.SEE_EVERY_NODE):
            self.accounts.logins.log_out(user)
            raise CloudError(Refusal.NOT_AN_ADMIN, "this page is for super admins; others use the API")
        return self.accounts.logins.cookie(user)

    def set_cookie(self, request: Request, response: Response, value: str) -> None:
        """Until the browser ends; the login ends before that by itself."""
        secure = request.url.scheme == "https"
        response.set_cookie(self.cookie, value, httponly=True, samesite="strict", secure=secure)


def sent_by_a_page(request: Request) -> bool:
    """Whether a request that changes something says that it comes from here; what only reads need not say so."""
    if request.method in READING:
        return True
    return "origin" in request.headers or request.headers.get("sec-fetch-site") == "same-origin"


def where_to_log_in(request: Request) -> str:
    """The form, which leads back to the page that was asked for."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return PATH if request.method not in READING or asked == "/" else f"{PATH}?next={quote(asked[:_NEXT_LIMIT])}"


def way_back(asked: str) -> str:
    """A path of this server, whatever was asked for: a link must not lead somewhere else after the login."""
    ours = asked.startswith("/") and not asked.startswith(("//", "/\\")) and asked.isprintable()
    return asked if ours and "\\" not in asked else AFTER
