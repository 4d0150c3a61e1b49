"""Nodes: who is there and what it runs."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.web.show import link, pager, start_of
from py_esp_ota.cloud.web.site import Site

PAGE_SIZE = 25
_CONNECTED = {"online": True, "offline": False}


def add_pages(router: APIRouter, site: Site) -> None:
    """``/nodes``."""
    service = site.service

    @router.get("/nodes")
    async def nodes(show: str = "", trail: str = "") -> HTMLResponse:
        page = service.nodes.find(connected=_CONNECTED.get(show), start_id=start_of(trail), num_records=PAGE_SIZE)
        return site.page(
            "nodes.html",
            nodes=page.items,
            pager=pager("/nodes", {"show": show}, trail, page, PAGE_SIZE),
            here=link("/nodes", {"show": show, "trail": trail}),
            show=show,
        )
