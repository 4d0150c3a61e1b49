"""A job before it is started: calls of this cloud's own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from py_esp_ota.cloud.api.answers import As
from py_esp_ota.cloud.api.auth import DEFAULT_RECORDS, Admin, NumRecords, Service, StartId
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.foretold import JobPreview
from py_esp_ota.cloud.api.jobs import Flags, NewJob, options_of
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json
from py_esp_ota.cloud.previews import Preview

router = APIRouter(prefix="/v1/local", tags=["jobs"], responses=RESPONSES, route_class=ApiRoute)


@router.post("/otajob/preview")
async def preview_job(
    *,
    user: Admin,
    service: Service,
    body: NewJob,
    flags: Flags,
    reason: Annotated[str, Query(max_length=64, description="list nodes with this reason; ready: without any")] = "",
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(JobPreview)]:
    """What ``POST /v1/admin/otajob`` with the same words would start; it is refused as that would be."""
    options = options_of(user, body, flags)
    found = service.previews.preview(
        body.ota_job_name,
        body.ota_image_id,
        reason=reason,
        start_id=start_id,
        num_records=num_records,
        **options,
    )
    return preview_json(found)


def preview_json(found: Preview) -> Json:
    """A preview."""
    refused = found.refusal
    body: Json = {
        "fw_version": found.image.version,
        "chip": found.image.chip,
        "file_size": found.image.size,
        "total": found.total,
        "offline": found.offline,
        "ready": found.ready,
        "phases": list(found.job.sizes),
        "refusal": refused and {"error_code": refused.refusal.error_code, "description": refused.description},
        "reasons": [
            {**asdict(each.obstacle), "count": each.count, "examples": list(each.examples)} for each in found.reasons
        ],
        "nodes": [
            {
                "node_id": node.node_id,
                "fw_version": node.fw_version,
                "platform": node.chip,
                "connected": node.connected,
                "connectivity_timestamp": node.connectivity_timestamp,
                "reasons": [obstacle.reason for obstacle in node.obstacles],
            }
            for node in found.page
        ],
        "nodes_total": found.page_total,
    }
    return body if found.next_id is None else {**body, "next_id": found.next_id}
