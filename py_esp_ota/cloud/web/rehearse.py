"""Rehearsals: of a job or of one that is only planned; how far they are, and their forecasts."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.forecasts import clock, course, headline, kinds_of
from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import NOT_REMEMBERED, Rehearsals, RehearsalView, Stage
from py_esp_ota.cloud.web.live import Listing, Parts
from py_esp_ota.cloud.web.show import Segment, unlink
from py_esp_ota.cloud.web.site import Site, go

SHOWN = 25
"""Odd devices of each kind that the page lists; the document has all of them."""
SEED_LIMIT = 2**32
_DIGITS = 12
OPEN = (Stage.WAITING, Stage.RUNNING)

TONES = {"aborted": "failed", "paused": "delayed", "unfinished": "delayed"}
STAGES = {
    Stage.WAITING: "triggered",
    Stage.RUNNING: "in-progress",
    Stage.DONE: "success",
    Stage.FAILED: "failed",
    Stage.CANCELLED: "unknown",
}


def add_pages(router: APIRouter, site: Site) -> None:
    """``/rehearsals``, ``/rehearsals/<id>``, its document, and the buttons of a job's page."""
    service = site.service

    def listed() -> dict[str, Any]:
        return {"views": [(view, STAGES[view.stage], words_of(view)) for view in site.rehearsals.all()]}

    @router.get("/rehearsals")
    async def rehearsals() -> HTMLResponse:
        at = site.views.at
        return site.page("rehearsals.html", **listed(), at=at)

    site.views.add(Listing.maker("/rehearsals", {"rehearsal"}, (), lambda: site.html("_rehearsals.html", **listed())))

    @router.get("/rehearsals/{rehearsal_id}")
    async def rehearsal(rehearsal_id: str) -> HTMLResponse:
        at, watched = site.views.at, Watched(site, rehearsal_id)
        return site.page("rehearsal.html", **watched.look(), here=f"/rehearsals/{rehearsal_id}", at=at)

    def watched(address: str) -> Watched | None:
        path, _ = unlink(address)
        room, _, rehearsal_id = path.removeprefix("/").partition("/")
        ours = room == "rehearsals" and rehearsal_id and "/" not in rehearsal_id
        return Watched(site, rehearsal_id) if ours else None

    site.views.add(watched)

    @router.get("/rehearsals/{rehearsal_id}/document")
    async def document(rehearsal_id: str) -> Response:
        played = site.rehearsals.played(rehearsal_id)
        if played is None:
            raise CloudError(Refusal.REHEARSAL_UNKNOWN, NOT_REMEMBERED)
        return _download(played.to_json(), f"rehearsal-{rehearsal_id}.json")

    @router.get("/rehearsals/{rehearsal_id}/forecast")
    async def forecast(rehearsal_id: str) -> Response:
        view = view_of(site.rehearsals, rehearsal_id)
        return _download(view.forecast or {}, f"forecast-{rehearsal_id}.json")

    @router.post("/rehearsals/{rehearsal_id}/cancel")
    async def cancel(rehearsal_id: str) -> Response:
        site.rehearsals.cancel(view_of(site.rehearsals, rehearsal_id).rehearsal_id)
        return go(f"/rehearsals/{rehearsal_id}")

    @router.post("/rehearsals/{rehearsal_id}/again")
    async def again(rehearsal_id: str, weather: _Text = "", seed: _Text = "0") -> Response:
        """The same campaign, as it was written then, under other weather."""
        view, played = view_of(site.rehearsals, rehearsal_id), site.rehearsals.played(rehearsal_id)
        if played is None:
            raise CloudError(Refusal.REHEARSAL_UNKNOWN, NOT_REMEMBERED)
        words = wanted(weather, seed)
        return go(f"/rehearsals/{site.rehearsals.start(played, ota_job_id=view.ota_job_id, **words).rehearsal_id}")

    @router.post("/jobs/{ota_job_id}/rehearse")
    async def rehearse(ota_job_id: str, weather: _Text = "", seed: _Text = "0") -> Response:
        door, words = site.rehearsals, wanted(weather, seed)
        view = door.start(service.rehearsing.of_job(ota_job_id), ota_job_id=ota_job_id, **words)
        return go(f"/rehearsals/{view.rehearsal_id}")


