"""The tables. Columns carry the API's names; a ``number`` column counts rows in order of creation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, deferred, mapped_column

from py_esp_ota.cloud.roles import LOCAL_ADMIN, NodeRole, Role

_BIG = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only a column whose type is INTEGER
_TEXT = Text().with_variant(
    Text(collation="C"), "postgresql"
)  # by its bytes, as SQLite does, whatever the host's language


class Table(DeclarativeBase):
    """The base of all tables."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own name)
        int: _BIG,
        str: _TEXT,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[int]: JSON,
        list[dict[str, Any]]: JSON,
    }


class SettingRow(Table):
    """A value the cloud made once and must keep, such as a signing key."""

    __tablename__ = "setting"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


# ------------------------------------------------------------------------------------------------------------ accounts


class UserRow(Table):
    """One account. ``password`` holds the parameters, the salt and the hash."""

    __tablename__ = "user"
    user_id: Mapped[str] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]
    role: Mapped[str] = mapped_column(default=Role.USER.value)
    verified: Mapped[bool] = mapped_column(default=False)
    code: Mapped[str | None]
    code_expires: Mapped[int] = mapped_column(default=0)  # seconds
    code_tries: Mapped[int] = mapped_column(default=0)


class SessionRow(Table):
    """One login. Its tokens are good as long as the row is there."""

    __tablename__ = "session"
    session_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.user_id"), index=True)
    kind: Mapped[str] = mapped_column(default="api")
    address: Mapped[str] = mapped_column(default="")
    client: Mapped[str] = mapped_column(default="")
    started: Mapped[int] = mapped_column(default=0)  # seconds; of a login of 0.1.0 nobody knows
    used: Mapped[int] = mapped_column(default=0)  # seconds: when its tokens were made, or its page was looked at
    expires: Mapped[int | None]  # seconds; a login of 0.1.0 has no end of its own


# --------------------------------------------------------------------------------------------------------------- nodes


class NodeRow(Table):
    """One node, as its last config, params and connection told."""

    __tablename__ = "node"
    node_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    type: Mapped[str] = mapped_column(default="", index=True)
    model: Mapped[str] = mapped_column(default="")
    fw_version: Mapped[str] = mapped_column(default="")
    project_name: Mapped[str] = mapped_column(default="")
    platform: Mapped[str] = mapped_column(default="")  # ESP-IDF's name of the chip
    network_id: Mapped[str] = mapped_column(default="")  # of its Thread network, as its last message said
    config: Mapped[dict[str, Any]] = deferred(mapped_column(JSON, default=dict))
    params: Mapped[dict[str, Any]] = deferred(mapped_column(JSON, default=dict))
    node_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    admin_id: Mapped[str] = mapped_column(default=LOCAL_ADMIN, index=True)  # who has claimed it
    connected: Mapped[bool] = mapped_column(default=False, index=True)
    connectivity_timestamp: Mapped[int]  # milliseconds
    registration_timestamp: Mapped[int]  # seconds


class NodeTagRow(Table):
    """One ``key:value`` tag of a node."""

    __tablename__ = "node_tag"
    node_id: Mapped[str] = mapped_column(ForeignKey("node.node_id"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True, index=True)


class BoardRow(Table):
    """What is known of the board below a node that no message tells: its table, its bootloader, its otadata."""

    __tablename__ = "board"
    node_id: Mapped[str] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, Any]]
    noted_timestamp: Mapped[int]  # milliseconds


class GroupRow(Table):
    """A group of nodes: of an admin, with members or with a query that chooses them, or of a user."""

    __tablename__ = "node_group"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    group_id: Mapped[str] = mapped_column(unique=True)
    group_name: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str] = mapped_column(default="", index=True)  # whose it is; empty of an admin's
    parent_group_id: Mapped[str] = mapped_column(default="")
    type: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    mutually_exclusive: Mapped[bool] = mapped_column(default=False)
    is_matter: Mapped[bool] = mapped_column(default=False)
    group_query: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # empty of a static one
    custom_data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    group_metadata: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_timestamp: Mapped[int]  # milliseconds


