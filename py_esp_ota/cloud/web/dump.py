"""A flash dump of a real board, opened up: the same picture as of a virtual node.

Nothing of it is kept but, for who asks for that, what it tells of its board: its table, its bootloader, its otadata.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.requests import ClientDisconnect

from py_esp_ota.cloud.board_notes import facts_of
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web.node import flash_context
from py_esp_ota.cloud.web.site import Site, go
from py_esp_ota.cloud.web.upload import DUMP_LIMIT, read_upload


def add_pages(router: APIRouter, site: Site) -> None:
    """``/flash``: the form, and what is in the file that it sent."""

    @router.get("/flash")
    async def form(node: str = "") -> HTMLResponse:
        return _page(node)

    @router.post("/flash")
    async def opened(request: Request, node: str = "", note: bool = False) -> Response:
        try:
            upload = await read_upload(request, DUMP_LIMIT, "A flash dump")
            look = site.door.look_at(upload.data)
            if note:
                site.service.boards.note(node, facts_of(look), site.by(request))
                return go(f"/nodes/{quote(node, safe='')}#facts")
        except CloudError as refused:
            return _page(node, refused)
        except ClientDisconnect:
            return Response(status_code=400)
        return site.page("dump.html", **flash_context(look), filename=upload.filename, node_id=node, whole=True)

    def _page(node: str, refused: CloudError | None = None) -> HTMLResponse:
        return site.page(
            "dump_form.html",
            refused.refusal.http_status if refused else 200,
            node_id=node,
            limit=DUMP_LIMIT,
            door=site.virtual_nodes is not None,
            error=refused.description if refused else "",
        )
