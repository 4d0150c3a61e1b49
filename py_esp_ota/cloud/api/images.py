"""Firmware images: ``admin/otaimage`` and what belongs to it. Packages are not offered."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from py_esp_ota.cloud.api.answers import (
    As,
    ImageList,
    ImageUploaded,
    OneImage,
    Success,
    UploadRequested,
    UserImageUploaded,
)
from py_esp_ota.cloud.api.auth import DEFAULT_RECORDS, Admin, NumRecords, Service, SignedIn, StartId, by
from py_esp_ota.cloud.api.errors import RESPONSES
from py_esp_ota.cloud.api.route import ApiRoute
from py_esp_ota.cloud.api.shapes import Json, image_json, listing, single, success
from py_esp_ota.cloud.images import SIZE_LIMIT, StoredImage
from py_esp_ota.cloud.refusals import CloudError, Refusal

router = APIRouter(prefix="/v1", tags=["images"], responses=RESPONSES, route_class=ApiRoute)

BODY_LIMITS = {
    "/v1/admin/otaimage": SIZE_LIMIT * 4 // 3 + 65_536,  # base64 and what is around it
    "/v1/user/otaimage": SIZE_LIMIT * 4 // 3 + 65_536,
    "/v1/ota/upload/": SIZE_LIMIT,
}
"""Bytes of a request body, by the beginning of the path, where they are more than usual."""

_BYTES_BODY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


class Described(BaseModel):
    """What overrides, or fills in, what the image says of itself."""

    fw_version: str | None = None
    model: str | None = None
    type: str | None = None


class Upload(Described):
    """An image inside JSON."""

    image_name: str
    base64_fwimage: str


class Confirm(Described):
    """The end of a pre-signed upload."""

    ota_image_id: str


@router.post("/admin/otaimage")
async def upload_image(user: Admin, service: Service, body: Upload) -> Annotated[Json, As(ImageUploaded)]:
    """Upload in one request."""
    image = service.images.add(
        body.image_name,
        _bytes(body.base64_fwimage),
        fw_version=body.fw_version,
        model=body.model,
        type=body.type,
        by=by(user),
    )
    return _stored(service, image)


@router.post("/user/otaimage")
async def upload_user_image(user: SignedIn, service: Service, body: Upload) -> Annotated[Json, As(UserImageUploaded)]:
    """Upload by an end user, whose image replaces an unused one of the same name; only the link comes back."""
    image = service.images.add(
        f"{user.user_id}/{body.image_name}",
        _bytes(body.base64_fwimage),
        fw_version=body.fw_version,
        model=body.model,
        type=body.type,
        replace=True,
        by=by(user),
    )
    return success("The image is uploaded", image_url=service.images.url(image.ota_image_id))


@router.get("/admin/otaimage/upload_request")
async def upload_request(
    _user: Admin, service: Service, image_name: Annotated[str, Query()]
) -> Annotated[Json, As(UploadRequested)]:
    """Begin a pre-signed upload."""
    ota_image_id, upload_url = service.images.request_upload(image_name)
    return success("PUT the image to upload_url within an hour", ota_image_id=ota_image_id, upload_url=upload_url)


@router.post("/admin/otaimage/upload_confirm")
async def upload_confirm(user: Admin, service: Service, body: Confirm) -> Annotated[Json, As(ImageUploaded)]:
    """End a pre-signed upload."""
    image = service.images.confirm_upload(
        body.ota_image_id, fw_version=body.fw_version, model=body.model, type=body.type, by=by(user)
    )
    return _stored(service, image)


@router.put("/ota/upload/{ota_image_id}", openapi_extra={"requestBody": _BYTES_BODY})
async def put_upload(
    service: Service, request: Request, ota_image_id: str, token: Annotated[str, Query()]
) -> Annotated[Json, As(Success)]:
    """Take the bytes; the link is the permission, and nothing is read without it."""
    service.images.may_upload(ota_image_id, token)
    service.images.put_upload(ota_image_id, token, await request.body())
    return success("Uploaded; confirm it with upload_confirm")


@router.get("/admin/otaimage")
async def list_images(
    *,
    _user: Admin,
    service: Service,
    ota_image_id: Annotated[str, Query()] = "",
    image_name: Annotated[str | None, Query()] = None,
    contains: Annotated[bool, Query()] = False,
    type: Annotated[str | None, Query()] = None,  # noqa: A002 (the API's name)
    model: Annotated[str | None, Query()] = None,
    archived: Annotated[bool, Query()] = False,
    all: Annotated[bool, Query()] = False,  # noqa: A002 (the API's name)
    start_id: StartId = None,
    num_records: NumRecords = DEFAULT_RECORDS,
) -> Annotated[Json, As(OneImage | ImageList)]:
    """Images, newest first; archived ones only on request."""

    def shape(image: StoredImage) -> Json:
        return image_json(image, service.images.url(image.ota_image_id))

    if ota_image_id:
        return single("ota_images", [shape(service.images.get(ota_image_id))])
    page = service.images.find(
        name=image_name,
        contains=contains,
        type=type,
        model=model,
        archived=None if all else archived,
        start_id=start_id,
        num_records=num_records,
    )
    return listing("ota_images", page, shape)


@router.put("/admin/otaimage")
async def archive_image(
    user: Admin, service: Service, ota_image_id: Annotated[str, Query()], archive: Annotated[bool, Query()]
) -> Annotated[Json, As(Success)]:
    """Archive or bring back."""
    service.images.archive(ota_image_id, archive, by(user))
    return success("The image is archived" if archive else "The image is back")


@router.delete("/admin/otaimage")
async def delete_image(
    user: Admin,
    service: Service,
    ota_image_id: Annotated[str, Query()],
    force_delete: Annotated[bool, Query()] = False,
) -> Annotated[Json, As(Success)]:
    """Delete an image that no job uses; ``force_delete`` overrides cancelled jobs."""
    service.images.delete(ota_image_id, force_delete, by(user))
    return success("The image is deleted")


def _bytes(base64_fwimage: str) -> bytes:
    try:
        return base64.b64decode(base64_fwimage, validate=True)
    except ValueError as error:
        raise CloudError(Refusal.INVALID_REQUEST, f"base64_fwimage is not base64: {error}") from None


def _stored(service: Service, image: StoredImage) -> Json:
    return success(
        "The image is uploaded",
        ota_image_id=image.ota_image_id,
        image_url=service.images.url(image.ota_image_id),
        fw_version=image.fw_version,
        model=image.model,
        type=image.type,
    )
