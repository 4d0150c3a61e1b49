"""What happens in the cloud, as values: the log of them is the truth, and every state is a fold over it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What happened."""

    JOB_CREATED = "job_created"
    JOB_CANCELLED = "job_cancelled"
    JOB_ARCHIVED = "job_archived"
    JOB_UNARCHIVED = "job_unarchived"
    JOB_DELETED = "job_deleted"

    RELEASED = "released"  # these move a campaign: see ``campaign``
    GATE_MET = "gate_met"
    JOB_PAUSED = "job_paused"
    JOB_RESUMED = "job_resumed"
    JOB_ABORTED = "job_aborted"
    JOB_ENDED = "job_ended"

    URL_SENT = "url_sent"  # these move a node's state in a job
    URL_WITHDRAWN = "url_withdrawn"
    REPORTED = "reported"
    UP_TO_DATE = "up_to_date"
    APPROVED = "approved"
    EXPIRED = "expired"
    TIMED_OUT = "timed_out"  # the node's own time, where ``EXPIRED`` is the job's
    GIVEN_UP = "given_up"
    SILENT = "silent"
    HELD_BACK = "held_back"
    RETRIED = "retried"
    NODE_ADDED = "node_added"
    JOIN_REFUSED = "join_refused"  # moves nothing: the job is not for that node
    USERS_NOTIFIED = "users_notified"

    IMAGE_UPLOADED = "image_uploaded"
    IMAGE_ARCHIVED = "image_archived"
    IMAGE_UNARCHIVED = "image_unarchived"
    IMAGE_DELETED = "image_deleted"

    NODE_JOINED = "node_joined"
    NODE_MAPPED = "node_mapped"
    NODE_UNMAPPED = "node_unmapped"
    NODE_OFFERED = "node_offered"
    NODE_SHARED = "node_shared"
    NODE_UNSHARED = "node_unshared"
    NODE_CLAIMED = "node_claimed"
    NODE_FORGOTTEN = "node_forgotten"  # about a job as well: it ends there
    BOARD_NOTED = "board_noted"

    GROUP_CREATED = "group_created"
    GROUP_CHANGED = "group_changed"
    GROUP_DELETED = "group_deleted"

    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_CHANGED = "webhook_changed"
    WEBHOOK_DELETED = "webhook_deleted"
    WEBHOOK_TESTED = "webhook_tested"  # goes to that webhook and to no other

    SIGNED_UP = "signed_up"
    CONFIRMED = "confirmed"
    LOGGED_IN = "logged_in"
    LOGIN_REFUSED = "login_refused"
    LOGGED_OUT = "logged_out"
    ROLE_CHANGED = "role_changed"
    ACCOUNT_DELETED = "account_deleted"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - what happened, not what it is


class Actor(StrEnum):
    """Who did it."""

    NODE = "node"
    ADMIN = "admin"
    USER = "user"
    CLOUD = "cloud"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class By:
    """Who acts: the kind, and the name where there is one (a user name, a node id)."""

    actor: Actor
    who: str = ""


THE_ADMIN = By(Actor.ADMIN)
THE_CLOUD = By(Actor.CLOUD)
THE_CLOCK = By(Actor.CLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; what it is not about is empty."""

    kind: Kind
    time: int  # milliseconds since 1970, when the cloud learned of it
    by: By
    ota_job_id: str = ""
    node_id: str = ""
    ota_image_id: str = ""
    user_name: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)  # the words as they came, and what a fold needs


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the log; ``number`` counts in the order of what happened."""

    number: int
    event: Event
