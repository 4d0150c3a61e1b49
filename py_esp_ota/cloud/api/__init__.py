"""RainMaker's HTTP API as a FastAPI app."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI

from py_esp_ota import __version__
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import (
    absent,
    boards,
    campaigns,
    download,
    errors,
    events,
    groups,
    images,
    jobs,
    members,
    nodes,
    previews,
    records,
    root,
    session,
    sharing,
)
from py_esp_ota.cloud.api import rehearsals as rehearsing
from py_esp_ota.cloud.api import virtual_nodes as virtual
from py_esp_ota.cloud.api.guard import BodyLimit, LocalGuard, hostname
from py_esp_ota.cloud.rehearsals import Rehearsals
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.virtual_nodes import VirtualNodes

ABOUT = """
What RainMaker's clients send and read, served on this machine. Log in with `POST /v1/login2`; the `accesstoken` of the
answer goes, as it is, into the `Authorization` header of all other calls. The `refreshtoken` gets new ones by the same
call.

Calls of RainMaker that are not in this document are answered 501, what nobody has 403.
"""

_PARTS = (
    download,
    root,
    session,
    members,
    nodes,
    groups,
    sharing,
    images,
    jobs,
    previews,
    rehearsing,
    campaigns,
    boards,
    events,
    records,
    virtual,
)


def create_app(
    service: CloudService,
    accounts: Accounts,
    *,
    mqtt_host: str = "localhost",
    allowed_hosts: Collection[str] = (),
    virtual_nodes: VirtualNodes | None = None,
    rehearsals: Rehearsals | None = None,
) -> FastAPI:
    """The API of one cloud.

    Args:
        service: the cloud.
        accounts: who may use it.
        mqtt_host: what ``/mqtt_host`` answers.
        allowed_hosts: names this server goes by, besides loopback and the host of the service's public URL.
        virtual_nodes: nodes that are simulated beside this cloud; without them those calls are answered 501.
        rehearsals: plays rehearsals beside this cloud; the same.
    """
    app = FastAPI(
        title="py_esp_ota cloud",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # these two would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        # Given as they are: including a router would compile every route anew for each app.
        routes=[
            *(route for part in _PARTS for route in part.router.routes),
            *absent.ROUTES,
        ],
    )
    app.state.service = service
    app.state.accounts = accounts
    app.state.mqtt_host = mqtt_host
    app.state.virtual_nodes = virtual_nodes
    app.state.rehearsals = rehearsals
    if virtual_nodes is not None:
        service.boards.virtual = virtual_nodes.facts
    app.state.body_limits = {
        **images.BODY_LIMITS,
        **virtual.BODY_LIMITS,
        **boards.BODY_LIMITS,
    }  # whoever adds an upload adds its limit
    errors.install(app)

    def hosts() -> set[str]:
        return {*allowed_hosts, hostname(service.links.public_url.partition("://")[2])}

    app.add_middleware(BodyLimit, limits=app.state.body_limits)
    app.add_middleware(LocalGuard, hosts=hosts)  # the last one added is the first one asked
    return app
