"""Rehearsals of jobs that run, are over or are only planned: calls of this cloud's own. One is played at a time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import Answer, As, Milliseconds, Success
from py_esp_ota.cloud.api.auth import Admin, Service
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.jobs import Flags, NewJob, options_of
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, success
from py_esp_ota.cloud.logins import User
from py_esp_ota.cloud.new_job import JobOptions
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import NOT_REMEMBERED, Rehearsal, Rehearsals, RehearsalView, WeatherChoice
from py_esp_ota.cloud.service import CloudService

router = APIRouter(prefix="/v1/local/rehearsal", tags=["rehearsals"], responses=RESPONSES, route_class=ApiRoute)

WEATHER_LIMIT = 2000
SEED_LIMIT = 2**32 - 1

_Seed = Annotated[int, Field(ge=0, le=SEED_LIMIT, description="who of the nodes meets what")]
_Weather = Annotated[str, Field(max_length=WEATHER_LIMIT, description="a name, or parts between semicolons")]


class RehearsalOrder(BaseModel):
    """What is rehearsed, and under which weather: ``ota_job_id``, or ``job`` as for ``POST /v1/admin/otajob``."""

    ota_job_id: Annotated[str, Field(max_length=128)] = ""
    job: NewJob | None = None
    weather: _Weather = ""
    seed: _Seed = 0


class RehearsalOf(BaseModel):
    """A job: one there is, or a planned one."""

    ota_job_id: Annotated[str, Field(max_length=128)] = ""
    job: NewJob | None = None


class RehearsalStarted(Success):
    """It is played, or waits for those before it."""

    rehearsal_id: str


class RehearsalList(Answer):
    """Rehearsals that are remembered, the newest first, and the weather that has a name."""

    rehearsals: list[RehearsalView]
    weathers: list[WeatherChoice]
    total: int


class RehearsalDocument(Answer):
    """All that a campaign needs to be played elsewhere; what its members are, docs/reference/json.md says."""

    rehearsal: int
    now: Milliseconds
    job: dict[str, Any]
    boards: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    images: Annotated[dict[str, str], Field(description="in base64, by SHA-256")]
    left_out: Annotated[int, Field(description="nodes that have the update already")]
    simplified: list[str]


async def _door(request: Request) -> Rehearsals:
    rehearsals: Rehearsals | None = request.app.state.rehearsals
    if rehearsals is None:
        raise CloudError(Refusal.NO_REHEARSAL, "this server plays no rehearsals")
    return rehearsals


Door = Annotated[Rehearsals, Depends(_door)]


@router.post("")
async def start_rehearsal(
    user: Admin, service: Service, door: Door, body: RehearsalOrder, flags: Flags
) -> Annotated[Json, As(RehearsalStarted)]:
    """Play a job, or one that is only planned, on virtual copies of its nodes. Nothing is sent to any node."""
    rehearsal = _written(user, service, body, flags)
    view = door.start(rehearsal, ota_job_id=body.ota_job_id, weather=body.weather, seed=body.seed)
    return success("The rehearsal is played", rehearsal_id=view.rehearsal_id)


@router.get("")
async def list_rehearsals(_user: Admin, door: Door) -> Annotated[Json, As(RehearsalList)]:
    """What is played, and what was played since the server started."""
    views = [asdict(view) for view in door.all()]
    return {"rehearsals": views, "weathers": [asdict(each) for each in door.weathers], "total": len(views)}


@router.delete("")
async def cancel_rehearsal(
    _user: Admin, door: Door, rehearsal_id: Annotated[str, Query(max_length=64)]
) -> Annotated[Json, As(Success)]:
    """End one that is played or waits; one that is over stays as it is."""
    view_of(door, rehearsal_id)
    door.cancel(rehearsal_id)
    return success("The rehearsal is ended")


@router.post("/document")
async def rehearsal_document(
    user: Admin, service: Service, body: RehearsalOf, flags: Flags
) -> Annotated[Json, As(RehearsalDocument)]:
    """All that ``esp-ota cloud rehearse`` needs to play a job where it runs."""
    return _written(user, service, body, flags).to_json()


@router.get("/{rehearsal_id}/document")
async def played_document(_user: Admin, door: Door, rehearsal_id: str) -> Annotated[Json, As(RehearsalDocument)]:
    """What was played: with it the replay lines of its forecast play the same again."""
    return played_of(door, rehearsal_id).to_json()


@router.get("/{rehearsal_id}")
async def rehearsal(_user: Admin, door: Door, rehearsal_id: str) -> Annotated[Json, As(RehearsalView)]:
    """One rehearsal, with its forecast once it is there."""
    return asdict(view_of(door, rehearsal_id))


def view_of(door: Rehearsals, rehearsal_id: str) -> RehearsalView:
    """One that is remembered. Raises ``CloudError`` (REHEARSAL_UNKNOWN)."""
    view = door.get(rehearsal_id)
    if view is None:
        raise CloudError(Refusal.REHEARSAL_UNKNOWN, NOT_REMEMBERED)
    return view


def played_of(door: Rehearsals, rehearsal_id: str) -> Rehearsal:
    """What was played, of one that is remembered. Raises ``CloudError`` (REHEARSAL_UNKNOWN)."""
    found = door.played(rehearsal_id)
    if found is None:
        raise CloudError(Refusal.REHEARSAL_UNKNOWN, NOT_REMEMBERED)
    return found


def _written(user: User, service: CloudService, body: RehearsalOrder | RehearsalOf, flags: JobOptions) -> Rehearsal:
    if bool(body.ota_job_id) == (body.job is not None):
        raise CloudError(Refusal.INVALID_REQUEST, "which job? ota_job_id, or job for one that is only planned")
    if body.job is None:
        return service.rehearsing.of_job(body.ota_job_id)
    options = options_of(user, body.job, flags)
    return service.rehearsing.of_draft(body.job.ota_job_name, body.job.ota_image_id, **options)
