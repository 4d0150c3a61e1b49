"""Start OTA: which nodes get an image, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.jobs import ALL_NODES, MAX_NODES
from py_esp_ota.cloud.new_job import JOB_NAME_LIMIT
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web.show import hints
from py_esp_ota.cloud.web.site import Site, go

LISTED = 500
"""Nodes offered one by one; more than anybody ticks, and a job names at most 100."""


def add_pages(router: APIRouter, site: Site) -> None:
    """``/images/<id>/start``: the form and what it does."""
    service = site.service

    @router.get("/images/{ota_image_id}/start")
    async def start_form(ota_image_id: str) -> HTMLResponse:
        image = service.images.get(ota_image_id)
        return _form(ota_image_id, job_name=f"{image.model} {image.fw_version}"[:JOB_NAME_LIMIT])

    @router.post("/images/{ota_image_id}/start")
    async def start(
        ota_image_id: str,
        job_name: Annotated[str, Form()] = "",
        target: Annotated[str, Form()] = "nodes",
        nodes: Annotated[list[str] | None, Form()] = None,
        force_push: Annotated[bool, Form()] = False,
    ) -> Response:
        everything = target == "all"
        try:
            view = service.jobs.create(
                job_name.strip(),
                ota_image_id,
                nodes=() if everything else tuple(nodes or ()),
                groups=(ALL_NODES,) if everything else (),
                force_push=force_push,
            )
        except CloudError as refused:
            return _form(
                ota_image_id,
                job_name=job_name,
                everything=everything,
                chosen=frozenset(nodes or ()),
                force_push=force_push,
                refused=refused,
            )
        return go(f"/jobs/{view.job.ota_job_id}")

    def _form(
        ota_image_id: str,
        *,
        job_name: str,
        everything: bool = False,
        chosen: frozenset[str] = frozenset(),
        force_push: bool = False,
        refused: CloudError | None = None,
    ) -> HTMLResponse:
        image = service.images.get(ota_image_id)
        page = service.nodes.find(num_records=LISTED)
        return site.page(
            "start.html",
            refused.refusal.http_status if refused else 200,
            image=image,
            offers=[(node, hints(node, image)) for node in page.items],
            total=page.total,
            job_name=job_name,
            job_name_limit=JOB_NAME_LIMIT,
            everything=everything,
            chosen=chosen,
            force_push=force_push,
            max_nodes=MAX_NODES,
            error=refused.description if refused else "",
        )