class GroupNodeRow(Table):
    """One member of a static group."""

    __tablename__ = "node_group_member"
    group_id: Mapped[str] = mapped_column(ForeignKey("node_group.group_id"), primary_key=True)
    node_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class NodeUserRow(Table):
    """A user's association with a node, and what the user is to it."""

    __tablename__ = "node_user"
    node_id: Mapped[str] = mapped_column(ForeignKey("node.node_id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    role: Mapped[str] = mapped_column(default=NodeRole.PRIMARY.value)
    mapping_timestamp: Mapped[int]  # seconds


class MappingRequestRow(Table):
    """A user asked to be associated with a node, which has not said yes to it, or has."""

    __tablename__ = "mapping_request"
    request_id: Mapped[str] = mapped_column(primary_key=True)
    node_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str]
    proof: Mapped[str] = mapped_column(default="")  # a MAC of user and secret: the node has to say the same two
    confirmed: Mapped[bool] = mapped_column(default=False)
    requested_timestamp: Mapped[int]  # seconds


class NodeWordRow(Table):
    """Whom a node last named as its user: its word may come before the user's."""

    __tablename__ = "node_word"
    node_id: Mapped[str] = mapped_column(primary_key=True)
    proof: Mapped[str]
    reset: Mapped[bool]
    timestamp: Mapped[int]  # seconds


class SharingRow(Table):
    """A primary user offers nodes to somebody, who may not have an account yet."""

    __tablename__ = "sharing"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    request_id: Mapped[str] = mapped_column(unique=True)
    primary_user_id: Mapped[str] = mapped_column(index=True)
    user_name: Mapped[str] = mapped_column(index=True)
    node_ids: Mapped[list[str]]
    role: Mapped[str]
    sharing_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    status: Mapped[str]
    request_timestamp: Mapped[int]  # seconds


# -------------------------------------------------------------------------------------------------------------- images


class BlobRow(Table):
    """The bytes of an image, once, whatever the number of images that name them."""

    __tablename__ = "blob"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ImageRow(Table):
    """One uploaded firmware image."""

    __tablename__ = "image"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    ota_image_id: Mapped[str] = mapped_column(unique=True)
    image_name: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    model: Mapped[str]
    fw_version: Mapped[str]
    chip: Mapped[str]
    file_size: Mapped[int]
    file_md5: Mapped[str]
    file_sha256: Mapped[str] = mapped_column(ForeignKey("blob.sha256"), index=True)
    upload_timestamp: Mapped[int]  # milliseconds
    archived: Mapped[bool] = mapped_column(default=False)


class UploadRow(Table):
    """A pre-signed upload between its request and its confirmation."""

    __tablename__ = "upload"
    ota_image_id: Mapped[str] = mapped_column(primary_key=True)
    image_name: Mapped[str]
    expires: Mapped[int]  # seconds
    data: Mapped[bytes | None] = deferred(mapped_column(LargeBinary))


# ---------------------------------------------------------------------------------------------------------------- jobs
# What these rows say follows from the events; they are kept because asking them is faster.


class JobRow(Table):
    """One OTA job. The image's facts are copied, so that the job still reads well when the image is gone."""

    __tablename__ = "job"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    ota_job_id: Mapped[str] = mapped_column(unique=True)
    ota_job_name: Mapped[str]
    ota_image_id: Mapped[str] = mapped_column(index=True)
    fw_version: Mapped[str]
    nodes: Mapped[list[str]]
    groups: Mapped[list[str]]
    job_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    description: Mapped[str]
    priority: Mapped[int]
    timeout: Mapped[int]
    force_push: Mapped[bool]
    user_approval: Mapped[bool]
    max_fetch_cycles: Mapped[int]
    triggered_timestamp: Mapped[int]
    notify: Mapped[bool]
    continuous: Mapped[bool]
    network_serialised: Mapped[bool]
    any_chip: Mapped[bool]
    admin_id: Mapped[str]
    plan: Mapped[dict[str, Any]]
    sizes: Mapped[list[int]]  # how many nodes each phase takes
    deadline: Mapped[int] = mapped_column(index=True)
    cancelled_timestamp: Mapped[int | None]
    archived: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[dict[str, Any]]  # how far its campaign is
    tallies: Mapped[list[dict[str, Any]]]  # where its nodes stand, by phase


class JobNodeRow(Table):
    """One node's state in one job."""

    __tablename__ = "job_node"
    job: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    node_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    additional_info: Mapped[str]
    timestamp: Mapped[int]
    approved: Mapped[bool]
    closed: Mapped[bool]
    failed_cycles: Mapped[int]
    failing: Mapped[bool]
    position: Mapped[int]  # in the order in which the job is handed out
    handed_out: Mapped[int]  # milliseconds; 0 before
    held_back: Mapped[bool]
    silent: Mapped[bool]
    reason: Mapped[str]
    __table_args__ = (Index("job_node_open", "node_id", "closed"),)


class PushRow(Table):
    """A URL that goes to a node by itself, until the broker has acknowledged it."""

    __tablename__ = "push"
    job: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    node_id: Mapped[str] = mapped_column(primary_key=True)


# ----------------------------------------------------------------------------------------------------------------- log


class EventRow(Table):
    """One thing that happened. Never changed, never removed; what it is not about is empty."""

    __tablename__ = "event"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[int]  # milliseconds
    kind: Mapped[str]
    actor: Mapped[str]
    who: Mapped[str]
    ota_job_id: Mapped[str]
    node_id: Mapped[str]
    ota_image_id: Mapped[str]
    user_name: Mapped[str]
    data: Mapped[dict[str, Any]]
    __table_args__ = (Index("event_of_job", "ota_job_id", "node_id"), Index("event_of_node", "node_id"))


# --------------------------------------------------------------------------------------------------------------- hooks


class WebhookRow(Table):
    """Somebody who is told what happens, and up to which event he has been told."""

    __tablename__ = "webhook"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    webhook_id: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str]
    secret: Mapped[str]
    kinds: Mapped[list[str]]  # empty: every kind
    active: Mapped[bool] = mapped_column(default=True)
    told: Mapped[int]  # the number of the last event he has
    tries: Mapped[int] = mapped_column(default=0)  # in vain, of the next one
    next_try: Mapped[int] = mapped_column(default=0)  # milliseconds
    last_answer: Mapped[str] = mapped_column(default="")
    created_timestamp: Mapped[int]  # milliseconds
