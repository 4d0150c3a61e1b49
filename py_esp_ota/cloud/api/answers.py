"""What every call answers, as types: for the OpenAPI document, and for whoever makes a client of it.

Nothing is validated or converted on its way out. ``As`` puts a type into the document and leaves the answer the dict
that ``shapes.py`` makes; the tests hold every answer they get against these types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema, union_schema

from py_esp_ota.cloud.events import Actor, Kind
from py_esp_ota.cloud.jobs import JobStatus, NodeStatus
from py_esp_ota.cloud.mapping import MappingStatus
from py_esp_ota.cloud.sharing import OfferStatus
from py_esp_ota.cloud.virtual_nodes import VirtualNode

Milliseconds = Annotated[int, Field(description="since 1970")]
Seconds = Annotated[int, Field(description="since 1970")]
NextId = Annotated[str, Field(description="the start_id of the next page; absent on the last one")]


class As:
    """For ``Annotated[Json, As(type)]``: what the document says of an answer that is a dict in truth."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __get_pydantic_json_schema__(self, _dict: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the type, instead of any dict's. In a union of one: alone, a model would lose its name."""
        return handler(union_schema([TypeAdapter(self._answer).core_schema]))


class Answer(BaseModel, defer_build=True):
    """An answer: nothing is made of it before somebody asks for the document."""


class Success(Answer):
    """It is done."""

    status: Literal["success"]
    description: str


# ------------------------------------------------------------------------------------------------------------- sessions


class ApiVersion(Answer):
    """One version of the API."""

    version: str
    build_info: str
    release_notes: str


class ApiVersions(Answer):
    """The versions that are served."""

    supported_versions: list[str]
    additional_info: list[ApiVersion]


class MqttHost(Answer):
    """Where nodes connect."""

    mqtt_host: str


class LoggedIn(Success):
    """A login. The access token goes into ``Authorization``; the refresh token stays when it is renewed."""

    idtoken: str
    accesstoken: str
    refreshtoken: Annotated[str, Field(description="absent when tokens are renewed")] = ""


class Account(Answer):
    """A user."""

    user_id: str
    user_name: str
    super_admin: bool
    admin: bool
    email: str
    phone_number: str
    name: str
    picture_url: str
    mfa: bool
    user_roles: list[str]


class SessionInfo(Answer):
    """One login that goes on."""

    session_id: str
    kind: Literal["api", "page"]
    address: str
    client: str
    started_timestamp: Seconds
    used_timestamp: Seconds
    expires_timestamp: Annotated[Seconds | None, Field(description="null for a login of 0.1.0")]
    current: bool


class SessionList(Answer):
    """The logins of a user."""

    sessions: list[SessionInfo]
    total: int


class Member(Account):
    """A user, as who manages accounts sees it."""

    verified: bool


class MemberList(Answer):
    """Accounts."""

    users_list: list[Member]
    total: int
    next_id: NextId = ""


class NodesOfRole(Answer):
    """The nodes to which a user is the same."""

    nodes: list[str]
    total: int


class NodesOfUser(Answer):
    """The nodes of a user by what the user is to them; one of the two is absent when the other was asked for."""

    primary: NodesOfRole | None = None
    secondary: NodesOfRole | None = None
    total: int


# ---------------------------------------------------------------------------------------------------------------- nodes


class Connectivity(Answer):
    """Whether a node is connected, and since when it is or is not."""

    connected: bool
    timestamp: Milliseconds


class Status(Answer):
    """The state of a node."""

    connectivity: Connectivity


class NodeDetail(Answer):
    """A node as its user sees it; the three large parts are absent when they are not asked for."""

    id: str
    node_type: str
    role: str
    primary: bool
    tags: list[str]
    metadata: dict[str, Any]
    mapping_timestamp: Seconds
    status: Status | None = None
    config: dict[str, Any] = {}
    params: dict[str, Any] = {}


class UserNodes(Answer):
    """The nodes of a user."""

    nodes: list[str]
    node_details: Annotated[list[NodeDetail], Field(description="absent unless asked for")] = []
    total: int
    next_id: NextId = ""


class NodeInfo(Answer):
    """A node as an admin sees it."""

    node_id: str
    name: str
    type: str
    model: str
    fw_version: str
    node_status: Literal["online", "offline"]
    registration_timestamp: Seconds
    status: Status


class AdminNodes(Answer):
    """The nodes of the cloud."""

    nodes: list[str]
    node_info: list[NodeInfo]
    total: int
    next_id: NextId = ""


class ParamsResult(Answer):
    """What became of the parameters for one node."""

    node_id: str
    status: Literal["success", "failure"]
    description: str


class NodeUsers(Answer):
    """Who has a node: user names. A secondary user is not told of the others."""

    primary: list[str]
    secondary: Annotated[list[str], Field(description="absent for a secondary user")] = []


class NodeSharing(Answer):
    """Who has a node, and for a secondary user where it came from."""

    node_id: str
    users: NodeUsers
    sources: Annotated[list[Literal["NODE"]], Field(description="absent for a primary user")] = []


class NodeSharingList(Answer):
    """Who has the nodes of a user."""

    node_sharing: list[NodeSharing]


class SharingRequested(Success):
    """What was offered, or answered."""

    request_id: Annotated[str, Field(description="absent in the answer to an answer")] = ""


class SharingRequest(Answer):
    """Nodes that were offered to a user."""

    request_id: str
    request_status: OfferStatus
    request_timestamp: Seconds
    node_ids: list[str]
    user_name: str
    primary_user_name: str
    metadata: dict[str, Any]


