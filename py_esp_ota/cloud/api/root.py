"""The two calls outside ``/v1``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request

from py_esp_ota.cloud.api.answers import ApiVersions, As, MqttHost
from py_esp_ota.cloud.api.errors import REFUSED
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json

router = APIRouter(tags=["session"], responses=REFUSED, route_class=ApiRoute)


@router.get("/apiversions")
async def apiversions() -> Annotated[Json, As(ApiVersions)]:
    """The versions this server speaks."""
    about = {"version": "v1", "build_info": "py_esp_ota", "release_notes": "a local cloud"}
    return {"supported_versions": ["v1"], "additional_info": [about]}


@router.get("/mqtt_host")
async def mqtt_host(request: Request) -> Annotated[Json, As(MqttHost)]:
    """Where nodes connect."""
    return {"mqtt_host": request.app.state.mqtt_host}
