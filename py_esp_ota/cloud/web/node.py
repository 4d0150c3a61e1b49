"""A node's page: what it is, what it was told, and, of a virtual one, its flash and its chip's own words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.new_job import JOB_NAME_LIMIT
from py_esp_ota.cloud.nodes import NodeDetail
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.virtual_nodes import Act, FlashLook
from py_esp_ota.cloud.web import params
from py_esp_ota.cloud.web.flash import picture, strip
from py_esp_ota.cloud.web.live import Parts
from py_esp_ota.cloud.web.monitor import NodeLine, node_line
from py_esp_ota.cloud.web.show import unlink
from py_esp_ota.cloud.web.site import Site, done, go
from py_esp_ota.cloud.web.weather import PRESETS, WEATHER_LIMIT, weather_name

JOBS = 6
"""Jobs that the page tells of, the newest."""
IMAGES = 100
"""Images offered, the newest."""
NOWHERE = "There is no node with this id."

OF_ANY = ("status", "facts", "params", "jobs")
OF_VIRTUAL = ("board", "map", "otadata", "slots", "why", "log", "nvs")


@dataclass(frozen=True, slots=True)
class JobHere:
    """A job, and what became of it on this node."""

    view: JobView
    line: NodeLine


def platform(detail: NodeDetail) -> str:
    """The chip that a node says it is; empty when it does not."""
    info = detail.config.get("info")
    said = info.get("platform") if isinstance(info, Mapping) else None
    return said if isinstance(said, str) else ""


def add_pages(router: APIRouter, site: Site) -> None:
    """``/nodes/<id>`` and its forms."""
    service = site.service

    @router.get("/nodes/{node_id}")
    async def node(node_id: str) -> HTMLResponse:
        at = site.views.at
        view = NodeView(site, node_id)
        try:
            look = view.look()
        except CloudError as refused:
            if refused.refusal is not Refusal.NODE_NOT_OF_USER:
                raise
            return site.error(404, NOWHERE)
        return site.page("node.html", **look, **choices(look), here=view.address, at=at)

    def choices(look: dict[str, Any]) -> dict[str, Any]:
        images = service.images.find(num_records=IMAGES).items
        detail: NodeDetail | None = look["detail"]
        model, chip = (detail.node.model, platform(detail)) if detail else ("", "")
        return {
            "images": sorted(
                images, key=lambda image: ((image.chip or chip) != (chip or image.chip), image.model != model)
            ),
            "chip": chip,
            "presets": PRESETS,
            "weather_limit": WEATHER_LIMIT,
            "door": site.virtual_nodes is not None,
        }

    def watched(address: str) -> NodeView | None:
        path, _ = unlink(address)
        _, room, node_id, *more = (path + "/").split("/", 3)
        return NodeView(site, node_id) if room == "nodes" and node_id and more == [""] else None

    site.views.add(watched)

    @router.post("/nodes/{node_id}/params")
    async def set_param(
        request: Request,
        node_id: str,
        device: Annotated[str, Form()],
        param: Annotated[str, Form()],
        value: Annotated[str, Form()] = "",
    ) -> Response:
        detail = service.nodes.detail(node_id)
        wanted = params.setting(params.groups(detail.config, detail.params), device, param, value)
        if not detail.node.connected:
            raise CloudError(
                Refusal.NODE_OFFLINE, "The node is offline, so that nothing was sent: parameters go to who is connected"
            )
        service.nodes.set_params(node_id, wanted)
        return done(request, f"/nodes/{node_id}#params")

    @router.post("/nodes/{node_id}/forget")
    async def forget(request: Request, node_id: str) -> Response:
        if site.virtual_nodes is not None and site.virtual_nodes.get(node_id) is not None:
            await site.virtual_nodes.remove([node_id])  # else it would be there again at once
        service.nodes.forget([node_id], site.by(request))
        return go("/nodes?gone=1")

    @router.post("/nodes/{node_id}/start")
    async def start(
        request: Request,
        node_id: str,
        ota_image_id: Annotated[str, Form()] = "",
        force_push: Annotated[bool, Form()] = False,
    ) -> Response:
        image: StoredImage = service.images.get(ota_image_id)
        name = f"{image.model} {image.fw_version} for {node_id}"[:JOB_NAME_LIMIT]
        service.jobs.create(name, ota_image_id, nodes=(node_id,), force_push=force_push, by=site.by(request))
        return go(f"/nodes/{node_id}#jobs")


class NodeView:
    """What is live on a node's page: each section is a part, and each region of its flash another.

    Args:
        site: how a page is made.
        node_id: the node.
    """

    def __init__(self, site: Site, node_id: str) -> None:
        self._site = site
        self._node = node_id
        self.address = f"/nodes/{node_id}"

    def look(self) -> dict[str, Any]:
        """What the whole page shows. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        service, door = self._site.service, self._site.virtual_nodes
        virtual = door.get(self._node) if door is not None else None
        detail = self._detail(may_be_absent=virtual is not None)
        return {
            "node_id": self._node,
            "detail": detail,
            "virtual": virtual,
            "known": service.boards.get(self._node),
            "users": service.sharing.of_node(self._node),
            "groups": params.groups(detail.config, detail.params) if detail else [],
            "jobs": self._jobs(),
            "weather_name": weather_name,
            "acts": Act,
            **(flash_context(door.look(self._node)) if door is not None and virtual else {}),
        }

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``. A job that is made or cancelled as a whole may be for this node, too."""
        if notice.kind == "job":
            return notice.node in {"", self._node}
        return notice.kind == "node" and notice.id == self._node

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``."""
        del notices
        context = self.look()
        html = self._site.html
        names: Sequence[str] = OF_ANY + OF_VIRTUAL if context["virtual"] else OF_ANY
        parts = {name: html(f"_node_{name}.html", **context, whole=False) for name in names}
        for number, drawn in enumerate(context.get("pictures", ())):
            parts[f"map/{number}"] = html("_region.html", drawn=drawn)
        return parts

    def _detail(self, *, may_be_absent: bool) -> NodeDetail | None:
        try:
            return self._site.service.nodes.detail(self._node)
        except CloudError:
            if may_be_absent:
                return None  # it has not connected yet, and may never do
            raise

    def _jobs(self) -> list[JobHere]:
        service = self._site.service
        return [
            JobHere(view, node_line(service, view, state)) for view, state in service.jobs.of_node(self._node, JOBS)
        ]


def flash_context(look: FlashLook) -> dict[str, Any]:
    """What the templates of a flash need."""
    return {"flash": look, "strip": strip(look), "pictures": [picture(region) for region in look.regions]}
