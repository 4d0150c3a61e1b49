"""Firmware Images: the list, and the upload that shows what is in a file before it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.requests import ClientDisconnect

from py_esp_ota._core import ImageInfo, inspect_image
from py_esp_ota.cloud.images import NAME_LIMIT, SIZE_LIMIT
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import refusing_outages
from py_esp_ota.cloud.web.live import Listing
from py_esp_ota.cloud.web.show import link, pager, start_of
from py_esp_ota.cloud.web.site import Site, by_htmx, go
from py_esp_ota.cloud.web.upload import Upload, read_upload

PAGE_SIZE = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file is, before it is stored: everything the judge can read, and what speaks against it."""

    filename: str
    size: int
    info: ImageInfo
    problem: str  # why it cannot be stored, although every byte is in its place
    name: str

    @property
    def storable(self) -> bool:
        """Whether the Store button is offered."""
        return not self.info.faults and not self.problem


def preview_of(upload: Upload, name: str = "") -> Preview:
    """Judge a file without storing it; without a name a fitting one is proposed."""
    info = inspect_image(upload.data)
    desc = info.app_desc
    problem = ""
    if not info.faults and info.kind != "app":
        problem = "This is a bootloader image. It stands at a fixed place in flash and cannot be updated over the air."
    elif not info.faults and (desc is None or not desc.version or not desc.project_name):
        problem = "The app descriptor names no project or no version, so that no node could tell it from another."
    suggested = f"{desc.project_name}-{desc.version}" if desc else upload.filename
    return Preview(upload.filename, len(upload.data), info, problem, name or suggested)


def add_pages(router: APIRouter, site: Site) -> None:
    """``/images``, ``/images/upload`` and what their forms do."""
    service = site.service

    @router.get("/images")
    async def images(q: str = "", trail: str = "", archived: bool = False, stored: str = "") -> HTMLResponse:
        at = site.views.at
        return site.page(
            "images.html",
            **listed(q, trail, archived),
            here=link("/images", {"q": q, "archived": "1" if archived else "", "trail": trail}),
            at=at,
            stored=service.images.get(stored) if stored else None,
        )

    def listed(q: str = "", trail: str = "", archived: object = "") -> dict[str, Any]:
        page = service.images.find(
            name=q or None, contains=True, archived=bool(archived), start_id=start_of(trail), num_records=PAGE_SIZE
        )
        query = {"q": q, "archived": "1" if archived else ""}
        turns = pager("/images", query, trail, page, PAGE_SIZE)
        return {"images": page.items, "pager": turns, "q": q, "archived": bool(archived)}

    site.views.add(
        Listing.maker(
            "/images",
            {"image"},
            ("q", "trail", "archived"),
            lambda **query: site.html("_images.html", **listed(**query), stored=None),
        )
    )

    @router.get("/images/upload")
    async def upload_form() -> HTMLResponse:
        return site.page("upload.html", limit=SIZE_LIMIT, preview=None, error="")

    @router.post("/images/preview")
    async def preview(request: Request) -> Response:
        try:
            upload = await read_upload(request)
        except CloudError as refused:
            return _refusal(request, refused)
        except ClientDisconnect:
            return Response(status_code=400)
        return site.page("_preview.html", preview=preview_of(upload), error="", name_limit=NAME_LIMIT)

    @router.post("/images/upload")
    async def store(request: Request) -> Response:
        upload = None
        try:
            upload = await read_upload(request)
            with refusing_outages():
                name = upload.name.strip() or preview_of(upload).name
                image = service.images.add(name, upload.data, by=site.by(request))
        except CloudError as refused:
            return _refusal(request, refused, upload)
        except ClientDisconnect:
            return Response(status_code=400)
        url = link("/images", {"stored": image.ota_image_id})
        return Response(headers={"HX-Redirect": url}) if by_htmx(request) else go(url)

    @router.post("/images/{ota_image_id}/archive")
    async def archive(request: Request, ota_image_id: str) -> Response:
        service.images.archive(ota_image_id, by=site.by(request))
        return go("/images")

    @router.post("/images/{ota_image_id}/unarchive")
    async def unarchive(request: Request, ota_image_id: str) -> Response:
        service.images.archive(ota_image_id, archived=False, by=site.by(request))
        return go("/images?archived=1")

    def _refusal(request: Request, refused: CloudError, upload: Upload | None = None) -> HTMLResponse:
        """Why nothing was stored: in place where htmx asked, else as a page with the form."""
        found = (
            None if upload is None or refused.refusal is Refusal.IMAGE_TOO_LARGE else preview_of(upload, upload.name)
        )
        # A faulty image shows its faults, which say more than the refusal's sentence.
        error = "" if found and not found.storable else refused.description
        template = "_preview.html" if by_htmx(request) else "upload.html"
        return site.page(
            template, refused.refusal.http_status, limit=SIZE_LIMIT, preview=found, error=error, name_limit=NAME_LIMIT
        )
