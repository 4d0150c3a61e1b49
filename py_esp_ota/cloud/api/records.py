"""What is kept of jobs, and who is told of what happens. Calls of this cloud's own, below ``/v1/local``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from py_esp_ota.cloud.api.answers import Answer, As, Success
from py_esp_ota.cloud.api.auth import Admin, Service, SuperAdmin, by
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, job_json, success
from py_esp_ota.cloud.job_export import PIECE, as_csv, as_json
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.webhooks import Webhook

router = APIRouter(prefix="/v1/local", responses=RESPONSES, route_class=ApiRoute)

_Ids = Annotated[list[Annotated[str, Field(max_length=128)]], Field(min_length=1, max_length=1000)]


class JobsToDelete(BaseModel):
    """Jobs that are over."""

    ota_job_ids: _Ids


class NewWebhook(BaseModel):
    """Somebody to tell."""

    url: Annotated[str, Field(max_length=2048)]
    kinds: Annotated[
        list[Annotated[str, Field(max_length=64)]],
        Field(description='kinds of events, as "job_aborted" or "job_*"; none is all', max_length=100),
    ] = []


class LetterBrought(Answer):
    """What came of a letter."""

    timestamp: int
    first: Annotated[int, Field(description="the number of its first event")]
    last: int
    arrived: bool
    answer: str


class WebhookFacts(Answer):
    """One who is told."""

    webhook_id: str
    url: str
    kinds: list[str]
    active: bool
    told: Annotated[int, Field(description="the number of the last event that has arrived there")]
    waiting: Annotated[int, Field(description="how many events came since, of whatever kind")]
    tries: Annotated[int, Field(description="in vain, one after the other")]
    last_answer: str
    letters: Annotated[list[LetterBrought], Field(description="the last ones since the server started, newest first")]
    created_timestamp: int


class WebhookMade(Success):
    """The webhook, and what its letters are signed with: it is said this one time."""

    webhook_id: str
    secret: str


class WebhookTried(Success):
    """The event of the letter: the webhook has it when ``told`` has come so far."""

    number: int


class WebhookList(Answer):
    """All of them."""

    webhooks: list[WebhookFacts]


_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/otajob/delete", tags=["jobs"])
async def delete_jobs(user: Admin, service: Service, body: JobsToDelete) -> Annotated[Json, As(Success)]:
    """Delete jobs that are over, all or none. The log keeps what happened to them."""
    service.jobs.delete(body.ota_job_ids, by(user))
    return success("The jobs are deleted")


@router.get("/otajob/export", tags=["jobs"], response_class=StreamingResponse, responses=_FILES)
async def export_job(
    _user: Admin,
    service: Service,
    ota_job_id: Annotated[str, Query(max_length=128)],
    format: Literal["csv", "json"] = "csv",  # noqa: A002 - as it is called everywhere
) -> StreamingResponse:
    """A job with all its nodes as a file: a sheet, or one JSON object."""
    name = f"{ota_job_id}.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(
        exported(service, ota_job_id, format), media_type="application/octet-stream", headers=headers
    )


def exported(service: CloudService, ota_job_id: str, format: str) -> AsyncIterator[str]:  # noqa: A002
    """The pieces of the file. Raises ``CloudError`` (JOB_UNKNOWN) at once."""
    view = service.jobs.get(ota_job_id)

    def pages(start: str | None) -> Any:
        return service.jobs.node_status(ota_job_id, start_id=start, num_records=PIECE)

    return _flowing(as_csv(view, pages) if format == "csv" else as_json(job_json(view), view, pages))


async def _flowing(pieces: Iterator[str]) -> AsyncIterator[str]:
    for piece in pieces:  # without a thread: each is one look into the database
        yield piece


@router.get("/webhooks", tags=["webhooks"])
async def list_webhooks(_user: SuperAdmin, service: Service) -> Annotated[Json, As(WebhookList)]:
    """Who is told of what, and how that goes."""
    return {"webhooks": [webhook_json(service, hook) for hook in service.webhooks.all()]}


@router.post("/webhooks", tags=["webhooks"])
async def add_webhook(user: SuperAdmin, service: Service, body: NewWebhook) -> Annotated[Json, As(WebhookMade)]:
    """Tell somebody of what happens from now on. The secret is said this one time."""
    hook = service.webhooks.add(body.url, body.kinds, by(user))
    return success("It is told from now on", webhook_id=hook.webhook_id, secret=hook.secret)


@router.post("/webhooks/resume", tags=["webhooks"])
async def resume_webhook(
    user: SuperAdmin, service: Service, webhook_id: Annotated[str, Query(max_length=64)]
) -> Annotated[Json, As(Success)]:
    """Try again with one that was given up, from the event on that did not arrive."""
    service.webhooks.resume(webhook_id, by(user))
    return success("It is tried again")


@router.post("/webhooks/test", tags=["webhooks"])
async def test_webhook(
    user: SuperAdmin, service: Service, webhook_id: Annotated[str, Query(max_length=64)]
) -> Annotated[Json, As(WebhookTried)]:
    """Send a letter to one, whatever events it asks for; it comes after those that wait for it."""
    number = service.webhooks.test(webhook_id, by(user))
    return success("A letter is on its way", number=number)


@router.delete("/webhooks", tags=["webhooks"])
async def remove_webhook(
    user: SuperAdmin, service: Service, webhook_id: Annotated[str, Query(max_length=64)]
) -> Annotated[Json, As(Success)]:
    """Tell somebody no more."""
    service.webhooks.remove(webhook_id, by(user))
    return success("It is told no more")


def webhook_json(service: CloudService, hook: Webhook) -> Json:
    """A webhook without its secret."""
    facts = {name: getattr(hook, name) for name in WebhookFacts.model_fields if name != "letters"}
    return facts | {"letters": [asdict(each) for each in service.webhooks.brought(hook.webhook_id)]}
