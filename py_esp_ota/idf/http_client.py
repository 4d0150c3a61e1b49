"""The part of ``esp_http_client`` that ``esp_https_ota`` drives: one request at a time, redirects taken by hand."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError
from py_esp_ota.idf import newlib
from py_esp_ota.ports import Fetch, Response

USER_AGENT = "ESP32 HTTP Client/1.0"
ESP_ERR_HTTP_EAGAIN = 0x7007

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DRAIN_STEP = 1024
# One round trip: without it a server that redirects for ever would stop virtual time.
_ROUND_TRIP_S = 0.001


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpClientConfig:
    """``esp_http_client_config_t``, the fields that the update path sets.

    The trust fields decide only whether ``esp_https_ota`` agrees to start; the certificates that are really used belong
    to the ``Fetch`` door, as does the time-out.
    """

    url: str
    cert_pem: str | None = None
    use_global_ca_store: bool = False
    crt_bundle_attach: bool = True
    timeout_ms: int = 5000
    buffer_size: int = 1024
    buffer_size_tx: int = 1024


def parse_url(url: str) -> SplitResult | None:
    """``esp_http_client_set_url``: an absolute http or https URL, else ``None``."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
        url.encode("ascii")
    except ValueError:  # a port that is no number, a broken IPv6 address, raw bytes above 127
        return None
    return parts if usable and not any(char <= " " for char in url) else None


def redirection(origin: str, location: str | None) -> str:
    """``esp_http_client_set_redirection``: the next URL after a 30x (components/esp_http_client/esp_http_client.c).

    Raises:
        HttpsOtaError: ESP_ERR_INVALID_ARG without a usable Location; ESP_ERR_HTTP_REDIRECT_DOWNGRADE when an https
            origin points anywhere but to an ``https://`` URL, relative targets included.
    """
    if not location:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "redirected without a Location header")
    source = urlsplit(origin)
    if source.scheme == "https" and not location.lower().startswith("https://"):
        what = "redirected from https to {location}"
        raise HttpsOtaError(EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE, what, location=location)
    if location.startswith("/"):
        return f"{source.scheme}://{source.netloc}{location}"
    target = parse_url(location)
    if target is None:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "redirected to {location}, no URL", location=location)
    if source.scheme == "http" and target.scheme == "https":
        # The transport is chosen once: a plain client stays plain, on the port that https implies.
        netloc = target.netloc if target.port else f"{target.netloc}:{_DEFAULT_PORTS['https']}"
        return target._replace(scheme="http", netloc=netloc).geturl()
    return location


class HttpClient:
    """``esp_http_client``: the connection of one ``esp_https_ota`` handle."""

    def __init__(self, config: HttpClientConfig, fetch: Fetch) -> None:
        """``esp_http_client_init``. Raises ``HttpsOtaError`` (ESP_FAIL) for an URL that does not parse."""
        if parse_url(config.url) is None:
            raise HttpsOtaError(EspErr.ESP_FAIL, "{url!r} is no http or https URL", url=config.url)
        self.url = config.url
        self.status = -1
        self.content_length = -1
        self.received = 0
        self._fetch = fetch
        self._headers = {"User-Agent": USER_AGENT}
        self._connection = AsyncExitStack()
        self._response: Response | None = None
        self._location: str | None = None
        self._ended = False

    async def open(self) -> None:
        """``esp_http_client_open`` and ``esp_http_client_fetch_headers``: send the GET, read status and headers.

        Raises:
            HttpsOtaError: ESP_ERR_HTTP_CONNECT; ESP_FAIL when the server closes first; a code outside the name table
                when no header comes in time.
        """
        await self.close()
        try:
            self._response = await self._connection.enter_async_context(self._fetch(self.url, dict(self._headers)))
        except FetchError as error:
            raise _open_error(error) from error
        headers = self._response.headers
        self.status = self._response.status
        self.content_length = _content_length(headers.get("content-length"), headers.get("transfer-encoding", ""))
        self.received = 0
        self._location = headers.get("location")
        self._ended = False

    async def read(self, limit: int) -> bytes:
        """``esp_http_client_read``: at most ``limit`` bytes of image data, ``b""`` at the end of the response.

        Bytes beyond Content-Length are not image data. Raises ``FetchError``.
        """
        if self._response is None or self._ended:
            return b""
        if self.content_length >= 0:
            limit = min(limit, self.content_length - self.received)
        data = await self._response.read(limit) if limit else b""
        self.received += len(data)
        self._ended = not data
        return data

    def is_complete_data_received(self) -> bool:
        """``esp_http_client_is_complete_data_received``: all of Content-Length, or without one the clean end."""
        return self._ended if self.content_length < 0 else self.received == self.content_length

    async def follow(self) -> None:
        """``esp_http_client_set_redirection``, after the body of the 30x has been drained. Raises ``HttpsOtaError``."""
        try:
            while await self.read(_DRAIN_STEP):
                pass
        except FetchError as error:
            number = newlib.from_host(error.errno)
            raise HttpsOtaError(EspErr.ESP_FAIL, "the body of the redirect broke off", errno=number) from error
        self.url = redirection(self.url, self._location)
        await asyncio.sleep(_ROUND_TRIP_S)

    async def close(self) -> None:
        """``esp_http_client_close``."""
        self._response = None
        await self._connection.aclose()


def _open_error(error: FetchError) -> HttpsOtaError:
    number = newlib.from_host(error.errno)
    if error.kind == "timeout":
        # esp_http_client_fetch_headers negates its code, which no table of names knows.
        return HttpsOtaError(EspErr.ESP_FAIL, "no response header in time", errno=number, code=-ESP_ERR_HTTP_EAGAIN)
    if error.kind == "closed":
        return HttpsOtaError(EspErr.ESP_FAIL, "the server closed before its response header", errno=number)
    return HttpsOtaError(EspErr.ESP_ERR_HTTP_CONNECT, "{why}", why=str(error), errno=number)


def _content_length(length: str | None, transfer_encoding: str) -> int:
    if length is None or not length.strip().isdecimal() or "chunked" in transfer_encoding.lower():
        return -1
    return int(length)
