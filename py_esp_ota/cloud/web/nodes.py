"""Nodes: who is there and what it runs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.web.live import Listing
from py_esp_ota.cloud.web.show import link, pager, start_of
from py_esp_ota.cloud.web.site import Site

PAGE_SIZE = 25
_CONNECTED = {"online": True, "offline": False}


def add_pages(router: APIRouter, site: Site) -> None:
    """``/nodes``."""
    service = site.service

    @router.get("/nodes")
    async def nodes(show: str = "", trail: str = "") -> HTMLResponse:
        at = site.views.at
        here = link("/nodes", {"show": show, "trail": trail})
        return site.page("nodes.html", **listed(show, trail), here=here, at=at)

    def listed(show: str = "", trail: str = "") -> dict[str, Any]:
        page = service.nodes.find(connected=_CONNECTED.get(show), start_id=start_of(trail), num_records=PAGE_SIZE)
        return {"nodes": page.items, "pager": pager("/nodes", {"show": show}, trail, page, PAGE_SIZE), "show": show}

    site.views.add(
        Listing.maker("/nodes", "node", ("show", "trail"), lambda **query: site.html("_nodes.html", **listed(**query)))
    )
