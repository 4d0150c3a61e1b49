"""One route of the API. Who may not call it learns so before a byte of the body is read, and the body is strict JSON.

The framework reads and parses the body first and looks at the token afterwards: strangers could send megabytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from py_esp_ota.cloud.api.auth import DOORS, check_may, identify, signed_in
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.store import refusing_outages
from py_esp_ota.cloud.texts import heard
from py_esp_ota.strict_json import JsonError, read_json

log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ApiRoute(APIRoute):
    """A route whose parameters ``SignedIn``, ``Admin`` and ``SuperAdmin`` are asked for at the door."""

    def get_route_handler(self) -> Handler:
        """As the framework's, behind the two checks."""
        handle = super().get_route_handler()
        asked = set(_calls(self.dependant))
        acts = [act for door, act in DOORS.items() if door in asked]

        async def guarded(request: Request) -> Response:
            with refusing_outages():
                if signed_in in asked:
                    request.state.user = identify(request)
                for act in acts:
                    check_may(request.state.user, act)
                return await handle(_StrictRequest(request.scope, request.receive))

        return guarded


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The body, read as a node's messages are."""
        if not hasattr(self, "_json"):
            try:
                self._json = read_json(await self.body())
            except JsonError as error:
                where = "" if error.pos is None else f", at character {error.pos}"
                problem = f"the body{':' if error.pos is None else ' is'} {error}{where}"
                log.warning("%s %s: %s", self.method, heard(self.scope["path"], 200), problem)
                raise HTTPException(Refusal.INVALID_REQUEST.http_status, problem) from None
        return self._json


def _calls(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)
