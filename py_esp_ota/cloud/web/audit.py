"""Audit: who did what to what, and when."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Actor, Kind
from py_esp_ota.cloud.sentences import sentence, who
from py_esp_ota.cloud.texts import number_or_refuse
from py_esp_ota.cloud.web.show import link, start_of
from py_esp_ota.cloud.web.site import Site

PAGE_SIZE = 50
_ABOUT = ("who", "ota_job_id", "node_id", "ota_image_id")


def add_pages(router: APIRouter, site: Site) -> None:
    """``/audit``."""
    service = site.service

    @router.get("/audit")
    async def audit(
        kind: str = "",
        actor: str = "",
        who: str = "",
        ota_job_id: str = "",
        node_id: str = "",
        ota_image_id: str = "",
        trail: str = "",
    ) -> HTMLResponse:
        about = dict(zip(_ABOUT, (who, ota_job_id, node_id, ota_image_id), strict=True))
        query = {"kind": kind, "actor": actor, **{key: value.strip() for key, value in about.items()}}
        return site.page("audit.html", **_listed(query, trail))

    def _listed(query: dict[str, str], trail: str) -> dict[str, Any]:
        wanted = Wanted(
            kind=Kind(query["kind"]) if query["kind"] in set(Kind) else None,
            actor=Actor(query["actor"]) if query["actor"] in set(Actor) else None,
            who=query["who"] or None,
            ota_job_id=query["ota_job_id"] or None,
            node_id=query["node_id"] or None,
            ota_image_id=query["ota_image_id"] or None,
        )
        start = number_or_refuse(start_of(trail))
        entries, following = service.log.newest(wanted, start=start, num_records=PAGE_SIZE)
        starts = trail.split(",") if trail else []
        older = None if following is None else link("/audit", {**query, "trail": ",".join([*starts, str(following)])})
        newer = link("/audit", {**query, "trail": ",".join(starts[:-1])}) if starts else None
        return {
            "lines": [(entry, who(entry.event), sentence(entry.event)) for entry in entries],
            "query": query,
            "kinds": list(Kind),
            "actors": list(Actor),
            "older": older,
            "newer": newer,
            "filtered": any(query.values()),
        }
