"""The web page: nodes, firmware images, OTA jobs and the live job monitor, rendered on the server.

The page has no login: it acts for the local admin, so its server must listen on loopback only and check Host and
Origin. Whoever uses this machine can use it, unless a ``OneTimeLink`` lets one browser in and nobody else. It sends a
strict Content-Security-Policy, needs no outside resource and works, without the live updates, with scripts switched
off.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web import docs, images, jobs, nodes, start
from py_esp_ota.cloud.web.link import OneTimeLink
from py_esp_ota.cloud.web.site import Site
from py_esp_ota.cloud.web.upload import BODY_LIMITS


def mount_web(app: FastAPI, service: CloudService, link: OneTimeLink | None = None) -> None:
    """Give ``app``, as ``api.create_app`` makes it, the pages, their live streams and their static files."""
    site = Site(service, link)
    outside = APIRouter(include_in_schema=False, route_class=site.route_class(guarded=False))
    site.add_static(outside)
    if link is not None:
        site.add_entrance(outside, link)
    inside = APIRouter(include_in_schema=False, route_class=site.route_class())
    for room in (images, start, jobs, nodes, docs):
        room.add_pages(inside, site)
    app.include_router(outside)
    app.include_router(inside)
    app.state.body_limits.update(BODY_LIMITS)


__all__ = ["OneTimeLink", "mount_web"]
