"""What happened, as sentences: one line of the log for people. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from py_esp_ota.cloud.events import Actor, Entry, Event, Kind
from py_esp_ota.cloud.field import LastJob
from py_esp_ota.cloud.jobs import NodeStatus
from py_esp_ota.cloud.virtual_nodes import VirtualNode


@dataclass(frozen=True, slots=True)
class Story:
    """A line of what happened: who or what it is about, what, and where to read more."""

    time: int  # milliseconds
    tone: str  # a status, for its colour
    about: str
    text: str
    url: str


def _node(event: Event) -> tuple[str, str]:
    return event.node_id, f"/nodes/{event.node_id}"


def _nobody(event: Event) -> tuple[str, str]:
    return event.node_id, "/nodes"


def _image(event: Event) -> tuple[str, str]:
    return str(event.data.get("image_name", event.ota_image_id)), f"/images/{event.ota_image_id}"


def _job(event: Event) -> tuple[str, str]:
    return str(event.data.get("ota_job_name", "A job")), f"/jobs/{event.ota_job_id}"


_OF_A_JOB = frozenset({Kind.URL_SENT, Kind.URL_WITHDRAWN, Kind.REPORTED, Kind.UP_TO_DATE, Kind.EXPIRED})
_TELL: Mapping[Kind, tuple[Callable[[Event], tuple[str, str]], str, str]] = {
    Kind.JOB_CREATED: (_job, "started", "job started"),
    Kind.JOB_CANCELLED: (_job, "cancelled", "was cancelled"),
    Kind.JOB_ARCHIVED: (_job, "cancelled", "was archived"),
    Kind.APPROVED: (_node, "started", "update approved by its user"),
    Kind.IMAGE_UPLOADED: (_image, "success", "image uploaded"),
    Kind.IMAGE_ARCHIVED: (_image, "cancelled", "image archived"),
    Kind.IMAGE_UNARCHIVED: (_image, "success", "image taken out of the archive"),
    Kind.IMAGE_DELETED: (_image, "cancelled", "image deleted"),
    Kind.NODE_JOINED: (_node, "success", "connected for the first time"),
    Kind.NODE_MAPPED: (_node, "success", "has a user"),
    Kind.NODE_UNMAPPED: (_node, "cancelled", "has lost a user"),
    Kind.NODE_SHARED: (_node, "success", "is shared"),
    Kind.NODE_UNSHARED: (_node, "cancelled", "is no longer shared"),
    Kind.NODE_CLAIMED: (_node, "success", "has another admin"),
    Kind.NODE_FORGOTTEN: (_nobody, "cancelled", "was deleted"),
}


def story(entry: Entry) -> Story | None:
    """An event as a line; ``None`` of what is no news on an overview, such as logins and a node's percents."""
    event = entry.event
    if event.kind in _OF_A_JOB:
        status, info = str(event.data.get("status", "")), str(event.data.get("additional_info", ""))
        if event.by.actor is Actor.NODE and status == NodeStatus.IN_PROGRESS:
            return None
        return Story(event.time, status, event.node_id, info or status, f"/nodes/{event.node_id}")
    if event.kind not in _TELL or (event.kind is Kind.NODE_FORGOTTEN and event.ota_job_id):
        return None  # of a node that is gone it is said once, not for each of its jobs
    of, tone, text = _TELL[event.kind]
    about, url = of(event)
    return Story(event.time, tone, about, text, url)


# ------------------------------------------------------------------------------------------------------------- trouble

ROLLED_BACK = frozenset({"Firmware rolled back", "Firmware verification failed"})
"""What a node says when it is back on its old firmware; the first with ``rejected``, the second with ``failed``."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A node that somebody should look at: the worst comes first."""

    rank: int
    tone: str
    title: str
    node_id: str
    name: str
    text: str
    time: int | None  # milliseconds
    job: LastJob | None = None


def of_job(last: LastJob) -> Trouble | None:
    """What is wrong with a node by its newest job, if anything is."""
    kinds = {
        (0, "failed", "rolled back"): last.additional_info in ROLLED_BACK,
        (2, "failed", "failed"): last.status is NodeStatus.FAILED,
        (3, "rejected", "refused"): last.status is NodeStatus.REJECTED,
        (5, "delayed", "offline in a job"): last.open and not last.connected,
    }
    kind = next((kind for kind, holds in kinds.items() if holds), None)
    if kind is None:
        return None
    text = last.additional_info or "The job waits for it."
    return Trouble(*kind, last.node_id, last.name, text, last.timestamp, last)


def of_virtual(node: VirtualNode) -> Trouble | None:
    """What is wrong with a virtual node, if anything is; one that was switched off is as somebody wanted it."""
    if node.power == "on" and not node.running:
        return Trouble(1, "failed", "boots nothing", node.node_id, "", "No image in its flash can be started.", None)
    if node.power == "off":
        return Trouble(4, "delayed", "no power", node.node_id, "", "It lies dead until somebody switches it on.", None)
    return None
