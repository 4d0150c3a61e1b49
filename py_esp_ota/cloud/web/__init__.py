"""The web page: an overview, nodes opened up, firmware images, OTA jobs and their monitor, rendered on the server.

Without a login the page acts for the local admin, so its server must listen on loopback only and check Host and
Origin. Whoever uses this machine can use it, unless a ``OneTimeLink`` lets one browser in and nobody else, or super
admins have to log in. It sends a strict Content-Security-Policy, needs no outside resource and works, without the live
updates, with scripts switched off.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web import (
    account,
    audit,
    docs,
    dump,
    groups,
    image,
    images,
    jobs,
    node,
    nodes,
    overview,
    records,
    rehearse,
    start,
    virtual_nodes,
    webhooks,
)
from py_esp_ota.cloud.web.late import LateRouter
from py_esp_ota.cloud.web.link import OneTimeLink
from py_esp_ota.cloud.web.login import LoginGate
from py_esp_ota.cloud.web.site import Site
from py_esp_ota.cloud.web.upload import BODY_LIMITS


def mount_web(app: FastAPI, service: CloudService, link: OneTimeLink | None = None, *, login: bool = False) -> None:
    """Give ``app``, as ``api.create_app`` makes it, the pages, their live streams and their static files.

    Args:
        app: the API.
        service: the cloud.
        link: lets one browser in and nobody else.
        login: only who logs in is let in. Without either the pages are open to everybody.
    """
    accounts: Accounts = app.state.accounts
    suffix = service.store.setting("page_cookie", lambda: service.ground.ids.key()[:8])
    gate = LoginGate(accounts, suffix) if login else None
    site = Site(service, link, gate, lambda: app.state.virtual_nodes, lambda: app.state.rehearsals)
    outside = LateRouter(route_class=site.route_class(guarded=False))
    site.add_static(outside)
    if link is not None:
        site.add_entrance(outside, link)
    if gate is not None:
        account.add_entrance(outside, site, gate)
    inside = LateRouter(route_class=site.route_class())
    site.add_live(inside)
    for room in (
        overview,
        audit,
        records,
        images,
        image,
        start,
        jobs,
        rehearse,
        nodes,
        node,
        groups,
        virtual_nodes,
        dump,
        docs,
        webhooks,
    ):
        room.add_pages(inside, site)
    account.add_pages(inside, site, accounts)
    app.router.routes += [*outside.routes, *inside.routes]
    app.state.body_limits.update(BODY_LIMITS)
    app.state.views = site.views
    of_the_api: Any = app.exception_handlers[HTTPException]

    async def nowhere(request: Request, error: Exception) -> Response:
        page = site.lost(request, error.status_code) if isinstance(error, HTTPException) else None
        answer: Response = page or await of_the_api(request, error)
        return answer

    app.add_exception_handler(HTTPException, nowhere)


__all__ = ["OneTimeLink", "mount_web"]
