"""The overview, where everybody begins: trouble first, then what runs where, what is under way, what happened."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.field import Version
from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.web import stories
from py_esp_ota.cloud.web.live import Parts
from py_esp_ota.cloud.web.monitor import job_line
from py_esp_ota.cloud.web.nodes import virtual_by_id
from py_esp_ota.cloud.web.show import unlink
from py_esp_ota.cloud.web.site import Site

TROUBLES = 12
JOBS = 8
STORIES = 12
VERSIONS = 8
"""Lines of each; the lists have the others."""
EVENTS = 120
"""Events that are looked through for the lines: most are about percents."""
PARTS = ("numbers", "trouble", "versions", "jobs", "stories")


@dataclass(frozen=True, slots=True)
class Bar:
    """A version in the field, and its share of the nodes of its model."""

    version: Version
    share: float  # percent


def add_pages(router: APIRouter, site: Site) -> None:
    """``/``."""

    @router.get("/")
    async def home() -> HTMLResponse:
        at = site.views.at
        return site.page("overview.html", **Overview(site).look(), here="/", at=at)

    site.views.add(lambda address: Overview(site) if unlink(address) == ("/", {}) else None)


class Overview:
    """What is live on the overview: all of it."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def look(self) -> dict[str, Any]:
        """What the page shows."""
        service = self._site.service
        virtual = virtual_by_id(self._site.virtual_nodes)
        versions = service.field.versions()
        running = service.jobs.running()
        last, bad = service.field.troubled(TROUBLES)
        of_jobs = [stories.of_job(each) for each in last]
        of_virtual = [stories.of_virtual(node) for node in virtual.values()]
        dead = [trouble for trouble in of_virtual if trouble]
        troubles = sorted((each for each in (*of_jobs, *dead) if each), key=lambda each: (each.rank, -(each.time or 0)))
        entries, _ = service.log.newest(num_records=EVENTS)
        told = [line for line in map(stories.story, entries) if line]
        return {
            "total": sum(version.count for version in versions),
            "online": sum(version.online for version in versions),
            "virtual": len(virtual),
            "bars": _bars(versions),
            "kinds": len(versions),
            "running": len(running),
            "lines": [job_line(service, view) for view in running[:JOBS]],
            "troubles": _once(troubles)[:TROUBLES],
            "bad": bad + len({each.node_id for each in dead} - {each.node_id for each in last}),
            "stories": told[:STORIES],
            "door": self._site.virtual_nodes is not None,
            "images": service.images.find(num_records=1).total,
        }

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``."""
        del notice
        return True

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``."""
        del notices
        context = self.look()
        return {name: self._site.html(f"_overview_{name}.html", **context) for name in PARTS}


def _bars(versions: list[Version]) -> list[Bar]:
    total = sum(version.count for version in versions) or 1
    return [Bar(version, round(100 * version.count / total, 2)) for version in versions[:VERSIONS]]


def _once(troubles: list[stories.Trouble]) -> list[stories.Trouble]:
    """Each node once, with the worst of it, its name, and the job that it happened in."""
    worst: dict[str, stories.Trouble] = {}
    for trouble in troubles:
        known = worst.setdefault(trouble.node_id, trouble)
        name, job, time = known.name or trouble.name, known.job or trouble.job, known.time or trouble.time
        worst[trouble.node_id] = replace(known, name=name, job=job, time=time)
    return list(worst.values())
