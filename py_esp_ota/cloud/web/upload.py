"""Reading an uploaded file: in memory, and never more of it than an image may have."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from py_esp_ota.cloud.images import SIZE_LIMIT
from py_esp_ota.cloud.refusals import CloudError, Refusal

_OVERHEAD = 64 * 1024  # boundaries, headers and the name beside the file
BODY_LIMITS = {"/images/upload": 4 << 30, "/images/preview": 4 << 30, "/flash": 4 << 30}
"""What a browser may send before it is cut off without a word of ours, by path. Of all that, we keep 16 or 32 MiB."""

DUMP_LIMIT = 32 * 1024 * 1024
"""Bytes of a flash dump: the largest flash of a board that has one chip for it."""


def too_large(what: str, limit: int) -> CloudError:
    """The refusal of a file that has more bytes than such a file may have."""
    sentence = f"{what} has at most {limit >> 20} MiB ({limit:,} bytes). This file is larger; nothing was stored."
    return CloudError(Refusal.IMAGE_TOO_LARGE, sentence)


@dataclass(frozen=True, slots=True)
class Upload:
    """The upload form as it was sent."""

    filename: str
    data: bytes
    name: str


class _InMemory(MultiPartParser):
    """A file that stays in memory needs neither a temporary file nor a thread."""

    spool_max_size = DUMP_LIMIT + _OVERHEAD + 1


async def read_upload(request: Request, limit: int = SIZE_LIMIT, what: str = "An image") -> Upload:
    """The form's one file and its name.

    Raises:
        CloudError: IMAGE_TOO_LARGE, INVALID_REQUEST.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise CloudError(Refusal.INVALID_REQUEST, "An upload comes as multipart/form-data.")
    chunks = request.stream()
    parser = _InMemory(
        request.headers, _limited(chunks, limit, what), max_files=1, max_fields=8, max_part_size=_OVERHEAD
    )
    try:
        form = await parser.parse()
    except CloudError:
        await _drain(chunks)
        raise
    except MultiPartException as broken:
        await _drain(chunks)
        raise CloudError(Refusal.INVALID_REQUEST, f"The form cannot be read: {broken.message}") from None
    try:
        file, name = form.get("file"), form.get("name", "")
        if not isinstance(file, UploadFile) or not file.filename:
            raise CloudError(Refusal.INVALID_REQUEST, "Choose a file first.")
        data = await file.read()
    finally:
        await form.close()
    if len(data) > limit:
        raise too_large(what, limit)
    return Upload(file.filename, data, name if isinstance(name, str) else "")


async def _limited(chunks: AsyncGenerator[bytes, None], limit: int, what: str) -> AsyncGenerator[bytes, None]:
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > limit + _OVERHEAD:
            raise too_large(what, limit)
        yield chunk


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Let the browser finish: one that is cut off while it sends shows its own error instead of ours."""
    async for _ in chunks:
        pass
