"""OTA Jobs: the list, and the monitor that follows a job live."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.history import HistoryLine
from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import NodeState, NodeStatus
from py_esp_ota.cloud.nodes import Node
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web.live import Parts, monitor
from py_esp_ota.cloud.web.show import Segment, bar_text, link, pager, percent, remark, segments, start_of
from py_esp_ota.cloud.web.site import Site, go

PAGE_SIZE = 10
NODES_PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job of the list."""

    view: JobView
    image: StoredImage | None
    segments: list[Segment]
    bar_text: str


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node of the monitor: its state, its presence and everything said about the job on it."""

    state: NodeState
    node: Node | None
    history: list[HistoryLine]
    own_words: bool  # the info is the node's, not the cloud's
    percent: int | None
    remark: str


def add_pages(router: APIRouter, site: Site) -> None:
    """``/jobs``, ``/jobs/<id>``, its stream and its buttons."""
    service = site.service

    @router.get("/jobs")
    async def jobs(q: str = "", trail: str = "", archived: bool = False) -> HTMLResponse:
        page = service.jobs.find(name=q or None, archived=archived, start_id=start_of(trail), num_records=PAGE_SIZE)
        query = {"q": q, "archived": "1" if archived else ""}
        return site.page(
            "jobs.html",
            lines=[job_line(service, view) for view in page.items],
            pager=pager("/jobs", query, trail, page, PAGE_SIZE),
            here=link("/jobs", {**query, "trail": trail}),
            q=q,
            archived=archived,
        )

    @router.get("/jobs/{ota_job_id}")
    async def job(ota_job_id: str, status: str = "", trail: str = "") -> HTMLResponse:
        view = service.jobs.get(ota_job_id)
        wanted = next((member for member in NodeStatus if member.value == status), None)
        page = service.jobs.node_status(
            ota_job_id, status=wanted, start_id=start_of(trail), num_records=NODES_PAGE_SIZE
        )
        path = f"/jobs/{ota_job_id}"
        shown = ",".join(state.node_id for state in page.items)
        return site.page(
            "job.html",
            line=job_line(service, view),
            nodes=[node_line(service, view, state) for state in page.items],
            pager=pager(path, {"status": status if wanted else ""}, trail, page, NODES_PAGE_SIZE),
            wanted=wanted,
            stream=link(f"{path}/events", {"nodes": shown}),
        )

    @router.get("/jobs/{ota_job_id}/events")
    async def job_events(ota_job_id: str, nodes: str = "") -> Response:
        service.jobs.get(ota_job_id)
        shown = nodes.split(",")[:NODES_PAGE_SIZE]

        def render(node_ids: Iterable[str]) -> Parts:
            return fragments(site, ota_job_id, node_ids)

        return site.stream(monitor(service.live, service.store, ota_job_id, shown, render))

    @router.post("/jobs/{ota_job_id}/cancel")
    async def cancel(ota_job_id: str) -> Response:
        service.jobs.cancel(ota_job_id)
        return go(f"/jobs/{ota_job_id}")

    @router.post("/jobs/{ota_job_id}/archive")
    async def archive(ota_job_id: str) -> Response:
        service.jobs.archive(ota_job_id)
        return go("/jobs")


def job_line(service: CloudService, view: JobView) -> JobLine:
    """A job with its image, which may be gone."""
    try:
        image = service.images.get(view.job.ota_image_id)
    except CloudError:
        image = None
    return JobLine(view, image, segments(view.summary), bar_text(view.summary))


def node_line(service: CloudService, view: JobView, state: NodeState) -> NodeLine:
    """A node's part in a job, with all that was said."""
    try:
        node = service.nodes.get(state.node_id)
    except CloudError:
        node = None
    history = service.jobs.history(view.job.ota_job_id, state.node_id)
    spoken = [line for line in history if line.additional_info == state.additional_info]
    return NodeLine(
        state=state,
        node=node,
        history=history,
        own_words=bool(spoken and spoken[-1].by_node),
        percent=percent(state),
        remark=remark(view, state, node),
    )


def fragments(site: Site, ota_job_id: str, node_ids: Iterable[str]) -> Parts:
    """What the monitor swaps: the job's own parts, and a row and a timeline for each node."""
    service = site.service
    view = service.jobs.get(ota_job_id)
    line = job_line(service, view)
    parts = {name: site.html(f"_job_{name}.html", line=line) for name in ("status", "overview", "facts", "actions")}
    for node_id in node_ids:
        for state in service.jobs.node_status(ota_job_id, node_id=node_id).items:
            node = node_line(service, view, state)
            parts[f"row-{node_id}"] = site.html("_node_row.html", node=node)
            parts[f"history-{node_id}"] = site.html("_node_history.html", node=node)
    return parts
