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
    """What a status code means: ``err`` ends the update, two others ask again, none of them accepts the body."""

    err: EspErr = EspErr.ESP_OK
    redirect: bool = False
    authorize: bool = False
    level: str = ""
    log: str = ""


_ACCEPTED = StatusVerdict()
_NOT_FOUND = StatusVerdict(EspErr.ESP_FAIL, level="E", log="File not found({status})")
_CLIENT_ERROR = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Client error ({status})")
_SERVER_ERROR = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Server error ({status})")
_SERVER_ERROR_OCCURRED = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Server error occurred({status})")
_REDIRECT = StatusVerdict(redirect=True)
_UNAUTHORIZED = StatusVerdict(authorize=True)
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
        may_authorize: ``max_authorization_retries`` is not used up.
    """
    if status in {301, 302, 307} or (status in {303, 308} and features.follows_303_and_308):
        return _REDIRECT
    if features.knows_304_and_416 and status in _SINCE_V5_5:
        return _SINCE_V5_5[status]
    if status == 401:
        return _UNAUTHORIZED if may_authorize or not features.limits_authorization else _NO_RETRIES
    if status in {403, 404}:
        return _NOT_FOUND
    if status == 500 or (status > 500 and features.refuses_every_error_status):
        return _SERVER_ERROR if features.short_server_error else _SERVER_ERROR_OCCURRED
    if 400 <= status < 500 and features.refuses_every_error_status:
        return _CLIENT_ERROR
    if wants_range and features.asks_range_always and status != _PARTIAL_CONTENT:
        return _RANGE_IGNORED
    return _ACCEPTED


class HttpConnection:
    """What of an ``esp_https_ota_handle_t`` speaks HTTP: its client, and how often a 401 may still be answered.

    Attributes:
        client: the connection.
    """

    def __init__(self, client: HttpClient, log: Log, features: HttpsOtaFeatures, *, authorization_retries: int) -> None:
        self.client = client
        self._log = log
        self._features = features
        self._authorization_retries = authorization_retries

    async def connect(self, *, wants_range: bool = False, in_progress: bool = False) -> None:
        """``_http_connect``: as many redirects as the servers like; only the clock of the caller sets a limit.

        ``in_progress`` a server that kept the connection is asked on it, and not connected to again: also after a
        redirect has closed it, which then fails.

        Raises ``HttpsOtaError``: what ``HttpClient.open`` and the status table say.
        """
        again = True
        while again:
            kept = in_progress and self._features.partial_is_optional and self.client.is_persistent_connection()
            if kept:
                self._log.debug(TAG, "Using existing connection for partial download")
            try:
                await self.client.open(connects=not kept)
            except HttpsOtaError as error:
                if failed_to_open(error):
                    self._log.error(TAG, f"Failed to open HTTP connection: {esp_err_to_name(error)}")
                raise
            again = await self.handle_response_code(wants_range=wants_range)

    async def handle_response_code(self, *, wants_range: bool = False) -> bool:
        """``_http_handle_response_code``: whether the client is to ask again, elsewhere or with a name.

        Raises ``HttpsOtaError``: what the status table, ``set_redirection`` and ``add_auth`` say.
        """
        client, log = self.client, self._log
        verdict = handle_response_code(
            client.status,
            features=self._features,
            wants_range=wants_range,
            may_authorize=self._authorization_retries != 0,
        )
        for text in verdict.log.splitlines():
            print_line = {"I": log.info, "W": log.warning, "E": log.error}[verdict.level]
            print_line(TAG, text.format(status=client.status))
        if verdict.err is not EspErr.ESP_OK:
            raise HttpsOtaError(verdict.err, "HTTP status {status}", status=client.status)
        if verdict.redirect:
            await self._redirect()
        if verdict.authorize:
            self._authorize()
        again = verdict.redirect or verdict.authorize
        if again:
            await client.pass_over()
        return again

    async def _redirect(self) -> None:
        try:
            await self.client.set_redirection()
        except HttpsOtaError:
            self._log.error(TAG, "URL redirection Failed")
            raise

    def _authorize(self) -> None:
        self._authorization_retries -= 1
        try:
            self.client.add_auth()
        except HttpsOtaError:
            if self._features.fails_without_answer:
                self._log.error(TAG, "Authorization Failed")
                raise
