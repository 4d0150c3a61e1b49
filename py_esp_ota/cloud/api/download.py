"""Firmware download: what nodes fetch. The link is the permission; one range may be asked for, to resume.

The bytes go out as slices of the one copy in memory, each when the connection has room for it: a thousand slow nodes
hold one image.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from py_esp_ota.cloud.api.errors import REFUSED
from py_esp_ota.cloud.api.ranges import NOT_SATISFIABLE, PARTIAL, Verdict, judge
from py_esp_ota.cloud.api.route import Handler
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.shelf import Firmware
from py_esp_ota.cloud.store import refusing_outages

PIECE: Final = 128 * 1024
"""What one send hands over, and about as much as waits in this process for a node that is slow to read."""

_PATH: Final = "/ota/image/{ota_image_id}/firmware.bin"
_MEDIA_TYPE: Final = "application/octet-stream"


class _PlainRoute(APIRoute):
    """A route whose endpoint takes the request as it is: nothing is solved, nothing is validated, no body is read."""

    def __init__(self, path: str, endpoint: Handler, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)

        self.app = app  # the framework's prepares for dependencies, of which there are none


def _parameter(name: str, place: str, what: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": what,
        "schema": {"type": "string"},
    }


_PARAMETERS: Final = [
    _parameter("ota_image_id", "path", "The image."),
    _parameter("token", "query", "The permission, as the link has it."),
    _parameter("Range", "header", "One range of bytes; several at once are answered with all of them."),
    _parameter("If-Range", "header", "The entity tag that the range belongs to."),
    _parameter("If-Match", "header", "Entity tags, one of which the image must have."),
    _parameter("If-None-Match", "header", "Entity tags that the client has already."),
]
_BYTES: Final[dict[str, Any]] = {"content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {**_BYTES, "description": "The image"},
    206: {**_BYTES, "description": "The asked part of it"},
    304: {"description": "The client has it already"},
    412: {"description": "The image is another"},
    416: {"description": "There is no such part"},
}

router = APIRouter(prefix="/v1", tags=["images"], responses=REFUSED, route_class=_PlainRoute)


@router.get(
    _PATH,
    response_model=None,
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra={"parameters": _PARAMETERS},
)
@router.head(_PATH, response_model=None, include_in_schema=False)
async def firmware(request: Request) -> Response:
    """The image, or the asked part of it."""
    service: CloudService = request.app.state.service
    with refusing_outages():
        found = service.images.download(request.path_params["ota_image_id"], request.query_params.get("token", ""))
    verdict = judge(request.method, request.headers, found.etag, len(found.data))
    return _Slices(found, verdict)


class _Slices(Response):
    """A part of the firmware; of every other verdict the header alone."""

    def __init__(self, found: Firmware, verdict: Verdict) -> None:
        part, size = verdict.part, len(found.data)
        headers = {"Accept-Ranges": "bytes", "ETag": found.etag}
        if part:
            headers |= {"Content-Type": _MEDIA_TYPE, "Content-Length": str(len(part))}
        if verdict.status == PARTIAL:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        elif verdict.status == NOT_SATISFIABLE:
            headers["Content-Range"] = f"bytes */{size}"
        super().__init__(None if part else b"", verdict.status, headers)
        self._found = found  # as long as it is sent, it is not read again for anybody
        self._part = part

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it, slice by slice."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        part = range(0) if scope["method"] == "HEAD" else self._part
        view = memoryview(self._found.data)
        for start in part[::PIECE]:
            end = min(start + PIECE, part.stop)
            await send({"type": "http.response.body", "body": view[start:end], "more_body": end < part.stop})
        if not part:
            await send({"type": "http.response.body", "body": b""})
