"""The audit log: everything that happened, filtered, page by page, or as a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from py_esp_ota.cloud.api.answers import As, EventList
from py_esp_ota.cloud.api.auth import DEFAULT_RECORDS, Admin, NumRecords, Service, StartId
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json
from py_esp_ota.cloud.event_log import EventLog, Wanted, event_json
from py_esp_ota.cloud.events import Actor, Kind
from py_esp_ota.cloud.texts import number_or_refuse

router = APIRouter(prefix="/v1", tags=["events"], responses=RESPONSES, route_class=ApiRoute)

Text = Annotated[str | None, Query(max_length=256)]
Moment = Annotated[int | None, Query(ge=0, lt=2**53, description="milliseconds since 1970")]


async def _wanted(
    *,
    kind: Kind | None = None,
    actor: Actor | None = None,
    who: Text = None,
    ota_job_id: Text = None,
    node_id: Text = None,
    ota_image_id: Text = None,
    user_name: Text = None,
    since: Moment = None,
    until: Moment = None,
) -> Wanted:
    return Wanted(
        kind=kind,
        actor=actor,
        who=who,
        ota_job_id=ota_job_id,
        node_id=node_id,
        ota_image_id=ota_image_id,
        user_name=user_name,
        since=since,
        until=until,
    )


Filter = Annotated[Wanted, Depends(_wanted)]


@router.get("/admin/events")
async def list_events(
    *,
    _user: Admin,
    service: Service,
    wanted: Filter,
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(EventList)]:
    """What happened, newest first."""
    entries, following = service.log.newest(wanted, start=number_or_refuse(start_id), num_records=num_records)
    body: Json = {"events": [event_json(entry) for entry in entries]}
    return body if following is None else {**body, "next_id": str(following)}


_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One event on each line",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def lines_of(log: EventLog, wanted: Wanted) -> AsyncIterator[str]:
    """Events as lines of JSON, oldest first; without a thread: each piece is one look into the database."""
    for entries in log.all(wanted):
        yield "".join(json.dumps(event_json(entry), ensure_ascii=False) + "\n" for entry in entries)


@router.get("/admin/events/export", response_class=StreamingResponse, responses=_LINES)
async def export_events(_user: Admin, service: Service, wanted: Filter) -> StreamingResponse:
    """The same as a file, oldest first: a JSON object on each line."""
    headers = {"Content-Disposition": 'attachment; filename="events.ndjson"'}
    return StreamingResponse(lines_of(service.log, wanted), media_type="application/octet-stream", headers=headers)