class SharingRequests(Answer):
    """Requests that wait, or were declined."""

    sharing_requests: list[SharingRequest]
    total: int
    next_request_id: Annotated[str, Field(description="the start_request_id of the next page")] = ""
    next_user_name: str = ""


class MappingRequested(Success):
    """A request to be mapped to a node."""

    request_id: Annotated[str, Field(description="empty when a mapping was removed")]


class MappingState(Answer):
    """Where such a request stands."""

    request_id: str
    request_status: MappingStatus


class VirtualNodeList(Answer):
    """Virtual nodes beside this cloud."""

    virtual_nodes: list[VirtualNode]
    total: int
    next_id: NextId = ""


class NodesOrdered(Success):
    """Virtual nodes that were made."""

    node_ids: list[str]


# --------------------------------------------------------------------------------------------------------------- images


class Image(Answer):
    """A firmware image."""

    ota_image_id: str
    image_name: str
    type: str
    model: str
    fw_version: str
    chip: Annotated[str, Field(description="ESP-IDF's name; empty when it is not known")]
    file_size: int
    file_md5: str
    file_sha256: str
    upload_timestamp: Milliseconds
    archived: bool
    image_url: Annotated[str, Field(description="good for a day")]


class ImageList(Answer):
    """Images, newest first."""

    ota_images: list[Image]
    total: int
    next_id: NextId = ""


class OneImage(Image):
    """The image that was asked for by its id, bare and as a list."""

    ota_images: list[Image]
    total: int


class ImageUploaded(Success):
    """An image that jobs can use."""

    ota_image_id: str
    image_url: str
    fw_version: str
    model: str
    type: str


class UserImageUploaded(Success):
    """An image of an end user."""

    image_url: str


class UploadRequested(Success):
    """Where the bytes of an image go."""

    ota_image_id: str
    upload_url: Annotated[str, Field(description="good for an hour, for one PUT or many")]


# ----------------------------------------------------------------------------------------------------------------- jobs


class JobStarted(Success):
    """A job that runs."""

    ota_job_id: str


class Campaign(Answer):
    """How far a job is in its plan."""

    state: Annotated[str, Field(description="scheduled, running, paused, aborted, cancelled or completed")]
    why: Annotated[str, Field(description="it is paused, or was aborted")]
    at_gate: Annotated[bool, Field(description="it paused by itself, at the gate of a phase")]
    gate_met: Annotated[bool, Field(description="the phase has what its gate asks for")]
    phase: Annotated[int, Field(description="counted from 1; 0 before the first")]
    phases: Annotated[list[int], Field(description="how many nodes each takes")]
    released: Annotated[int, Field(description="how many nodes have had their turn")]


class Job(Answer):
    """An OTA job with its counts."""

    ota_job_id: str
    ota_job_name: str
    ota_image_id: str
    fw_version: str
    status: JobStatus
    total_count: int
    completed_count: int
    rejected_count: int
    failed_count: int
    triggered_timestamp: Milliseconds
    cancelled_timestamp: Milliseconds | None
    nodes: list[str]
    groups: list[str]
    archived: bool
    metadata: dict[str, Any]
    description: str
    priority: int
    timeout: Annotated[int, Field(description="seconds")]
    force_push: bool
    user_approval: bool
    notify_flag: bool
    continuous: bool
    network_serialised: bool
    plan: Annotated[dict[str, Any], Field(description="this cloud's own: how it is rolled out")]
    campaign: Campaign


class JobList(Answer):
    """Jobs, newest first."""

    ota_jobs: list[Job]
    total: int
    next_id: NextId = ""


class OneJob(Job):
    """The job that was asked for, bare and as a list."""

    ota_jobs: list[Job]
    total: int


class Summary(Answer):
    """How many nodes of a job stand where."""

    triggered: int
    started: int
    in_progress: int
    rejected: int
    delayed: int
    success: int
    failed: int
    total: int


class NodeOtaStatus(Answer):
    """A job on one node."""

    node_id: str
    status: NodeStatus
    timestamp: Milliseconds
    additional_info: str


class JobNodes(Answer):
    """A job on each of its nodes."""

    node_ota_status: list[NodeOtaStatus]
    node_groups: Annotated[list[dict[str, str]], Field(description="the job's groups; one that is gone has no name")]
    total: int
    next_id: NextId = ""
    summary: Annotated[Summary | None, Field(description="absent unless asked for")] = None


class OtaUpdate(Success):
    """Whether there is an update for a node, and which."""

    ota_available: bool
    ota_job_id: Annotated[str, Field(description="absent, as all that follows, when there is none")] = ""
    fw_version: str = ""
    file_size: int = 0
    file_md5: str = ""
    metadata: dict[str, Any] = {}


class OtaStatus(NodeOtaStatus):
    """What became of a job on a user's node."""

    ota_job_id: str


# ----------------------------------------------------------------------------------------------------------------- log


class LoggedEvent(Answer):
    """One thing that happened; what it is not about is left out."""

    number: int
    timestamp: Milliseconds
    kind: Kind
    actor: Actor
    who: str = ""
    ota_job_id: str = ""
    node_id: str = ""
    ota_image_id: str = ""
    user_name: str = ""
    data: dict[str, Any]


class EventList(Answer):
    """One page of the log, newest first."""

    events: list[LoggedEvent]
    next_id: NextId = ""
