"""The monitor of a job: its counts, phases and reasons, and one page of its nodes, worst first, live."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from py_esp_ota.cloud.estimate import estimate
from py_esp_ota.cloud.history import HistoryLine
from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import NodeState, NodeStatus
from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.monitor import MISSED, SILENT, Sieve
from py_esp_ota.cloud.nodes import Node
from py_esp_ota.cloud.reasons import ABOUT, About, Reason
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web.live import Parts
from py_esp_ota.cloud.web.phases import timeline
from py_esp_ota.cloud.web.show import Segment, bar_text, link, numbered, percent, remark, segments
from py_esp_ota.cloud.web.site import Site

NODES_PAGE_SIZE = 25
HISTORY_SHOWN = 50
"""Reports on a node, the newest. One that reports without end must not make each rendering longer than the last."""

PARTS = ("status", "why", "overview", "phases", "reasons", "versions", "facts", "actions", "nodes")
STATUSES = frozenset({*(status.value for status in NodeStatus), MISSED, SILENT})
PAGES = 100_000


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
    about: About | None  # why it failed
    again: str  # what the button that pushes the job to it once more says; empty where that makes no sense
    job: str  # its id
    back: str  # the page's address


def job_line(service: CloudService, view: JobView) -> JobLine:
    """A job with its image, which may be gone."""
    try:
        image = service.images.get(view.job.ota_image_id)
    except CloudError:
        image = None
    return JobLine(view, image, segments(view.summary), bar_text(view.summary))


def node_line(service: CloudService, view: JobView, state: NodeState, back: str = "") -> NodeLine:
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
        about=ABOUT.get(state.reason),
        again=_again(view, state, service.ground.now_ms()) if node else "",
        job=view.job.ota_job_id,
        back=back,
    )


def _again(view: JobView, state: NodeState, now: int) -> str:
    job = view.job
    turned = state.closed or state.position < job.progress.released
    if not _may_retry(view, now) or not turned or state.status is NodeStatus.SUCCESS:
        return ""
    words = {NodeStatus.FAILED: "Try again", NodeStatus.REJECTED: "Try again", NodeStatus.TRIGGERED: "Send now"}
    return words.get(state.status, "Send again")


def _may_retry(view: JobView, now: int) -> bool:
    return not view.job.over and now <= view.job.deadline


def wanted(query: Mapping[str, str]) -> tuple[Sieve, int]:
    """Which nodes an address asks for, and which page of them; a word that means nothing means all."""
    status, reason = query.get("status", ""), query.get("reason", "")
    sieve = Sieve(
        status=status if status in STATUSES else "",
        reason=reason if reason in set(Reason) else "",
        phase=_number(query.get("phase", "")),
        text=query.get("q", "").strip()[:128],
    )
    return sieve, max(_number(query.get("page", "")), 1)


def _number(text: str) -> int:
    return min(int(text), PAGES) if text.isascii() and text.isdigit() and len(text) < 9 else 0


class Monitor:
    """What is live on a job's page: the job's own parts, and a row and a timeline for each node of the page.

    Args:
        site: how a page is made.
        ota_job_id: the job.
        sieve: which of its nodes.
        number: which page of them.
    """

    def __init__(self, site: Site, ota_job_id: str, sieve: Sieve, number: int) -> None:
        self._site = site
        self._job = ota_job_id
        self._sieve = sieve
        self._number = number
        self._rows: dict[str, dict[str, str]] = {}  # by node, as rendered last
        phase = str(sieve.phase or "")
        self._query = {"status": sieve.status, "reason": sieve.reason, "phase": phase, "q": sieve.text}

    @property
    def address(self) -> str:
        """The page's."""
        page = str(self._number) if self._number > 1 else ""
        return link(f"/jobs/{self._job}", {**self._query, "page": page})

    def look(self) -> dict[str, Any]:
        """What the whole page shows. Raises ``CloudError`` (JOB_UNKNOWN)."""
        view, context = self._context()
        nodes = [self._line(view, state) for state in context["states"]]
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
        fresh = {node_id: self._row(self._line(view, states[node_id])) for node_id in stale}
        self._rows = {node_id: fresh.get(node_id) or self._rows[node_id] for node_id in states}
        html = self._site.html
        parts = {name: html(f"_job_{name}.html", **context, nodes=None) for name in PARTS}
        for row in self._rows.values():
            parts |= row
        return parts

    def _context(self) -> tuple[JobView, dict[str, Any]]:
        """Some statements, and 25 nodes however many the job has."""
        service = self._site.service
        view = service.jobs.get(self._job)
        job, now = view.job, service.ground.now_ms()
        page = service.monitor.nodes(job, self._sieve, number=self._number, size=NODES_PAGE_SIZE)
        path = f"/jobs/{self._job}"
        return view, {
            "line": job_line(service, view),
            "states": page.items,
            "pager": numbered(path, self._query, self._number, page.total, NODES_PAGE_SIZE),
            "sieve": self._sieve,
            "filters": self._filters(path),
            "wanted": self._sieve.status,
            "whole": view.standing.whole,
            "phases": timeline(view.standing, service.monitor.milestones(job)),
            "troubles": [(each, ABOUT[each.reason]) for each in service.monitor.troubles(job)],
            "versions": service.monitor.versions(job),
            "estimate": estimate(view.standing, service.monitor.pace(job), now),
            "may_retry": _may_retry(view, now),
        }

    def _filters(self, path: str) -> list[tuple[str, str]]:
        """What the list is sifted by, in words, and where it is without that."""
        words = {
            "status": self._sieve.status,
            "reason": ABOUT[Reason(self._sieve.reason)].title if self._sieve.reason else "",
            "phase": f"phase {self._sieve.phase}" if self._sieve.phase else "",
            "q": f"“{self._sieve.text}”" if self._sieve.text else "",
        }
        return [(word, link(path, {**self._query, name: ""})) for name, word in words.items() if word]

    def _line(self, view: JobView, state: NodeState) -> NodeLine:
        return node_line(self._site.service, view, state, self.address)

    def _row(self, node: NodeLine) -> dict[str, str]:
        name = node.state.node_id
        return {
            f"nodes/row-{name}": self._site.html("_node_row.html", node=node),
            f"nodes/history-{name}": self._site.html("_node_history.html", node=node),
        }
