"""OTA jobs: ``admin/otajob`` for admins, ``user/nodes/ota_*`` for the users of a node."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, BeforeValidator

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.api.answers import (
    As,
    Job,
    JobList,
    JobNodes,
    JobStarted,
    OneJob,
    OtaStatus,
    OtaUpdate,
    Success,
    Summary,
)
from py_esp_ota.cloud.api.auth import (
    DEFAULT_RECORDS,
    Admin,
    NodeId,
    NumRecords,
    OptionalNodeId,
    Service,
    SignedIn,
    StartId,
    Whole,
    by,
    claimed_by,
)
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, job_json, listing, node_state_json, single, success
from py_esp_ota.cloud.logins import User
from py_esp_ota.cloud.new_job import JobOptions
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.refusals import CloudError, Refusal

router = APIRouter(prefix="/v1", tags=["jobs"], responses=RESPONSES, route_class=ApiRoute)

Flag = Annotated[bool, Query()]
JobId = Annotated[str, Query()]


def _as_list(value: object) -> object:
    """Clients write one group as a string, several as a list, none as null."""
    return [] if value is None else [value] if isinstance(value, str) else value


Ids = Annotated[list[str], BeforeValidator(_as_list)]


class NewJob(BaseModel):
    """A job to start."""

    ota_job_name: str
    ota_image_id: str
    nodes: Ids = []
    groups: Ids = []
    metadata: dict[str, Any] | None = None
    description: str = ""
    priority: Whole = rules.DEFAULT_PRIORITY
    timeout: Whole = rules.DEFAULT_TIMEOUT_S
    plan: dict[str, Any] | None = None


async def _flags(
    *,
    force_push: Flag = False,
    user_approval: Flag = False,
    notify: Flag = False,
    continuous: Flag = False,
    network_serialised: Flag = False,
    network_serialized: Flag = False,
    allow_wrong_chip: Flag = False,
) -> JobOptions:
    """What stands in the query of a job. ``allow_wrong_chip`` is this cloud's own: RainMaker's starts any."""
    return {
        "force_push": force_push,
        "user_approval": user_approval,
        "notify": notify,
        "continuous": continuous,
        "network_serialised": network_serialised or network_serialized,
        "allow_wrong_chip": allow_wrong_chip,
    }


Flags = Annotated[JobOptions, Depends(_flags)]


def options_of(user: User, body: NewJob, flags: JobOptions) -> JobOptions:
    """The job in a request. Raises ``CloudError`` (JOB_PLAN)."""
    return {
        "nodes": body.nodes,
        "groups": body.groups,
        "metadata": body.metadata,
        "description": body.description,
        "priority": body.priority,
        "timeout": body.timeout,
        "plan": plan_of(body.plan),
        "admin_id": claimed_by(user),
        **flags,
    }


def plan_of(document: dict[str, Any] | None) -> Plan:
    """The plan in a request. Raises ``CloudError`` (JOB_PLAN)."""
    try:
        return Plan.from_json(document or {})
    except ValueError as error:
        raise CloudError(Refusal.JOB_PLAN, str(error)) from None


class JobChange(BaseModel):
    """Cancel, or, with ``archive``, archive (true) or bring back from the archive (false)."""

    ota_job_id: str
    archive: bool | None = None


class Approval(BaseModel):
    """A user's yes to an update."""

    ota_job_id: str
    node_id: str


@router.post("/admin/otajob")
async def create_job(user: Admin, service: Service, body: NewJob, flags: Flags) -> Annotated[Json, As(JobStarted)]:
    """Start a job. ``plan`` is this cloud's own: phases, the gate between them, what stops the job, its pace."""
    options = options_of(user, body, flags)
    view = service.jobs.create(body.ota_job_name, body.ota_image_id, **options, by=by(user))
    return success("The job is started", ota_job_id=view.job.ota_job_id)


