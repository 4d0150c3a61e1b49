"""Jobs that are under way: pause, resume, try again. Calls of this cloud's own; RainMaker has none for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import Answer, As, Job
from py_esp_ota.cloud.api.auth import Admin, Service, by
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, job_json, success

router = APIRouter(prefix="/v1/local/otajob", tags=["jobs"], responses=RESPONSES, route_class=ApiRoute)

_Id = Annotated[str, Field(max_length=128)]


class JobOfCampaign(BaseModel):
    """A job."""

    ota_job_id: _Id


class JobAgain(JobOfCampaign):
    """A job, and of its nodes those that begin anew."""

    nodes: Annotated[list[_Id], Field(description="none: all that ended without the update", max_length=10_000)] = []


class Retried(Answer):
    """Which nodes begin anew."""

    status: str
    description: str
    nodes: list[str]


@router.post("/pause")
async def pause_job(user: Admin, service: Service, body: JobOfCampaign) -> Annotated[Json, As(Job)]:
    """Hand a job to nobody until it is resumed. Nodes that have the URL go on; a paused job stays as it is."""
    service.campaigns.pause(body.ota_job_id, by(user))
    return job_json(service.jobs.get(body.ota_job_id))


@router.post("/resume")
async def resume_job(user: Admin, service: Service, body: JobOfCampaign) -> Annotated[Json, As(Job)]:
    """Go on with a paused job; one that waits at a gate goes on with its next phase."""
    service.campaigns.resume(body.ota_job_id, by(user))
    return job_json(service.jobs.get(body.ota_job_id))


@router.post("/retry")
async def retry_job(user: Admin, service: Service, body: JobAgain) -> Annotated[Json, As(Retried)]:
    """Let nodes begin anew, with all their attempts: those that are named, else all that ended without the update."""
    nodes = service.campaigns.retry(body.ota_job_id, body.nodes or None, by(user))
    count = "1 node begins" if len(nodes) == 1 else f"{len(nodes)} nodes begin"
    return success(f"{count} anew", nodes=nodes)
