"""``esp_https_ota``: from a request to a response whose body is an image, statuses and redirects on the way."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.idf.esp_http_client.client import HttpClient, failed_to_open
from py_esp_ota.idf.esp_https_ota.config import TAG, esp_err_to_name
from py_esp_ota.idf.esp_https_ota.features import NEWEST, HttpsOtaFeatures
from py_esp_ota.idf.log import Log

_PARTIAL_CONTENT = 206


@dataclass(frozen=True, slots=True)
class StatusVerdict:
    """What a status code means: ``err`` ends the update, ``redirect`` goes on elsewhere, neither accepts the body."""

    err: EspErr = EspErr.ESP_OK
    redirect: bool = False
    level: str = ""
    log: str = ""


_ACCEPTED = StatusVerdict()
_NOT_FOUND = StatusVerdict(EspErr.ESP_FAIL, level="E", log="File not found({status})")
_CLIENT_ERROR = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Client error ({status})")
_SERVER_ERROR = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Server error ({status})")
_UNAUTHORIZED = StatusVerdict(EspErr.ESP_ERR_NOT_SUPPORTED, level="E", log="Authorization Failed")
_NO_RETRIES = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Reached max_authorization_retries ({status})")
_RANGE_IGNORED = StatusVerdict(
    EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE,
    level="W",
    log="Server ignored the requested Range header\nOTA resumption requires server with range request support.",
)
_SINCE_V5_5 = {
    304: StatusVerdict(
        EspErr.ESP_ERR_HTTP_NOT_MODIFIED,
        level="I",
        log="OTA image not modified since last request (status code: {status})",
    ),
    416: StatusVerdict(
        EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE,
        level="I",
        log="Requested range is incorrect (status code: {status})",
    ),
}


def handle_response_code(
    status: int, *, features: HttpsOtaFeatures = NEWEST, wants_range: bool = False, may_authorize: bool = True
) -> StatusVerdict:
    """``_http_handle_response_code`` as a table: what is not refused by name is taken for an image.

    Args:
        status: What the server says.
        features: What the release knows.
        wants_range: A resumable download in one request, which no other status than 206 continues.
        may_authorize: ``max_authorization_retries`` is not used up. Default builds lack Basic and Digest: trying does
            not help.
    """
    if status in {301, 302, 307} or (status in {303, 308} and features.follows_303_and_308):
        return StatusVerdict(redirect=True)
    if features.knows_304_and_416 and status in _SINCE_V5_5:
        return _SINCE_V5_5[status]
    if status == 401:
        return _UNAUTHORIZED if may_authorize else _NO_RETRIES
    if status in {403, 404}:
        return _NOT_FOUND
    if status == 500 or (status > 500 and features.refuses_every_error_status):
        return _SERVER_ERROR
    if 400 <= status < 500 and features.refuses_every_error_status:
        return _CLIENT_ERROR
    if wants_range and features.asks_range_always and status != _PARTIAL_CONTENT:
        return _RANGE_IGNORED
    return _ACCEPTED


async def http_connect(
    client: HttpClient, log: Log, features: HttpsOtaFeatures, *, wants_range: bool, may_authorize: bool = True
) -> None:
    """``_http_connect``: as many redirects as the servers like; only the clock of the caller sets a limit.

    Raises ``HttpsOtaError``: what ``HttpClient.open`` and the status table say.
    """
    while True:
        try:
            await client.open()
        except HttpsOtaError as error:
            if failed_to_open(error):
                log.error(TAG, f"Failed to open HTTP connection: {esp_err_to_name(error)}")
            raise
        verdict = handle_response_code(
            client.status, features=features, wants_range=wants_range, may_authorize=may_authorize
        )
        for text in verdict.log.splitlines():
            print_line = {"I": log.info, "W": log.warning, "E": log.error}[verdict.level]
            print_line(TAG, text.format(status=client.status))
        if verdict.err is not EspErr.ESP_OK:
            raise HttpsOtaError(verdict.err, "HTTP status {status}", status=client.status)
        if not verdict.redirect:
            return
        try:
            await client.follow()
        except HttpsOtaError:
            log.error(TAG, "URL redirection Failed")
            raise
