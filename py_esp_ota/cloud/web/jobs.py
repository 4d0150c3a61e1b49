"""OTA Jobs: the list, and the monitor that follows a job live."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.history import HistoryLine
from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import NodeState, NodeStatus
from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.nodes import Node
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web.live import Listing, Parts
from py_esp_ota.cloud.web.show import Segment, bar_text, link, pager, percent, remark, segments, start_of, unlink
from py_esp_ota.cloud.web.site import Site, go

PAGE_SIZE = 10
NODES_PAGE_SIZE = 25
HISTORY_SHOWN = 50
"""Reports on a node, the newest. One that reports without end must not make each rendering longer than the last."""


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
    history: Sequence[HistoryLine]
    earlier: bool  # there is more before it
    own_words: bool  # the info is the node's, not the cloud's
    percent: int | None
    remark: str


def add_pages(router: APIRouter, site: Site) -> None:
    """``/jobs``, ``/jobs/<id>``, its stream and its buttons."""
    service = site.service

    @router.get("/jobs")
    async def jobs(q: str = "", trail: str = "", archived: bool = False) -> HTMLResponse:
        at = site.views.at
        here = link("/jobs", {"q": q, "archived": "1" if archived else "", "trail": trail})
        return site.page("jobs.html", **listed(q, trail, archived), here=here, at=at)

    def listed(q: str = "", trail: str = "", archived: object = "") -> dict[str, Any]:
        page = service.jobs.find(
            name=q or None, archived=bool(archived), start_id=start_of(trail), num_records=PAGE_SIZE
        )
        return {
            "lines": [job_line(service, view) for view in page.items],
            "pager": pager("/jobs", {"q": q, "archived": "1" if archived else ""}, trail, page, PAGE_SIZE),
            "q": q,
            "archived": bool(archived),
        }

    site.views.add(
        Listing.maker(
            "/jobs", {"job"}, ("q", "trail", "archived"), lambda **query: site.html("_jobs.html", **listed(**query))
        )
    )

    @router.get("/jobs/{ota_job_id}")
    async def job(ota_job_id: str, status: str = "", trail: str = "") -> HTMLResponse:
        at = site.views.at
        monitor = Monitor(site, ota_job_id, status, trail)
        return site.page("job.html", **monitor.look(), here=monitor.address, at=at)

    def watched(address: str) -> Monitor | None:
        path, query = unlink(address)
        _, room, ota_job_id, *more = (path + "/").split("/", 3)
        if room != "jobs" or not ota_job_id or more != [""]:
            return None
        return Monitor(site, ota_job_id, query.get("status", ""), query.get("trail", ""))

    site.views.add(watched)

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
    """A node's part in a job, with what was said about it last."""
    try:
        node = service.nodes.get(state.node_id)
    except CloudError:
        node = None
    history, earlier = service.jobs.recent(view.job, state.node_id, HISTORY_SHOWN)
    spoken = [line for line in history if line.additional_info == state.additional_info]
    return NodeLine(
        state=state,
        node=node,
        history=history,
        earlier=earlier,
        own_words=bool(spoken and spoken[-1].by_node),
        percent=percent(state),
        remark=remark(view, state, node),
    )


class Monitor:
    """What is live on a job's page: the job's own parts, and a row and a timeline for each node of the page.

    Args:
        site: how a page is made.
        ota_job_id: the job.
        status: only nodes in this status; a word that is none means all.
        trail: which page of them.
    """

    def __init__(self, site: Site, ota_job_id: str, status: str, trail: str) -> None:
        self._site = site
        self._job = ota_job_id
        self._wanted = next((member for member in NodeStatus if member.value == status), None)
        self._trail = trail
        self._rows: dict[str, dict[str, str]] = {}  # by node, as rendered last
        self._query = {"status": status if self._wanted else ""}

    @property
    def address(self) -> str:
        """The page's."""
        return link(f"/jobs/{self._job}", {**self._query, "trail": self._trail})

    def look(self) -> dict[str, Any]:
        """What the whole page shows. Raises ``CloudError`` (JOB_UNKNOWN)."""
        view, context = self._context()
        nodes = [node_line(self._site.service, view, state) for state in context["states"]]
        return {**context, "nodes": nodes}

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``."""
        if notice.kind == "job":
            return notice.id == self._job
        return notice.kind == "node" and (notice.id in self._rows or not self._rows)

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``. Only rows of nodes that did something are made anew."""
        view, context = self._context()
        states = {state.node_id: state for state in context["states"]}
        stale = set(states) - set(self._rows)
        for notice in notices or ():
            about_one = notice.id if notice.kind == "node" else notice.node
            stale |= {about_one} & set(states) if about_one else set(states)
        if notices is None:
            stale = set(states)
        fresh = {node_id: self._row(node_line(self._site.service, view, states[node_id])) for node_id in stale}
        self._rows = {node_id: fresh.get(node_id) or self._rows[node_id] for node_id in states}
        html = self._site.html
        parts = {name: html(f"_job_{name}.html", **context) for name in ("status", "overview", "facts", "actions")}
        parts["nodes"] = html("_job_nodes.html", **context, nodes=None)
        for row in self._rows.values():
            parts |= row
        return parts

    def _context(self) -> tuple[JobView, dict[str, Any]]:
        service = self._site.service
        view = service.jobs.get(self._job)
        page = service.jobs.node_status(
            self._job, status=self._wanted, start_id=start_of(self._trail), num_records=NODES_PAGE_SIZE
        )
        return view, {
            "line": job_line(service, view),
            "states": page.items,
            "pager": pager(f"/jobs/{self._job}", self._query, self._trail, page, NODES_PAGE_SIZE),
            "wanted": self._wanted,
        }

    def _row(self, node: NodeLine) -> dict[str, str]:
        name = node.state.node_id
        return {
            f"nodes/row-{name}": self._site.html("_node_row.html", node=node),
            f"nodes/history-{name}": self._site.html("_node_history.html", node=node),
        }
