"""Audit: who did what to what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from py_esp_ota.cloud.api.events import lines_of
from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Actor, Kind
from py_esp_ota.cloud.sentences import ROLES, sentence
from py_esp_ota.cloud.texts import number_or_refuse
from py_esp_ota.cloud.web.live import Listing
from py_esp_ota.cloud.web.show import link, start_of
from py_esp_ota.cloud.web.site import Site
from py_esp_ota.cloud.web.start_form import local_moment

PAGE_SIZE = 50
ABOUT = ("who", "ota_job_id", "node_id", "ota_image_id")
TIMES = ("since", "until")
NAMES = ("kind", "actor", *ABOUT, *TIMES)
"""What narrows the log, as parameters of its address."""


def add_pages(router: APIRouter, site: Site) -> None:
    """``/audit``, live at its head, and the same as a file."""
    log = site.service.log

    @router.get("/audit")
    async def audit(request: Request, trail: str = "") -> HTMLResponse:
        at, query = site.views.at, _query(request.query_params)
        here = link("/audit", query)
        return site.page("audit.html", **listed(query, trail), kinds=list(Kind), actors=list(Actor), here=here, at=at)

    @router.get("/audit/export")
    async def export(request: Request) -> StreamingResponse:
        headers = {"Content-Disposition": 'attachment; filename="audit.ndjson"'}
        pieces = lines_of(log, wanted(_query(request.query_params)))
        return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)

    def listed(query: Mapping[str, str], trail: str = "") -> dict[str, Any]:
        start = number_or_refuse(start_of(trail))
        entries, following = log.newest(wanted(query), start=start, num_records=PAGE_SIZE)
        starts = trail.split(",") if trail else []
        older = None if following is None else link("/audit", {**query, "trail": ",".join([*starts, str(following)])})
        newer = link("/audit", {**query, "trail": ",".join(starts[:-1])}) if starts else None
        return {
            "lines": [(entry, ROLES[entry.event.by.actor], sentence(entry.event)) for entry in entries],
            "query": {name: query.get(name, "") for name in NAMES},
            "older": older,
            "newer": newer,
            "filtered": bool(query),
            "file": link("/audit/export", query),
            "head": not trail,
        }

    def shown(**query: str) -> str:
        return site.html("_audit.html", **listed(query))

    # Any change of a page has an event, and only the newest events are live: older ones stay as they are.
    site.views.add(Listing.maker("/audit", {"image", "job", "node", "group"}, NAMES, shown))


def _query(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name in NAMES if (value := params.get(name, "").strip())}


def wanted(query: Mapping[str, str]) -> Wanted:
    """The events that a page's address asks for. Raises ``CloudError`` (INVALID_REQUEST): a time that is none."""
    kind, actor = query.get("kind"), query.get("actor")
    more: dict[str, Any] = {name: query.get(name) or None for name in ABOUT}
    more |= {name: 1000 * local_moment(query[name], name) for name in TIMES if query.get(name)}
    return Wanted(
        kind=Kind(kind) if kind in set(Kind) else None,
        actor=Actor(actor) if actor in set(Actor) else None,
        **more,
    )
