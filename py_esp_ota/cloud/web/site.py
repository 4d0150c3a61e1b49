"""What all pages have in common: templates, security headers, errors as pages, static files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import refusing_outages
from py_esp_ota.cloud.web import show
from py_esp_ota.cloud.web.link import PATH, OneTimeLink

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

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Site:
    """The service behind the pages, and how a page is made.

    Args:
        service: the cloud.
        link: lets one browser in; everybody is in when there is none.
    """

    def __init__(self, service: CloudService, link: OneTimeLink | None = None) -> None:
        self.service = service
        self.link = link
        self._env = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters |= show.FILTERS
        self._env.globals["version"] = version("py_esp_ota")
        self._env.globals["open_to_all"] = link is None

    def html(self, template: str, /, **context: Any) -> str:
        """A template as text."""
        return self._env.get_template(template).render(context)

    def page(self, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        """A template as a response."""
        return HTMLResponse(self.html(template, **context), status)

    def stream(self, events: AsyncIterator[str]) -> StreamingResponse:
        """Server-sent events, until the browser or the service goes away."""

        async def opened() -> AsyncIterator[str]:
            yield "retry: 1000\n\n"  # a browser that lost its connection tries again after a second
            async for event in events:
                yield event

        return StreamingResponse(opened(), media_type="text/event-stream")

    def error(self, status: int, sentence: str) -> HTMLResponse:
        """An error as a page of its own."""
        return self.page("error.html", status, status=status, phrase=HTTPStatus(status).phrase, sentence=sentence)

    def admits(self, request: Request) -> bool:
        """Whether this browser may see the pages."""
        return self.link is None or self.link.admits(request.cookies)

    def route_class(self, *, guarded: bool = True) -> type[APIRoute]:
        """Routes whose refusals are pages instead of the API's JSON, and whose every answer carries ``HEADERS``.

        With ``guarded`` a browser that was not let in is turned away before anything it sends is read.
        """
        error, admits = self.error, self.admits

        class PageRoute(APIRoute):
            def get_route_handler(self) -> Handler:
                handle = super().get_route_handler()

                async def answered(request: Request) -> Response:
                    if guarded and not admits(request):
                        response: Response = error(403, NOT_LET_IN)
                    else:
                        response = await judged(request)
                    for name, value in HEADERS.items():
                        response.headers.setdefault(name, value)
                    return response

                async def judged(request: Request) -> Response:
                    try:
                        with refusing_outages():
                            return await handle(request)
                    except CloudError as refused:
                        return error(refused.refusal.http_status, refused.description)
                    except RequestValidationError as wrong:
                        fields = ", ".join(str(problem["loc"][-1]) for problem in wrong.errors())
                        return error(Refusal.INVALID_REQUEST.http_status, f"This request makes no sense: {fields}.")

                return answered

        return PageRoute

    def add_static(self, router: APIRouter) -> None:
        """Style, script and icon. A plain route, so that the router is all there is to include."""
        files = StaticFiles(directory=HERE / "static")

        @router.get("/static/{path:path}")
        async def static(request: Request, path: str) -> Response:
            response = await files.get_response(path, request.scope)
            response.headers["Cache-Control"] = "no-cache"  # kept, but asked for again: an upgrade shows at once
            return response

        @router.get("/")
        async def home() -> Response:
            return go("/images")

    def add_entrance(self, router: APIRouter, link: OneTimeLink) -> None:
        """Where the one-time link leads."""

        @router.get(PATH)
        async def enter(request: Request, token: str = "") -> Response:
            session = None if link.admits(request.cookies) else link.spend(token)
            if session is None:
                return go("/images")  # who was let in before is in, and who was not is told
            response = go("/images")
            # Nothing but a request of our own pages carries it, and no script reads it.
            response.set_cookie(link.cookie, session, httponly=True, samesite="strict")
            return response


def go(url: str) -> RedirectResponse:
    """To another page with GET, as after every successful form."""
    return RedirectResponse(url, 303)
