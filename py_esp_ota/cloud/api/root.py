"""The two calls outside ``/v1``."""

from __future__ import annotations

from fastapi import APIRouter, Request

from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json

router = APIRouter(route_class=ApiRoute)


@router.get("/apiversions")
async def apiversions() -> Json:
    """The versions this server speaks."""
    about = {"version": "v1", "build_info": "py_esp_ota", "release_notes": "a local cloud"}
    return {"supported_versions": ["v1"], "additional_info": [about]}


@router.get("/mqtt_host")
async def mqtt_host(request: Request) -> Json:
    """Where nodes connect."""
    return {"mqtt_host": request.app.state.mqtt_host}
