"""What is kept of a job: its file, its way back from the archive, its deletion."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from py_esp_ota.cloud.api.records import exported
from py_esp_ota.cloud.web.site import Site, go


def add_pages(router: APIRouter, site: Site) -> None:
    """Below ``/jobs/<id>``."""
    service = site.service

    @router.get("/jobs/{ota_job_id}/export/{format}")
    async def export(ota_job_id: str, format: str) -> Response:  # noqa: A002 - as it is called everywhere
        kind = "json" if format == "json" else "csv"
        headers = {"Content-Disposition": f'attachment; filename="{ota_job_id}.{kind}"'}
        pieces = exported(service, ota_job_id, kind)
        return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)

    @router.post("/jobs/{ota_job_id}/unarchive")
    async def unarchive(request: Request, ota_job_id: str) -> Response:
        service.jobs.unarchive(ota_job_id, site.by(request))
        return go(f"/jobs/{ota_job_id}")

    @router.post("/jobs/{ota_job_id}/delete")
    async def delete(request: Request, ota_job_id: str) -> Response:
        service.jobs.delete([ota_job_id], site.by(request))
        return go("/jobs")
