"""Firmware images: judged when they arrive, stored whole or not at all, handed out by signed links.

An image's bytes live in the database, named by their SHA-256. No path is ever made from a name that came from outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select
from sqlalchemy.orm import Session

from py_esp_ota._core import Fault, ImageInfo, inspect_image
from py_esp_ota.cloud.event_log import append
from py_esp_ota.cloud.events import THE_ADMIN, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.models import BlobRow, ImageRow, JobRow, UploadRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.shelf import Firmware, Shelf
from py_esp_ota.cloud.store import PAGE_SIZE, Page, page
from py_esp_ota.cloud.texts import line, number_or_refuse
from py_esp_ota.cloud.tokens import Links

SIZE_LIMIT = 16 * 1024 * 1024
UPLOAD_LINK_S = 3600
DOWNLOAD_LINK_S = 86_400
NAME_LIMIT = 128

GET = "get"
PUT = "put"
"""What a signed link allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """One firmware image that jobs can use."""

    ota_image_id: str
    image_name: str
    type: str
    model: str
    fw_version: str
    chip: str  # ESP-IDF's name, "" when the header names a chip this package does not know
    file_size: int
    file_md5: str
    file_sha256: str
    upload_timestamp: int  # milliseconds
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What an image is said to be, or, where nothing is said, what its app descriptor says."""

    fw_version: str
    model: str
    type: str
    chip: str


def judge(data: bytes) -> ImageInfo:
    """Let an app image pass.

    Raises:
        CloudError: NOT_AN_APP_IMAGE with the ESP_ERR name, the field and its place; IMAGE_TOO_LARGE.
    """
    if len(data) > SIZE_LIMIT:
        raise CloudError(Refusal.IMAGE_TOO_LARGE, f"an image has at most {SIZE_LIMIT} bytes, this one has {len(data)}")
    info = inspect_image(data)
    if info.faults:
        faults = [_fault_facts(fault) for fault in info.faults]
        raise CloudError(Refusal.NOT_AN_APP_IMAGE, _first_fault(info.faults), faults=faults)
    if info.kind != "app":
        raise CloudError(
            Refusal.NOT_AN_APP_IMAGE,
            f"ESP_ERR_NOT_FOUND: no app descriptor at offset 0x20, this is a {info.kind} image",
        )
    return info


def describe(info: ImageInfo, *, fw_version: str | None, model: str | None, type: str | None) -> Description:  # noqa: A002 (the API's name)
    """Fill what was not given from the app descriptor, where ``model`` and ``type`` are the project name.

    Raises:
        CloudError: IMAGE_UNDESCRIBED when neither names the version or the model.
    """
    desc = info.app_desc
    project = desc.project_name if desc else ""
    found = {
        "fw_version": fw_version or (desc.version if desc else ""),
        "model": model or project,
        "type": type or project,
    }
    missing = [key for key, value in found.items() if not value]
    if missing:
        raise CloudError(
            Refusal.IMAGE_UNDESCRIBED,
            f"the image does not say its {', '.join(missing)}, and the request does not either",
        )
    return Description(chip=info.chip or "", **{key: line(value, key, NAME_LIMIT) for key, value in found.items()})


class Images:
    """Upload, list, archive, delete, download."""

    def __init__(self, ground: Ground, links: Links) -> None:
        self._ground = ground
        self._links = links
        self._shelf = Shelf()
        self._known: dict[str, StoredImage] = {}  # as they are in the database; a thousand nodes ask for one of them

    # ---------------------------------------------------------------------------------------------------------- upload

    def add(
        self,
        name: str,
        data: bytes,
        *,
        fw_version: str | None = None,
        model: str | None = None,
        type: str | None = None,  # noqa: A002 (the API's name)
        replace: bool = False,
        by: By = THE_ADMIN,
    ) -> StoredImage:
        """Store an image under a new name; ``replace`` allows the name of an image that no job uses.

        Raises:
            CloudError: NOT_AN_APP_IMAGE, IMAGE_TOO_LARGE, IMAGE_UNDESCRIBED, IMAGE_NAME_TAKEN, INVALID_REQUEST.
        """
        name = line(name, "image_name", NAME_LIMIT)
        description = describe(judge(data), fw_version=fw_version, model=model, type=type)
        with self._ground.store.begin() as tx:
            image = self._store(tx, self._ground.ids.image(), name, data, description, replace=replace, by=by)
        self._changed(image.ota_image_id)
        return image

    def request_upload(self, name: str) -> tuple[str, str]:
        """Begin a pre-signed upload: the future ``ota_image_id`` and where to PUT the bytes within the hour.

        The name of an image that no job uses may be used again: confirming the upload then replaces that image.
        """
        name = line(name, "image_name", NAME_LIMIT)
        ota_image_id = self._ground.ids.image()
        now = self._ground.now_s()
        with self._ground.store.begin() as tx:
            _holder_of(tx, name, replace=True)
            tx.execute(delete(UploadRow).where(UploadRow.expires < now - DOWNLOAD_LINK_S))
            tx.add(UploadRow(ota_image_id=ota_image_id, image_name=name, expires=now + UPLOAD_LINK_S, data=None))
        token = self._links.sign(PUT, ota_image_id, now + UPLOAD_LINK_S)
        return ota_image_id, f"{self._links.public_url}/v1/ota/upload/{ota_image_id}?token={token}"

    def may_upload(self, ota_image_id: str, token: str) -> None:
        """Whether bytes are awaited behind a pre-signed link. Raises ``CloudError`` (LINK_REFUSED, UPLOAD_UNKNOWN)."""
        if not self._links.allows(token, PUT, ota_image_id, self._ground.clock.now()):
            raise CloudError(Refusal.LINK_REFUSED, "this upload link is forged or older than an hour")
        with self._ground.store.begin() as tx:
            _upload(tx, ota_image_id)

    def put_upload(self, ota_image_id: str, token: str, data: bytes) -> None:
        """Take the bytes of a pre-signed upload; sent again before the confirmation, they replace the earlier ones."""
        self.may_upload(ota_image_id, token)
        if len(data) > SIZE_LIMIT:
            raise CloudError(Refusal.IMAGE_TOO_LARGE, f"an image has at most {SIZE_LIMIT} bytes")
        with self._ground.store.begin() as tx:
            _upload(tx, ota_image_id).data = data

    def confirm_upload(
        self,
        ota_image_id: str,
        *,
        fw_version: str | None = None,
        model: str | None = None,
        type: str | None = None,  # noqa: A002 (the API's name)
        by: By = THE_ADMIN,
    ) -> StoredImage:
        """End a pre-signed upload. Bytes that are no image are thrown away; they may be uploaded again.

        Raises:
            CloudError: UPLOAD_UNKNOWN, UPLOAD_EMPTY, and all of ``add``.
        """
        with self._ground.store.begin() as tx:
            data = _upload(tx, ota_image_id).data
        if data is None:
            raise CloudError(Refusal.UPLOAD_EMPTY, "nothing was uploaded to the upload_url yet")
        try:
            info = judge(data)
        except CloudError:
            with self._ground.store.begin() as tx:
                _upload(tx, ota_image_id).data = None
            raise
        description = describe(info, fw_version=fw_version, model=model, type=type)
        with self._ground.store.begin() as tx:
            upload = _upload(tx, ota_image_id)
            image = self._store(tx, ota_image_id, upload.image_name, data, description, replace=True, by=by)
            tx.delete(upload)
        self._changed(ota_image_id)
        return image

    def _store(
        self, tx: Session, ota_image_id: str, name: str, data: bytes, description: Description, *, replace: bool, by: By
    ) -> StoredImage:
        holder = _holder_of(tx, name, replace=replace)
        if holder is not None:
            self._happen(
                tx, Kind.IMAGE_DELETED, holder.ota_image_id, by, {"image_name": name, "replaced_by": ota_image_id}
            )
            _remove(tx, holder)
        sha256 = hashlib.sha256(data).hexdigest()
        if tx.get(BlobRow, sha256) is None:
            tx.add(BlobRow(sha256=sha256, data=data))
            tx.flush()
        row = ImageRow(
            ota_image_id=ota_image_id,
            image_name=name,
            fw_version=description.fw_version,
            model=description.model,
            type=description.type,
            chip=description.chip,
            file_size=len(data),
            file_md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            file_sha256=sha256,
            upload_timestamp=self._ground.now_ms(),
            archived=False,
        )
        tx.add(row)
        tx.flush()
        image = _value(row)
        self._happen(tx, Kind.IMAGE_UPLOADED, ota_image_id, by, asdict(image) | {"number": row.number})
        return image

    def _happen(self, tx: Session, kind: Kind, ota_image_id: str, by: By, data: Mapping[str, Any]) -> None:
        event = Event(kind=kind, time=self._ground.now_ms(), by=by, ota_image_id=ota_image_id, data=data)
        append(tx, [event])

    def _changed(self, ota_image_id: str) -> None:
        self._known.clear()
        self._ground.live.publish("image", ota_image_id)

    # ------------------------------------------------------------------------------------------------------------ read

    def find(
        self,
        *,
        name: str | None = None,
        contains: bool = False,
        type: str | None = None,  # noqa: A002 (the API's name)
        model: str | None = None,
        archived: bool | None = False,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[StoredImage]:
        """Images, newest first. ``archived``: only those that are, only those that are not, or ``None`` for all."""
        query: Select[tuple[ImageRow]] = select(ImageRow)
        if name is not None:
            matches = ImageRow.image_name.icontains(name, autoescape=True) if contains else ImageRow.image_name == name
            query = query.where(matches)
        if type is not None:
            query = query.where(ImageRow.type == type)
        if model is not None:
            query = query.where(ImageRow.model == model)
        if archived is not None:
            query = query.where(ImageRow.archived == archived)
        start = number_or_refuse(start_id)
        with self._ground.store.begin() as tx:
            rows, total, following = page(
                tx, query, key=ImageRow.number, start=start, size=num_records, newest_first=True
            )
            return Page([_value(row) for row in rows], total, None if following is None else str(following))

    def get(self, ota_image_id: str) -> StoredImage:
        """One image. Raises ``CloudError`` (IMAGE_UNKNOWN)."""
        if ota_image_id in self._known:
            return self._known[ota_image_id]
        with self._ground.store.begin() as tx:
            return self._learn(tx, ota_image_id)

    def within(self, tx: Connection, ota_image_id: str) -> StoredImage:
        """The same, for who is in a transaction already. Raises ``CloudError`` (IMAGE_UNKNOWN)."""
        if ota_image_id in self._known:
            return self._known[ota_image_id]
        with Session(tx) as session:
            return self._learn(session, ota_image_id)

    def _learn(self, tx: Session, ota_image_id: str) -> StoredImage:
        image = self._known[ota_image_id] = _value(_row(tx, ota_image_id))
        return image

    def url(self, ota_image_id: str) -> str:
        """A fresh download link, good for a day."""
        token = self._links.sign(GET, ota_image_id, self._ground.now_s() + DOWNLOAD_LINK_S)
        return f"{self._links.public_url}/v1/ota/image/{ota_image_id}/firmware.bin?token={token}"

    def download(self, ota_image_id: str, token: str) -> Firmware:
        """The bytes behind a download link. Raises ``CloudError`` (LINK_REFUSED, IMAGE_UNKNOWN)."""
        if not self._links.allows(token, GET, ota_image_id, self._ground.clock.now()):
            raise CloudError(Refusal.LINK_REFUSED, "this download link is forged or older than a day")
        sha256 = self.get(ota_image_id).file_sha256
        return self._shelf.take(sha256, lambda: self._bytes(sha256))

    def firmware(self, tx: Connection, ota_image_id: str) -> Firmware:
        """The bytes of an image, for who is in a transaction already. Raises ``CloudError`` (IMAGE_UNKNOWN)."""
        sha256 = self.within(tx, ota_image_id).file_sha256
        read = select(BlobRow.data).where(BlobRow.sha256 == sha256)
        return self._shelf.take(sha256, lambda: tx.execute(read).scalar_one())

    def content(self, ota_image_id: str) -> bytes:
        """The bytes of an image. Raises ``CloudError`` (IMAGE_UNKNOWN)."""
        return self._bytes(self.get(ota_image_id).file_sha256)

    def inspect(self, ota_image_id: str) -> ImageInfo:
        """What is in an image, as the judge reads it. Raises ``CloudError`` (IMAGE_UNKNOWN)."""
        return inspect_image(self.content(ota_image_id))

    def _bytes(self, sha256: str) -> bytes:
        with self._ground.store.begin() as tx:
            return tx.get_one(BlobRow, sha256).data

    # ---------------------------------------------------------------------------------------------------------- change

    def archive(self, ota_image_id: str, archived: bool = True, by: By = THE_ADMIN) -> StoredImage:
        """Hide an image from lists and new jobs, or bring it back. Jobs that use it go on."""
        with self._ground.store.begin() as tx:
            row = _row(tx, ota_image_id)
            if row.archived != archived:
                kind = Kind.IMAGE_ARCHIVED if archived else Kind.IMAGE_UNARCHIVED
                self._happen(tx, kind, ota_image_id, by, {"image_name": row.image_name})
            row.archived = archived
            image = _value(row)
        self._changed(ota_image_id)
        return image

    def delete(self, ota_image_id: str, force: bool = False, by: By = THE_ADMIN) -> None:
        """Delete an image that no job uses; with ``force``, one that only cancelled jobs use.

        Raises:
            CloudError: IMAGE_UNKNOWN, IMAGE_IN_USE.
        """
        with self._ground.store.begin() as tx:
            row = _row(tx, ota_image_id)
            jobs = _jobs_of(tx, ota_image_id)
            blocking = [job for job in jobs if not (force and job.cancelled_timestamp is not None)]
            if blocking:
                hint = "" if force else "; force_delete overrides cancelled jobs"
                raise CloudError(
                    Refusal.IMAGE_IN_USE, f"job {blocking[0].ota_job_id} uses the image ({len(blocking)} in all){hint}"
                )
            self._happen(tx, Kind.IMAGE_DELETED, ota_image_id, by, {"image_name": row.image_name})
            _remove(tx, row)
        self._changed(ota_image_id)


def _row(tx: Session, ota_image_id: str) -> ImageRow:
    row = tx.scalar(select(ImageRow).where(ImageRow.ota_image_id == ota_image_id))
    if row is None:
        raise CloudError(Refusal.IMAGE_UNKNOWN, "there is no image with this ota_image_id")
    return row


def _value(row: ImageRow) -> StoredImage:
    return StoredImage(**{name: getattr(row, name) for name in StoredImage.__dataclass_fields__})


def _upload(tx: Session, ota_image_id: str) -> UploadRow:
    upload = tx.get(UploadRow, ota_image_id)
    if upload is None:
        raise CloudError(Refusal.UPLOAD_UNKNOWN, "there is no upload with this ota_image_id waiting")
    return upload


def _jobs_of(tx: Session, ota_image_id: str) -> list[JobRow]:
    return list(tx.scalars(select(JobRow).where(JobRow.ota_image_id == ota_image_id)))


def _holder_of(tx: Session, name: str, *, replace: bool) -> ImageRow | None:
    """The image that gives way to a new one of this name. Names are unique, and an image that a job uses stays."""
    row = tx.scalar(select(ImageRow).where(ImageRow.image_name == name))
    if row is None:
        return None
    used = bool(_jobs_of(tx, row.ota_image_id))
    if used or not replace:
        raise CloudError(
            Refusal.IMAGE_NAME_TAKEN,
            f"image {row.ota_image_id} has this name already" + (" and a job uses it" if used else ""),
        )
    return row


def _remove(tx: Session, row: ImageRow) -> None:
    """Delete the image, and its bytes when no other image has the same."""
    tx.delete(row)
    tx.flush()
    others = tx.scalar(select(func.count()).where(ImageRow.file_sha256 == row.file_sha256))
    if not others:
        tx.execute(delete(BlobRow).where(BlobRow.sha256 == row.file_sha256))


def _fault_facts(fault: Fault) -> dict[str, object]:
    return {
        "err": fault.err.name,
        "field": fault.field,
        "offset": fault.offset,
        "found": fault.found,
        "expected": fault.expected,
    }


def _first_fault(faults: list[Fault]) -> str:
    first, more = faults[0], len(faults) - 1
    sentence = (
        f"{first.err.name}: {first.field} at offset 0x{first.offset:x} is {first.found}, expected {first.expected}"
    )
    return f"{sentence} (and {more} more)" if more else sentence
