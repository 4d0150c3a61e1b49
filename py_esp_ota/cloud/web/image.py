"""An image's page: what is in it, which nodes say that they run it, and the jobs that brought it there."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.web.live import Parts
from py_esp_ota.cloud.web.monitor import job_line
from py_esp_ota.cloud.web.show import unlink
from py_esp_ota.cloud.web.site import Site, go

NODES = 50
JOBS = 20
"""Nodes and jobs that the page names; the lists have the others."""


def add_pages(router: APIRouter, site: Site) -> None:
    """``/images/<id>``."""

    @router.get("/images/{ota_image_id}")
    async def image(ota_image_id: str) -> HTMLResponse:
        at = site.views.at
        view = ImageView(site, ota_image_id)
        info = site.service.images.inspect(ota_image_id)
        return site.page("image.html", **view.look(), info=info, here=view.address, at=at)

    @router.post("/images/{ota_image_id}/delete")
    async def delete(request: Request, ota_image_id: str) -> Response:
        site.service.images.delete(ota_image_id, force=True, by=site.by(request))
        return go("/images")

    def watched(address: str) -> ImageView | None:
        path, _ = unlink(address)
        _, room, ota_image_id, *more = (path + "/").split("/", 3)
        if room != "images" or ota_image_id in {"", "upload"} or more != [""]:
            return None
        return ImageView(site, ota_image_id)

    site.views.add(watched)


class ImageView:
    """What is live on an image's page: who runs it, and its jobs. The bytes of an image never change."""

    def __init__(self, site: Site, ota_image_id: str) -> None:
        self._site = site
        self._image = ota_image_id
        self.address = f"/images/{ota_image_id}"

    def look(self) -> dict[str, Any]:
        """What the page shows. Raises ``CloudError`` (IMAGE_UNKNOWN)."""
        service = self._site.service
        image = service.images.get(self._image)
        nodes = service.nodes.find(model=image.model, fw_version=image.fw_version, num_records=NODES)
        jobs = service.jobs.find(ota_image_id=self._image, archived=None, num_records=JOBS)
        return {
            "image": image,
            "nodes": nodes,
            "jobs": jobs,
            "lines": [job_line(service, view) for view in jobs.items],
            "removable": all(view.job.cancelled_timestamp is not None for view in jobs.items),
        }

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``. Any node may begin to run it."""
        return notice.kind != "image" or notice.id == self._image

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``."""
        del notices
        context = self.look()
        return {name: self._site.html(f"_image_{name}.html", **context) for name in ("lead", "nodes", "jobs")}
