"""What all pages have in common: templates, security headers, errors as pages, static files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from py_esp_ota import __version__
from py_esp_ota.cloud.events import THE_ADMIN, By
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import Rehearsals
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import refusing_outages
from py_esp_ota.cloud.virtual_nodes import VirtualNodes
from py_esp_ota.cloud.web import show
from py_esp_ota.cloud.web.link import PATH, OneTimeLink
from py_esp_ota.cloud.web.live import EventStream, Views
from py_esp_ota.cloud.web.login import PATH as PATH_OF_LOGIN
from py_esp_ota.cloud.web.login import LoginGate, sent_by_a_page, where_to_log_in

log = logging.getLogger(__name__)

HERE = Path(__file__).parent

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with it a browser sends `Origin: null` along with a form, and the Origin check would refuse it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every page, fragment, stream and static file."""

NOT_LET_IN = (
    "This page asks for the link that esp-ota serve printed. It works once, in one browser. "
    "For a new one, start it again."
)

API = frozenset({"v1"})
"""Beginnings of addresses that are never a page, whoever asks."""
PAGES = frozenset(
    {
        "audit",
        "images",
        "jobs",
        "nodes",
        "groups",
        "rehearsals",
        "virtual",
        "flash",
        "start",
        "docs",
        "live",
        "static",
        "enter",
        "login",
        "logout",
        "account",
    }
)
"""Beginnings of addresses that are always one. At any other, browsers get a page and programs the API's JSON."""
LOST = {
    404: "There is no page at this address.",
    405: "There is no page at this address: it belongs to a button of another page.",
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _Compiled(BytecodeCache):
    """What the templates are compiled to, once in a process. Each site links it to its own filters and globals."""

    def __init__(self) -> None:
        self._of: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := self._of.get(bucket.key)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._of[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


class Site:
    """The service behind the pages, and how a page is made.

    Args:
        service: the cloud.
        link: lets one browser in.
        login: lets in who logs in; everybody is in when there is neither.
        virtual_nodes: the nodes that are simulated beside the cloud, asked for when a page wants them.
        rehearsals: what plays rehearsals, asked for in the same way.
    """

    def __init__(
        self,
        service: CloudService,
        link: OneTimeLink | None = None,
        login: LoginGate | None = None,
        virtual_nodes: Callable[[], VirtualNodes | None] = lambda: None,
        rehearsals: Callable[[], Rehearsals | None] = lambda: None,
    ) -> None:
        self.service = service
        self.link = link
        self.login = login
        self._virtual_nodes = virtual_nodes
        self._rehearsals = rehearsals
        # The time of its start tells this run of the cloud from every other.
        self.views = Views(service.live, f"{service.ground.now_ms():x}")
        self._env = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            bytecode_cache=_COMPILED,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters |= show.FILTERS
        self._env.globals["ago"] = lambda time: show.ago(time, service.ground.now_ms())
        self._env.globals["weathers"] = lambda: door.weathers if (door := rehearsals()) else ()
        self._env.globals["version"] = __version__
        self._env.globals["let_in_by"] = "login" if login else "link" if link else "nothing"

    @property
    def virtual_nodes(self) -> VirtualNodes | None:
        """The nodes that are simulated beside the cloud, if any can be."""
        return self._virtual_nodes()

    @property
    def door(self) -> VirtualNodes:
        """The same, for who needs them. Raises ``CloudError`` (NO_VIRTUAL_NODES)."""
        door = self._virtual_nodes()
        if door is None:
            raise CloudError(Refusal.NO_VIRTUAL_NODES, "this server has no virtual nodes")
        return door

    @property
    def rehearsals(self) -> Rehearsals:
        """What plays rehearsals. Raises ``CloudError`` (NO_REHEARSAL)."""
        door = self._rehearsals()
        if door is None:
            raise CloudError(Refusal.NO_REHEARSAL, "this server plays no rehearsals")
        return door

    def html(self, template: str, /, **context: Any) -> str:
        """A template as text."""
        return self._env.get_template(template).render(context)

    def page(self, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        """A template as a response."""
        return HTMLResponse(self.html(template, **context), status)

    def error(self, status: int, sentence: str) -> HTMLResponse:
        """An error as a page of its own."""
        return self.page("error.html", status, status=status, phrase=HTTPStatus(status).phrase, sentence=sentence)

    def by(self, request: Request) -> By:
        """Who presses a button: whoever has logged in, else the admin of this machine, who has no name."""
        user = self.login.visitor(request) if self.login else None
        return user.by if user else THE_ADMIN

    def admits(self, request: Request) -> bool:
        """Whether this browser may see the pages."""
        if self.login is not None:
            return self.login.admits(request)
        return self.link is None or self.link.admits(request.cookies)

    def turn_away(self, request: Request) -> Response:
        """What a browser gets that may not: a page that says why, or the way to the login."""
        if self.login is None:
            return self.error(403, NOT_LET_IN)
        if not sent_by_a_page(request):
            return self.error(403, "This form was not sent by a page of this server.")
        way = where_to_log_in(request)
        if request.method == "GET" and "hx-request" not in request.headers and _wants_a_page(request):
            return go(way)
        answer = self.error(401, "This needs a login, and yours has ended.")
        answer.headers["HX-Redirect"] = PATH_OF_LOGIN
        return answer

    def route_class(self, *, guarded: bool = True) -> type[APIRoute]:
        """Routes whose refusals are pages instead of the API's JSON, and whose every answer carries ``HEADERS``.

        With ``guarded`` a browser that was not let in is turned away before anything it sends is read.
        """
        error, admits, turn_away = self.error, self.admits, self.turn_away

        class PageRoute(APIRoute):
            def get_route_handler(self) -> Handler:
                handle = super().get_route_handler()

                async def answered(request: Request) -> Response:
                    return dressed(turn_away(request) if guarded and not admits(request) else await judged(request))

                async def judged(request: Request) -> Response:
                    try:
                        with refusing_outages():
                            return await handle(request)
                    except CloudError as refused:
                        return error(refused.refusal.http_status, refused.description)
                    except RequestValidationError as wrong:
                        fields = ", ".join(str(problem["loc"][-1]) for problem in wrong.errors())
                        return error(Refusal.INVALID_REQUEST.http_status, f"This request makes no sense: {fields}.")
                    except (ClientDisconnect, HTTPException):
                        raise  # the app's own
                    except Exception:
                        log.exception("%s %s failed", request.method, request.url.path)
                        return error(500, "The server made a mistake. Its log says more.")

                return answered

        return PageRoute

    def lost(self, request: Request, status: int) -> Response | None:
        """The page for an address that has none (404, 405); ``None`` when it is the API that was meant."""
        first = request.url.path.split("/")[1]
        by_browser = "text/html" in request.headers.get("accept", "")
        if status not in LOST or first in API or not (by_browser or first in PAGES):
            return None
        return dressed(self.error(status, LOST[status]) if self.admits(request) else self.turn_away(request))

    def add_static(self, router: APIRouter) -> None:
        """Style, script and icon. A plain route, so that the router is all there is to include."""
        files = StaticFiles(directory=HERE / "static")

        @router.get("/static/{path:path}")
        async def static(request: Request, path: str) -> Response:
            response = await files.get_response(path, request.scope)
            response.headers["Cache-Control"] = "no-cache"  # kept, but asked for again: an upgrade shows at once
            return response

    def add_live(self, router: APIRouter) -> None:
        """The one stream of a browser: all views that its pages show, as ``<where it is> <its address>``.

        Without the former, which is what ``views.at`` said, a view is sent whole.
        """

        @router.get("/live")
        async def live(request: Request, view: Annotated[list[str] | None, Query()] = None) -> EventStream:
            wanted = {address: at for at, _, address in (each.rpartition(" ") for each in view or ())}
            return EventStream(self.views.stream(wanted, partial(self.admits, request)))

    def add_entrance(self, router: APIRouter, link: OneTimeLink) -> None:
        """Where the one-time link leads."""

        @router.get(PATH)
        async def enter(request: Request, token: str = "") -> Response:
            session = None if link.admits(request.cookies) else link.spend(token)
            if session is None:
                return go("/")  # who was let in before is in, and who was not is told
            response = go("/")
            # Nothing but a request of our own pages carries it, and no script reads it.
            response.set_cookie(link.cookie, session, httponly=True, samesite="strict")
            return response


def _wants_a_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "text/html")


def dressed(response: Response) -> Response:
    """With ``HEADERS``."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def by_htmx(request: Request) -> bool:
    """Whether a script of the page asks, which puts the answer into the page itself."""
    return request.headers.get("hx-request") == "true"


def done(request: Request, url: str) -> Response:
    """After a form that changes what is live on its page: nothing for a script, else the page again."""
    return Response(status_code=204) if by_htmx(request) else go(url)


def go(url: str) -> RedirectResponse:
    """To another page with GET, as after every successful form."""
    return RedirectResponse(url, 303)
