"""Routes of pages, which the framework looks at when they are first asked for.

It reads each function's parameters and makes models of them: for all pages that is most of what a cloud's start takes,
and most clouds are asked for few of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


class LateRouter(APIRouter):
    """Its routes are made by ``route_class`` as they are asked for; an app takes them as they are, not by including."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **how: Any) -> None:
        """One more, of these methods. Nothing else can be said about a page."""
        self.routes.append(_LateRoute(path, endpoint, how["methods"], self.route_class))


class _LateRoute(Route):
    def __init__(self, path: str, endpoint: Callable[..., Any], methods: list[str], kind: type[APIRoute]) -> None:
        super().__init__(path, endpoint, methods=methods, include_in_schema=False)
        self.methods = set(methods)  # GET is not HEAD, too, in this framework
        self._kind = kind
        self._made: APIRoute | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By what the framework makes of the function."""
        if self._made is None:
            self._made = self._kind(self.path, self.endpoint, methods=self.methods, include_in_schema=False)
        await self._made.handle(scope, receive, send)
