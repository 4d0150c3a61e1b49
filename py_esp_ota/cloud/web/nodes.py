"""Nodes: who is there, what it runs, and which of them somebody should look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.field import LastJob
from py_esp_ota.cloud.jobs import MAX_NODES
from py_esp_ota.cloud.nodes import Node
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.virtual_nodes import Act, VirtualNode, VirtualNodes
from py_esp_ota.cloud.web import stories
from py_esp_ota.cloud.web.live import Listing
from py_esp_ota.cloud.web.show import link, pager, start_of, unlink
from py_esp_ota.cloud.web.site import Site, go
from py_esp_ota.cloud.web.weather import PRESETS, weather_name

PAGE_SIZE = 25
TROUBLES = 10_000
"""Nodes that a search for trouble looks at."""
FILTERS = ("q", "show", "kind", "model", "version", "trouble")
"""What narrows the list, as parameters of its address."""
_CONNECTED = {"online": True, "offline": False}


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the list."""

    node: Node
    virtual: VirtualNode | None
    last: LastJob | None
    trouble: stories.Trouble | None


def add_pages(router: APIRouter, site: Site) -> None:
    """``/nodes``, and ``/start``: from some of them to the form that updates them."""
    service = site.service

    @router.get("/nodes")
    async def nodes(request: Request, trail: str = "", made: int = 0, gone: int = 0) -> HTMLResponse:
        at = site.views.at
        query = narrowing(request.query_params)
        here = link("/nodes", {**query, "trail": trail})
        return site.page(
            "nodes.html", **listed(trail=trail, **query), **choices(), here=here, at=at, made=made, gone=gone
        )

    @router.get("/start")
    async def start(request: Request, ota_image_id: str = "", which: str = "ticked", back: str = "/nodes") -> Response:
        ids = request.query_params.getlist("node_ids") if which == "ticked" else _all_found(back)
        if not ids:
            raise CloudError(Refusal.INVALID_REQUEST, "No node was ticked, so that there is nothing to start.")
        if len(ids) > MAX_NODES:
            why = f"A job has at most {MAX_NODES} nodes by name, and this would have more: make a group of them."
            raise CloudError(Refusal.JOB_TARGETS, why)
        service.images.get(ota_image_id)
        return go(f"/images/{ota_image_id}/start?" + urlencode([("nodes", node_id) for node_id in dict.fromkeys(ids)]))

    def _all_found(address: str) -> list[str]:
        query = narrowing(unlink(address)[1])
        page = found(service, virtual_by_id(site.virtual_nodes), query, None, MAX_NODES + 1)
        return [node.node_id for node in page.items]

    def choices() -> dict[str, Any]:
        versions = service.field.versions()
        return {
            "models": sorted({version.model for version in versions if version.model}),
            "versions": sorted({version.fw_version for version in versions if version.fw_version}),
            "presets": PRESETS,
            "acts": ACTS,
            "images": [(each.ota_image_id, each.image_name) for each in service.images.find(num_records=200).items],
        }

    def listed(trail: str = "", **query: str) -> dict[str, Any]:
        virtual = virtual_by_id(site.virtual_nodes)
        page = found(service, virtual, query, start_of(trail), PAGE_SIZE)
        last = service.field.last_jobs([node.node_id for node in page.items])
        return {
            "rows": [row_of(node, virtual.get(node.node_id), last.get(node.node_id)) for node in page.items],
            "unseen": [] if any(query.values()) else [each for each in virtual if not service.nodes.is_known(each)],
            "pager": pager("/nodes", query, trail, page, PAGE_SIZE),
            "query": {name: query.get(name, "") for name in FILTERS},
            "weather_name": weather_name,
            "door": site.virtual_nodes is not None,
        }

    site.views.add(
        Listing.maker(
            "/nodes",
            {"node", "job"},
            ("trail", *FILTERS),
            lambda **query: site.html("_nodes.html", **listed(**query)),
        )
    )


ACTS = (
    (Act.POWER_ON, "Power on"),
    (Act.POWER_OFF, "Power off"),
    (Act.RESET, "Reset"),
    (Act.POWER_CUT, "Cut at the next flash operation"),
    (Act.ERASE_FLASH, "Erase flash"),
    (Act.REFLASH, "Reflash"),
)
"""What can be done to several virtual nodes at once, as buttons."""


def narrowing(params: Mapping[str, str]) -> dict[str, str]:
    """Those of an address's parameters that narrow the list."""
    return {name: params[name] for name in FILTERS if params.get(name)}


def virtual_by_id(door: VirtualNodes | None) -> dict[str, VirtualNode]:
    """The virtual nodes there are."""
    return {} if door is None else {node.node_id: node for node in door.all()}


def found(
    service: CloudService, virtual: Collection[str], query: Mapping[str, str], start: str | None, num_records: int
) -> Any:
    """A part of the list of nodes that a query asks for."""
    kind = query.get("kind", "")
    among: Collection[str] | None = virtual if kind == "virtual" else None
    if query.get("trouble"):
        bad = troubled(service, virtual)
        among = bad if among is None else bad & set(among)
    return service.nodes.find(
        connected=_CONNECTED.get(query.get("show", "")),
        model=query.get("model") or None,
        fw_version=query.get("version") or None,
        search=query.get("q", "").strip(),
        among=among,
        apart=virtual if kind == "real" else (),
        start_id=start,
        num_records=num_records,
    )


def troubled(service: CloudService, virtual: Collection[str]) -> set[str]:
    """The ids of nodes that somebody should look at."""
    nodes = virtual.values() if isinstance(virtual, Mapping) else ()
    return {last.node_id for last in service.field.troubled(TROUBLES)[0]} | {
        node.node_id for node in nodes if stories.of_virtual(node)
    }


def row_of(node: Node, virtual: VirtualNode | None, last: LastJob | None) -> Row:
    """A node of the list, with what is wrong with it."""
    of_virtual = stories.of_virtual(virtual) if virtual else None
    return Row(node, virtual, last, of_virtual or (stories.of_job(last) if last else None))
