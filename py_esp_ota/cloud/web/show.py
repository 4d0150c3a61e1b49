"""How things are said on the page: pure functions from the cloud's values to words, numbers and hints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from markupsafe import Markup, escape

from py_esp_ota.cloud.history import HistoryLine
from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import SUMMARY_KEYS, NodeState, NodeStatus
from py_esp_ota.cloud.nodes import Node
from py_esp_ota.cloud.progress import phase_of
from py_esp_ota.cloud.store import Page

CLOCK_TOLERANCE_MS = 60_000

_TONES = {word.value: key for word, key in SUMMARY_KEYS.items()} | {
    "in_progress": "in_progress",
    "completed": "success",
    "running": "in_progress",
    "paused": "delayed",
    "scheduled": "triggered",
    "aborted": "failed",
    "cancelled": "cancelled",
}

# ---------------------------------------------------------------------------------------------------------- small words


def tone(status: str) -> str:
    """The colour class of a status. A word that a node made up has a class of ours, never its own."""
    return _TONES.get(status, "unknown")


def label(status: str) -> str:
    """A status for people."""
    return status.replace("_", " ")


def size(count: int) -> str:
    """Bytes for people: ``1.02 MB``."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.2f} MB"


@lru_cache(4096)  # a page has hundreds of them, and the next rendering the same ones
def moment(milliseconds: int | None) -> Markup:
    """A time as a ``<time>`` element in this machine's time zone; a dash when there is none."""
    if milliseconds is None:
        return Markup('<span class="muted">&ndash;</span>')
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return Markup("{}").format(milliseconds)
    here = when.astimezone()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.isoformat(timespec="milliseconds"), here.strftime("%A, %H:%M:%S %Z"), here.strftime("%Y-%m-%d %H:%M:%S")
    )


_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def span(seconds: int) -> str:
    """A time for people, in its largest unit: ``90 s`` is ``1 min``."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def ago(milliseconds: int | None, now: int) -> Markup:
    """How far a time is from now, as an element that a script keeps true; nothing when there is none."""
    if not milliseconds:
        return Markup("")
    seconds = (now - milliseconds) // 1000
    words = f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}" if seconds < 0 else "now"
    return Markup('<small class="ago" data-time="{}">{}</small>').format(milliseconds, words)


def own_clock(line: HistoryLine) -> int | None:
    """The node's own time of a report in milliseconds, where it is so far from ours that it explains something."""
    if line.ts is None or abs(line.ts * 1000 - line.timestamp) < CLOCK_TOLERANCE_MS:
        return None
    return line.ts * 1000


def soft(text: str) -> Markup:
    """Text in which a long name of a function may go on in the next line after each of its underscores."""
    return escape(text).replace("_", Markup("_<wbr>"))


FILTERS: dict[str, Callable[..., Any]] = {
    "tone": tone,
    "label": label,
    "size": size,
    "moment": moment,
    "own_clock": own_clock,
    "soft": soft,
}

# --------------------------------------------------------------------------------------------------------------- paging


@dataclass(frozen=True, slots=True)
class Pager:
    """Where a page stands in its list. The lists count from a row on, so the way back is carried along."""

    number: int
    pages: int
    total: int
    previous_url: str | None
    next_url: str | None


def start_of(trail: str) -> str | None:
    """The ``start_id`` of the page at the end of the trail."""
    return trail.rpartition(",")[2] or None


