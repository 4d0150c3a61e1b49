"""``esp_https_ota``, partial download: the length of the image, and one range after the other."""

from __future__ import annotations

from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.idf.esp_https_ota.config import TAG
from py_esp_ota.idf.esp_https_ota.connect import HttpConnection
from py_esp_ota.idf.esp_https_ota.features import HttpsOtaFeatures
from py_esp_ota.idf.log import Log

_OK, _PARTIAL_CONTENT, _NOT_MODIFIED = 200, 206, 304
_NO_LENGTH = "Failed to get image length"


def first_range(start: int, image_length: int, request_size: int) -> str | None:
    """The ``Range`` of the first request; ``None`` when it would be the whole image.

    The last byte of the last range is the image's length, one too many, as upstream asks for it.
    """
    end = start + request_size - 1 if image_length > request_size + start else image_length
    return f"bytes={start}-{end}" if end - start < image_length else None


def next_range(position: int, image_length: int, request_size: int, header_size: int = 0) -> str:
    """The ``Range`` of a later request, ``position`` bytes being written; a pre-encrypted image has a header before."""
    start = position + header_size
    if image_length - position > request_size:
        return f"bytes={start}-{start + request_size - 1}"
    return f"bytes={start}-"


def restart_range(image_length: int, request_size: int) -> str | None:
    """The ``Range`` after one that was not satisfiable: from the beginning."""
    return f"bytes=0-{request_size - 1}" if image_length > request_size else None


async def discover_image_length(http: HttpConnection, log: Log, features: HttpsOtaFeatures) -> int:
    """The image's length from a HEAD, or where a server has none from a GET of one byte; the connection is closed.

    Raises ``HttpsOtaError``: ESP_ERR_HTTP_NOT_MODIFIED, of which nothing is said when the HEAD tells it; ESP_FAIL for a
    status or a length that is none; what the statuses of any request and ``HttpClient.perform`` say.
    """
    client = http.client
    await _perform(http, log, features, "HEAD")
    length = client.content_length
    if client.status == _NOT_MODIFIED and features.head_304:
        raise HttpsOtaError(EspErr.ESP_ERR_HTTP_NOT_MODIFIED, "HTTP status {status}", status=client.status)
    if client.status != _OK:
        if not features.head_fallback:
            raise _incorrect(http, log, features)
        length = await _ask_for_one_byte(http, log, features)
    if length == -1 and features.head_fallback:
        log.error(TAG, "Failed to get image length from http response")
        raise HttpsOtaError(EspErr.ESP_FAIL, "the server does not say how long the image is")
    await client.close()
    return length


async def _ask_for_one_byte(http: HttpConnection, log: Log, features: HttpsOtaFeatures) -> int:
    client = http.client
    if features.head_304:
        log.debug(TAG, f"HEAD request returned status {client.status}, falling back to ranged GET")
    client.set_header("Range", "bytes=0-0")
    await _perform(http, log, features, "GET")
    if features.head_304:
        await http.handle_response_code()
    if client.status not in {_OK, _PARTIAL_CONTENT}:
        raise _incorrect(http, log, features)
    client.delete_header("Range")
    return client.content_length if client.status == _OK else client.total_length


def _incorrect(http: HttpConnection, log: Log, features: HttpsOtaFeatures) -> HttpsOtaError:
    """Of the releases that do not name the status upstream returns no handle, and ESP_OK."""
    status = http.client.status
    log.error(TAG, f"Received incorrect http status {status}" if features.names_head_failure else _NO_LENGTH)
    return HttpsOtaError(EspErr.ESP_FAIL, "HTTP status {status}", status=status)


async def _perform(http: HttpConnection, log: Log, features: HttpsOtaFeatures, method: str) -> None:
    try:
        await http.client.perform(method)
    except HttpsOtaError as error:
        text = f"ESP HTTP client perform failed: {int(error.err)}"
        log.error(TAG, text if features.names_head_failure else _NO_LENGTH)
        raise
