"""The web page: nodes, firmware images, OTA jobs and the live job monitor, rendered on the server.

The page has no login: it acts for the local admin, so its server must listen on loopback only and check Host and
Origin. It sends a strict Content-Security-Policy, needs no outside resource and works, without the live updates, with
scripts switched off.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web import images, jobs, nodes, start
from py_esp_ota.cloud.web.site import Site
from py_esp_ota.cloud.web.upload import BODY_LIMITS


def mount_web(app: FastAPI, service: CloudService) -> None:
    """Give ``app``, as ``api.create_app`` makes it, the pages, their live streams and their static files."""
    site = Site(service)
    router = APIRouter(include_in_schema=False, route_class=site.route_class())
    site.add_static(router)
    for room in (images, start, jobs, nodes):
        room.add_pages(router, site)
    app.include_router(router)
    app.state.body_limits.update(BODY_LIMITS)


__all__ = ["mount_web"]