def pager(path: str, query: Mapping[str, str], trail: str, page: Page[Any], page_size: int) -> Pager:
    """The pager of a list page; ``trail`` holds the starts of all pages from the second to this one."""
    starts = trail.split(",") if trail else []
    backward = link(path, {**query, "trail": ",".join(starts[:-1])}) if starts else None
    forward = link(path, {**query, "trail": ",".join([*starts, page.next_id])}) if page.next_id else None
    return Pager(
        number=len(starts) + 1,
        pages=max(len(starts) + 1, -(-page.total // page_size)),
        total=page.total,
        previous_url=backward,
        next_url=forward,
    )


def numbered(path: str, query: Mapping[str, str], number: int, total: int, page_size: int) -> Pager:
    """The pager of a list whose order moves: its pages have numbers."""
    pages = max(-(-total // page_size), 1)
    there = {at: link(path, {**query, "page": str(at) if at > 1 else ""}) for at in (number - 1, number + 1)}
    return Pager(
        number=number,
        pages=pages,
        total=total,
        previous_url=there[number - 1] if number > 1 else None,
        next_url=there[number + 1] if number < pages else None,
    )


def link(path: str, query: Mapping[str, str]) -> str:
    """A local URL with the parameters that say something."""
    text = urlencode({key: value for key, value in query.items() if value})
    return f"{path}?{text}" if text else path


def unlink(address: str) -> tuple[str, dict[str, str]]:
    """Path and parameters of a local URL, as ``link`` wrote it. Raises ``ValueError`` when it is none."""
    parts = urlsplit(address)
    return parts.path, dict(parse_qsl(parts.query))


# ------------------------------------------------------------------------------------------------------------ Start OTA


@dataclass(frozen=True, slots=True)
class Hint:
    """What to know about a node before a job is started for it."""

    tone: str
    text: str


def hints(node: Node, image: StoredImage) -> list[Hint]:
    """Why this node may do something else than take the image now."""
    other = bool(node.model and node.model != image.model)
    applies = {
        Hint("rejected", f"Other project ({node.model}): it will refuse"): other,
        Hint("triggered", f"Already on {image.fw_version}"): node.fw_version == image.fw_version and not other,
        Hint("delayed", "Offline: asks at its next boot"): not node.connected,
        Hint("delayed", "Has not said what it runs"): not node.fw_version,
    }
    return [hint for hint, holds in applies.items() if holds]


# -------------------------------------------------------------------------------------------------------------- monitor


@dataclass(frozen=True, slots=True)
class Segment:
    """One colour of the bar: where it begins and how wide it is, in percent."""

    tone: str
    label: str
    count: int
    start: float
    width: float


_ORDER = (
    NodeStatus.SUCCESS,
    NodeStatus.IN_PROGRESS,
    NodeStatus.STARTED,
    NodeStatus.DELAYED,
    NodeStatus.TRIGGERED,
    NodeStatus.REJECTED,
    NodeStatus.FAILED,
)


def segments(summary: Mapping[str, int]) -> list[Segment]:
    """The bar of a job, good news on the left, bad news on the right; statuses without a node have width 0."""
    total = summary["total"] or 1
    found = []
    start = 0.0
    for status in _ORDER:
        count = summary[SUMMARY_KEYS[status]]
        width = 100 * count / total
        found.append(Segment(SUMMARY_KEYS[status], status.value, count, round(start, 3), round(width, 3)))
        start += width
    return found


def bar_text(summary: Mapping[str, int]) -> str:
    """The bar for those who cannot see it."""
    parts = [f"{segment.count} {segment.label}" for segment in segments(summary) if segment.count]
    return f"{summary['total']} nodes: {', '.join(parts)}"


_PERCENT = re.compile(r"Downloaded (\d{1,3})% Firmware Image")


def percent(state: NodeState) -> int | None:
    """How far the download is, when the node's words say it."""
    found = _PERCENT.fullmatch(state.additional_info) if state.status is NodeStatus.IN_PROGRESS else None
    return min(int(found[1]), 100) if found else None


def remark(view: JobView, state: NodeState, node: Node | None) -> str:
    """What the cloud knows beyond the node's own words, above all why nothing happens yet."""
    job = view.job
    cancelled = job.cancelled_timestamp is not None
    if state.status is NodeStatus.TRIGGERED and not state.closed:
        if cancelled:
            return "The job was cancelled before the node asked. It will not get the URL."
        if job.progress.paused:
            return "The job is paused: it is handed to nobody."
        if state.position >= job.progress.released:
            return f"Its turn has not come: it is in phase {phase_of(job.sizes, state.position) + 1}."
        if job.user_approval and not state.approved:
            return "Waits until the node's user approves."
        if node is None or not node.connected:
            return "Offline. It asks for updates after its next boot."
        return "Online. It gets the URL when it next asks: after a boot, or at the end of its fetch period."
    if state.silent:
        return f"It has the URL, and has said nothing for {span(job.plan.answer_within)}. It may be off or hang."
    if state.status is NodeStatus.STARTED and not state.closed:
        return "No report yet. The node must take updates over topics, or report the OTA parameters."
    if state.status is NodeStatus.FAILED and not state.closed and not cancelled:
        left = job.max_fetch_cycles - state.failed_cycles
        return f"Not the end: the node may ask again, {left} of {job.max_fetch_cycles} hand-outs are left."
    return ""
