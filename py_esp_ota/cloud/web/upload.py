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
BODY_LIMITS = {"/images/upload": 4 << 30, "/images/preview": 4 << 30}
"""What a browser may send before it is cut off without a word of ours, by path. Of all that, we keep 16 MiB."""

TOO_LARGE = (
    f"An image has at most {SIZE_LIMIT >> 20} MiB ({SIZE_LIMIT:,} bytes). This file is larger; nothing was stored."
)


@dataclass(frozen=True, slots=True)
class Upload:
    """The upload form as it was sent."""

    filename: str
    data: bytes
    name: str


class _InMemory(MultiPartParser):
    """A file that stays in memory needs neither a temporary file nor a thread."""

    spool_max_size = SIZE_LIMIT + _OVERHEAD + 1


async def read_upload(request: Request) -> Upload:
    """The form's one file and its name.

    Raises:
        CloudError: IMAGE_TOO_LARGE, INVALID_REQUEST.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise CloudError(Refusal.INVALID_REQUEST, "An upload comes as multipart/form-data.")
    chunks = request.stream()
    parser = _InMemory(request.headers, _limited(chunks), max_files=1, max_fields=8, max_part_size=_OVERHEAD)
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
            raise CloudError(Refusal.INVALID_REQUEST, "Choose a firmware image first.")
        data = await file.read()
    finally:
        await form.close()
    if len(data) > SIZE_LIMIT:
        raise CloudError(Refusal.IMAGE_TOO_LARGE, TOO_LARGE)
    return Upload(file.filename, data, name if isinstance(name, str) else "")


async def _limited(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > SIZE_LIMIT + _OVERHEAD:
            raise CloudError(Refusal.IMAGE_TOO_LARGE, TOO_LARGE)
        yield chunk


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Let the browser finish: one that is cut off while it sends shows its own error instead of ours."""
    async for _ in chunks:
        pass
