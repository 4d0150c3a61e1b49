"""Images as the verbs for images and for jobs both need them: sent, and found again by what somebody calls them."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from py_esp_ota._core import inspect_image
from py_esp_ota.cli.cloud.answers import Json, Refused, single, text

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud

PATH = "admin/otaimage"
ID = "ota_image_id"


def body_of(app: bytes, name: str | None, **said: str | None) -> Json:
    """What is sent of an app image."""
    desc = inspect_image(app).app_desc
    own = f"{desc.project_name}-{desc.version}" if desc else "image"
    described = {key: value for key, value in said.items() if value}
    return {"image_name": name or own, **described, "base64_fwimage": base64.b64encode(app).decode()}


def upload(cloud: Cloud, body: Json) -> Json:
    """Send one. Returns its name and what the cloud has found in it. Raises ``Refused``, ``Unreached``."""
    cloud.ask("GET", PATH, {"num_records": "1"})  # an old login is renewed before megabytes are on the way
    answer = cloud.ask("POST", PATH, body=body)
    found = {key: text(answer, key) for key in (ID, "fw_version", "type", "model")}
    return {"image_name": body["image_name"], **found}


def brought(cloud: Cloud, app: bytes) -> Json:
    """The image of a file: the one that is there already, byte for byte, so that a job can be tried again; else sent.

    Raises ``Refused``, ``Unreached``.
    """
    body = body_of(app, None)
    return _there(cloud, app, body["image_name"]) or upload(cloud, body)


def known(cloud: Cloud, app: bytes, file: str) -> Json:
    """The image of a file that is there already, byte for byte. Raises ``Refused``: it is not."""
    found = _there(cloud, app, body_of(app, None)["image_name"])
    if found is None:
        raise Refused(f"{file} is not in the cloud yet: esp-ota cloud images upload {file}")
    return found


def _there(cloud: Cloud, app: bytes, name: str) -> Json | None:
    md5 = hashlib.md5(app, usedforsecurity=False).hexdigest()
    for each in cloud.pages(PATH, "ota_images", {"image_name": name}):
        if (each.get("image_name"), each.get("file_md5")) == (name, md5):
            return each
    return None


def find(cloud: Cloud, image: str) -> Json:
    """The image of a name, else the one of an id. Raises ``Refused``: there is neither."""
    for each in cloud.pages(PATH, "ota_images", {"image_name": image, "all": "true"}):
        if each.get("image_name") == image:
            return each
    try:
        found = single(cloud.ask("GET", PATH, {ID: image}), "ota_images", ID, PATH)
    except Refused as error:
        raise error.about(image) from None
    if found is None:
        raise Refused(f"no image has the name or the id {image}")
    return found