_Text = Annotated[str, Form(max_length=2000)]


def wanted(weather: str, seed: str) -> dict[str, Any]:
    """The words of a form for ``Rehearsals.start``.

    Raises:
        CloudError: INVALID_REQUEST: the seed is no number.
    """
    seed = seed.strip() or "0"
    if not (seed.isascii() and seed.isdigit() and len(seed) < _DIGITS and int(seed) < SEED_LIMIT):
        raise CloudError(Refusal.INVALID_REQUEST, f"seed is a number from 0 to {SEED_LIMIT - 1}")
    return {"weather": weather.strip(), "seed": int(seed)}


def view_of(door: Rehearsals, rehearsal_id: str) -> RehearsalView:
    """One that is remembered. Raises ``CloudError`` (REHEARSAL_UNKNOWN)."""
    view = door.get(rehearsal_id)
    if view is None:
        raise CloudError(Refusal.REHEARSAL_UNKNOWN, NOT_REMEMBERED)
    return view


def words_of(view: RehearsalView) -> str:
    """What there is to say of one, in a line."""
    if view.forecast is not None:
        return headline(view.forecast)
    if view.stage is Stage.RUNNING:
        return f"{view.closed} of {view.nodes} nodes have come to their end, {clock(view.seconds)} are played"
    return view.problem


def tone_of(view: RehearsalView) -> str:
    """The colour of what it says: nothing but an update on every node is good news."""
    forecast = view.forecast
    if forecast is None:
        return STAGES[view.stage]
    return "success" if forecast["ok"] else TONES.get(forecast["state"], "failed")


@dataclass(frozen=True, slots=True)
class Watched:
    """What is live on the page of one rehearsal: all of it."""

    site: Site
    rehearsal_id: str

    def look(self) -> dict[str, Any]:
        """What the page shows. Raises ``CloudError`` (NO_REHEARSAL, REHEARSAL_UNKNOWN)."""
        view = view_of(self.site.rehearsals, self.rehearsal_id)
        forecast = view.forecast
        return {
            "view": view,
            "open": view.stage in OPEN,
            "tone": tone_of(view),
            "words": words_of(view),
            "forecast": forecast,
            "clock": clock,
            "kinds": kinds_of(forecast["odd"]) if forecast else [],
            "shown": SHOWN,
            "bars": [_bar(forecast, sample) for sample in course(forecast)] if forecast else [],
        }

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``."""
        return notice.kind == "rehearsal" and notice.id == self.rehearsal_id

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``."""
        del notices  # there is one part
        return {"rehearsal": self.site.html("_rehearsal.html", **self.look())}


def _bar(forecast: Any, sample: Any) -> tuple[str, list[Segment], str]:
    """A moment of the course: when, its bar, and the bar in words."""
    seconds, turned, updated, missed = sample
    counts = {"success": updated, "failed": missed, "started": max(turned - updated - missed, 0)}
    found, start = [], 0.0
    for status, count in counts.items():
        width = 100 * count / forecast["nodes"]
        found.append(Segment(status, status, count, round(start, 2), round(width, 2)))
        start += width
    return clock(seconds), found, f"{updated} updated, {missed} missed, {turned} had their turn"


def _download(document: Any, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(json.dumps(document), media_type="application/json", headers=headers)


async def planned(site: Site, request: Request, name: str, ota_image_id: str, options: Any) -> Response:
    """Rehearse what the Start OTA form says, and show it. Raises ``CloudError``."""
    sent = await request.form(max_files=0, max_fields=1000)
    words = wanted(*(str(sent.get(field, "")) for field in ("weather", "seed")))
    written = site.service.rehearsing.of_draft(name, ota_image_id, **options)
    return go(f"/rehearsals/{site.rehearsals.start(written, **words).rehearsal_id}")