@router.get("/admin/otajob")
async def list_jobs(
    *,
    _user: Admin,
    service: Service,
    ota_job_id: JobId = "",
    ota_job_name: Annotated[str | None, Query()] = None,
    ota_image_id: Annotated[str | None, Query()] = None,
    archived: Flag = False,
    all: Flag = False,  # noqa: A002 (the API's name)
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(OneJob | JobList)]:
    """One job; the latest job of an image; or a list, newest first."""
    if ota_job_id:
        return single("ota_jobs", [job_json(service.jobs.get(ota_job_id))])
    if ota_image_id:
        latest = service.jobs.find(ota_image_id=ota_image_id, archived=archived, num_records=1)
        return single("ota_jobs", [job_json(view) for view in latest.items])
    page = service.jobs.find(
        name=ota_job_name, archived=None if all else archived, start_id=start_id, num_records=num_records
    )
    return listing("ota_jobs", page, job_json)


@router.put("/admin/otajob")
async def change_job(user: Admin, service: Service, body: JobChange) -> Annotated[Json, As(Job)]:
    """Cancel a job; or archive one that is cancelled, or, with ``archive`` false, bring it back."""
    changes = {None: service.jobs.cancel, True: service.jobs.archive, False: service.jobs.unarchive}
    change = changes[body.archive]
    return job_json(change(body.ota_job_id, by(user)))


@router.get("/admin/otajob/status")
async def job_status(
    *,
    _user: Admin,
    service: Service,
    ota_job_id: JobId,
    node_id: OptionalNodeId,
    summary: Flag = False,
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(JobNodes)]:
    """The job on each node."""
    page = service.jobs.node_status(ota_job_id, node_id=node_id or None, start_id=start_id, num_records=num_records)
    group_ids = list(service.jobs.get(ota_job_id).job.groups)
    names = service.groups.names(group_ids)
    node_groups = [{"group_id": each, "group_name": names.get(each, "")} for each in group_ids]
    body = {**listing("node_ota_status", page, node_state_json), "node_groups": node_groups}
    if summary:
        body["summary"] = service.jobs.summary(ota_job_id)
    return body


@router.get("/admin/otajob/status/summary")
async def job_summary(_user: Admin, service: Service, ota_job_id: JobId) -> Annotated[Json, As(Summary)]:
    """How many nodes stand where."""
    return service.jobs.summary(ota_job_id)


@router.get("/user/nodes/ota_update")
async def ota_update(user: SignedIn, service: Service, node_id: NodeId) -> Annotated[Json, As(OtaUpdate)]:
    """Whether the user could update the node now."""
    service.nodes.get(node_id, user.user_id)  # refuses somebody else's node
    job = service.jobs.pending_update(node_id)
    if job is None:
        return success("No update is available", ota_available=False)
    image = service.images.get(job.ota_image_id)
    return success(
        job.description or "An update is available",
        ota_available=True,
        ota_job_id=job.ota_job_id,
        fw_version=job.fw_version,
        file_size=image.file_size,
        file_md5=image.file_md5,
        metadata=dict(job.metadata),
    )


@router.post("/user/nodes/ota_update")
async def start_ota_update(user: SignedIn, service: Service, body: Approval) -> Annotated[Json, As(Success)]:
    """The user's yes: the job is pushed to the node, which must be online."""
    service.nodes.get(body.node_id, user.user_id)
    service.jobs.approve_update(body.node_id, body.ota_job_id, by(user))
    return success("The update is on its way")


@router.get("/user/nodes/ota_status")
async def ota_status(
    user: SignedIn, service: Service, node_id: NodeId, ota_job_id: JobId
) -> Annotated[Json, As(OtaStatus)]:
    """What became of a job on the user's node."""
    service.nodes.get(node_id, user.user_id)
    states = service.jobs.node_status(ota_job_id, node_id=node_id).items
    if not states:
        raise CloudError(Refusal.OTA_STATUS_UNKNOWN, "the job is not for this node")
    return {**node_state_json(states[0]), "ota_job_id": ota_job_id}
