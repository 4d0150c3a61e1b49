"""Firmware download: what nodes fetch. The link is the permission; one range may be asked for, to resume."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from py_esp_ota.cloud.api.auth import Service
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute

router = APIRouter(prefix="/v1", tags=["images"], responses=RESPONSES, route_class=ApiRoute)

PIECE = 64 * 1024
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {**_BYTES, "description": "The image"},
    206: {**_BYTES, "description": "The asked part of it"},
    416: {"description": "There is no such part"},
}
_SINGLE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@router.get("/ota/image/{ota_image_id}/firmware.bin", response_model=None, response_class=Response, responses=_ANSWERS)
@router.head("/ota/image/{ota_image_id}/firmware.bin", response_model=None, include_in_schema=False)
async def firmware(
    *,
    service: Service,
    request: Request,
    ota_image_id: str,
    token: Annotated[str, Query()] = "",
    asked: Annotated[str, Header(alias="range")] = "",
    if_range: Annotated[str, Header()] = "",
) -> Response:
    """The image, or the asked part of it."""
    found = service.images.download(ota_image_id, token)
    size = len(found.data)
    headers = {"Accept-Ranges": "bytes", "ETag": found.etag}
    part = None if if_range and if_range != found.etag else single_range(asked, size)
    if part is not None and not part:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    status = 200
    if part is None:
        part = range(size)
    else:
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    headers["Content-Length"] = str(len(part))
    media_type = "application/octet-stream"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(_pieces(found.data, part), status, headers, media_type)


def single_range(header: str, size: int) -> range | None:
    """The bytes a ``Range`` header asks for: empty when there are none, ``None`` when the header does not count.

    Several ranges at once, other units and nonsense do not count: the whole image answers them (RFC 9110, 14.2).
    """
    match = _SINGLE_RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1 if last else size, size))


async def _pieces(data: bytes, part: range) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in part[::PIECE]:
        yield bytes(view[start : min(start + PIECE, part.stop)])
