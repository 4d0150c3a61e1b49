"""Virtual nodes: new ones, and what a hand does to those that are there, to one or to many."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.virtual_nodes import Act, Dials, NewNodes
from py_esp_ota.cloud.web.login import way_back
from py_esp_ota.cloud.web.nodes import FILTERS, found, virtual_by_id
from py_esp_ota.cloud.web.show import link, unlink
from py_esp_ota.cloud.web.site import Site, done, go
from py_esp_ota.cloud.web.weather import PRESETS, WEATHER_LIMIT

TABLES = {
    "": "the usual one for the image",
    "two_ota": "two_ota: two slots of 1 MiB, factory app",
    "two_ota_large": "two_ota_large: two slots of 1.5 MiB and more",
    "two_ota_encr_nvs": "two_ota_encr_nvs: encrypted NVS",
    "two_ota_coredump": "two_ota_coredump: room for a core dump",
    "singleapp": "singleapp: no OTA at all",
}
"""Partition tables to choose from; the API takes every built-in one."""
TYPES = ("Lightbulb", "Switch", "Fan", "Temperature Sensor", "Outlet", "Thermostat")
COUNT_LIMIT = 1000
NAME_LIMIT = 64
PREFIX_LIMIT = 48
IMAGES = 200
"""Images offered, the newest."""

Ids = Annotated[list[str] | None, Form()]
Text = Annotated[str, Form()]


def add_pages(router: APIRouter, site: Site) -> None:
    """``/virtual/...``: forms and what they do."""
    service = site.service

    @router.get("/virtual/add")
    async def add_form(image: str = "") -> HTMLResponse:
        return _form({"ota_image_id": image})

    @router.post("/virtual/add")
    async def add(
        *,
        count: Annotated[int, Form(ge=1, le=COUNT_LIMIT)] = 1,
        ota_image_id: Text = "",
        partitions: Text = "",
        name: Annotated[str, Form(max_length=NAME_LIMIT)] = "",
        prefix: Annotated[str, Form(max_length=PREFIX_LIMIT)] = "",
        type: Annotated[str, Form(max_length=64)] = TYPES[0],  # noqa: A002 (the door's name)
        rollback: Annotated[bool, Form()] = False,
        weather: Annotated[str, Form(max_length=WEATHER_LIMIT)] = "",
    ) -> Response:
        words: dict[str, Any] = {
            "count": count,
            "ota_image_id": ota_image_id,
            "partitions": partitions,
            "name": name.strip(),
            "prefix": prefix.strip(),
            "type": type,
            "rollback": rollback,
        }
        try:
            made = await site.door.add(NewNodes(**words, dials=Dials(weather=weather.strip())))
        except CloudError as refused:
            return _form({**words, "weather": weather}, refused)
        if len(made) == 1:
            return go(f"/nodes/{made[0]}")
        return go(link("/nodes", {"made": str(len(made))}))

    @router.post("/virtual/act")
    async def act(
        request: Request,
        act: Text,
        node_ids: Ids = None,
        which: Text = "ticked",
        weather: Annotated[str, Form(max_length=WEATHER_LIMIT)] = "",
        back: Text = "/nodes",
    ) -> Response:
        ids = _meant(node_ids or [], which, back)
        if not ids:
            raise CloudError(Refusal.INVALID_REQUEST, "No virtual node was ticked, so that nothing was done.")
        if act == "remove":
            return site.page("remove.html", node_ids=ids, back=way_back(back))
        if act == "dials":
            await site.door.turn(ids, Dials(weather=weather.strip()))
        elif act in list(Act):
            await site.door.act(ids, Act(act))
        else:
            raise CloudError(Refusal.INVALID_REQUEST, "Nobody can do that to a node.")
        return done(request, way_back(back))

    @router.post("/virtual/remove")
    async def remove(request: Request, node_ids: Ids = None) -> Response:
        ids = node_ids or []
        await site.door.remove(ids)
        service.nodes.forget(ids, site.by(request))
        return go(link("/nodes", {"gone": str(len(ids))}))

    def _meant(ticked: list[str], which: str, back: str) -> list[str]:
        """The nodes that a form is about: those that were ticked, or every virtual one that its list found."""
        if which != "found":
            return list(dict.fromkeys(ticked))
        virtual = virtual_by_id(site.door)
        _, query = unlink(back)
        query = {name: query[name] for name in FILTERS if name in query}
        page = found(service, virtual, query, None, len(virtual) + service.nodes.count())
        return [node.node_id for node in page.items if node.node_id in virtual]

    def _form(words: dict[str, Any], refused: CloudError | None = None) -> HTMLResponse:
        images = service.images.find(num_records=IMAGES).items
        return site.page(
            "add.html",
            refused.refusal.http_status if refused else 200,
            door=site.virtual_nodes is not None,
            images=images,
            tables=TABLES,
            types=TYPES,
            presets=PRESETS,
            limits={"count": COUNT_LIMIT, "name": NAME_LIMIT, "prefix": PREFIX_LIMIT, "weather": WEATHER_LIMIT},
            words={
                "count": 5,
                "ota_image_id": "",
                "partitions": "",
                "name": "",
                "prefix": "",
                "type": TYPES[0],
                "rollback": True,
                "weather": "",
                **words,
            },
            error=refused.description if refused else "",
        )
