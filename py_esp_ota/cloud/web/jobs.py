"""OTA Jobs: the list, and the buttons of a job. What follows a job live is ``monitor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.campaign import CampaignState
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.web.live import Listing
from py_esp_ota.cloud.web.monitor import Monitor, job_line, wanted
from py_esp_ota.cloud.web.show import link, pager, start_of, unlink
from py_esp_ota.cloud.web.site import Site, go

PAGE_SIZE = 10
NAMES = ("q", "trail", "archived", "state", "image")


@dataclass(frozen=True, slots=True)
class _Which:
    """Which jobs the list shows."""

    q: str = ""
    trail: str = ""
    archived: object = ""
    state: str = ""
    image: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters, without the page."""
        archived = "1" if self.archived else ""
        return {"q": self.q, "archived": archived, "state": self.state, "image": self.image}


def add_pages(router: APIRouter, site: Site) -> None:
    """``/jobs``, ``/jobs/<id>``, its stream and its buttons."""
    service = site.service

    @router.get("/jobs")
    async def jobs(
        q: str = "", trail: str = "", archived: bool = False, state: str = "", image: str = ""
    ) -> HTMLResponse:
        at, which = site.views.at, _Which(q, trail, archived, state, image)
        here = link("/jobs", {**which.query, "trail": trail})
        return site.page("jobs.html", **listed(which), states=list(CampaignState), images=images(), here=here, at=at)

    def images() -> list[tuple[str, str]]:
        return [(each.ota_image_id, each.image_name) for each in service.images.find(num_records=200).items]

    def listed(which: _Which) -> dict[str, Any]:
        page = service.jobs.find(
            text=which.q or None,
            archived=bool(which.archived),
            state=next((state for state in CampaignState if state.value == which.state), None),
            ota_image_id=which.image or None,
            start_id=start_of(which.trail),
            num_records=PAGE_SIZE,
        )
        return {
            "lines": [job_line(service, view) for view in page.items],
            "pager": pager("/jobs", which.query, which.trail, page, PAGE_SIZE),
            "q": which.q,
            "archived": bool(which.archived),
            "state": which.state,
            "image": which.image,
        }

    def shown(**query: str) -> str:
        return site.html("_jobs.html", **listed(_Which(**query)))

    site.views.add(Listing.maker("/jobs", {"job"}, NAMES, shown))

    @router.get("/jobs/{ota_job_id}")
    async def job(
        ota_job_id: str, status: str = "", reason: str = "", phase: str = "", q: str = "", page: str = ""
    ) -> HTMLResponse:
        at = site.views.at
        asked = {"status": status, "reason": reason, "phase": phase, "q": q, "page": page}
        monitor = Monitor(site, ota_job_id, *wanted(asked))
        return site.page("job.html", **monitor.look(), here=monitor.address, at=at)

    def watched(address: str) -> Monitor | None:
        path, query = unlink(address)
        _, room, ota_job_id, *more = (path + "/").split("/", 3)
        if room != "jobs" or not ota_job_id or more != [""]:
            return None
        return Monitor(site, ota_job_id, *wanted(query))

    site.views.add(watched)

    @router.post("/jobs/{ota_job_id}/cancel")
    async def cancel(request: Request, ota_job_id: str) -> Response:
        service.jobs.cancel(ota_job_id, site.by(request))
        return go(f"/jobs/{ota_job_id}")

    @router.post("/jobs/{ota_job_id}/pause")
    async def pause(request: Request, ota_job_id: str) -> Response:
        service.campaigns.pause(ota_job_id, site.by(request))
        return go(f"/jobs/{ota_job_id}")

    @router.post("/jobs/{ota_job_id}/resume")
    async def resume(request: Request, ota_job_id: str) -> Response:
        try:
            service.campaigns.resume(ota_job_id, site.by(request))
        except CloudError as error:
            if error.refusal is not Refusal.JOB_NOT_PAUSED:  # somebody else was quicker: what was wanted is so
                raise
        return go(f"/jobs/{ota_job_id}")

    @router.post("/jobs/{ota_job_id}/retry")
    async def retry(
        request: Request,
        ota_job_id: str,
        node_id: Annotated[str, Form()] = "",
        back: Annotated[str, Form()] = "",
    ) -> Response:
        service.campaigns.retry(ota_job_id, [node_id] if node_id else None, site.by(request))
        here = f"/jobs/{ota_job_id}"
        return go(back if back.startswith(f"{here}?") else here)

    @router.post("/jobs/{ota_job_id}/archive")
    async def archive(request: Request, ota_job_id: str) -> Response:
        service.jobs.archive(ota_job_id, site.by(request))
        return go("/jobs")
