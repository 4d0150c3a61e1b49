"""The part of ``esp_http_client`` that ``esp_https_ota`` drives: one request at a time, redirects taken by hand."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError
from py_esp_ota.idf import newlib
from py_esp_ota.idf.esp_http_client.features import NEWEST, HttpClientFeatures
from py_esp_ota.ports import METHOD, Fetch, Response

USER_AGENT = "ESP32 HTTP Client/1.0"
MAX_REDIRECT = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PROTOCOL = "HTTP/1.1"
_CONTENT_RANGE = re.compile(r"bytes\s+(?:\d+-\d+|\*)/(\d+)")
_DRAIN_STEP = 256
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
    max_authorization_retries: int = 0  # 0 stands for 10, -1 for none


def parse_url(url: str) -> SplitResult | None:
    """``esp_http_client_set_url``: an absolute http or https URL, else ``None``."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
        url.encode("ascii")
    except ValueError:  # a port that is no number, a broken IPv6 address, raw bytes above 127
        return None
    return parts if usable and not any(char <= " " for char in url) else None


def redirection(
    origin: str, location: str | None, *, refuses_downgrade: bool = True, one_transport: bool = True
) -> str:
    """``esp_http_client_set_redirection``: the next URL after a 30x (components/esp_http_client/esp_http_client.c).

    Args:
        origin: The URL that redirects.
        location: Its ``Location``.
        refuses_downgrade: An https origin may point to an ``https://`` URL alone; relative targets are refused too.
        one_transport: The transport of the first URL stays, whatever scheme the next one has.

    Raises:
        HttpsOtaError: ESP_ERR_INVALID_ARG without a usable Location; ESP_ERR_HTTP_REDIRECT_DOWNGRADE.
    """
    if not location:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "redirected without a Location header")
    source = urlsplit(origin)
    if refuses_downgrade and source.scheme == "https" and not location.lower().startswith("https://"):
        what = "redirected from https to {location}"
        raise HttpsOtaError(EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE, what, location=location)
    if location.startswith("/"):
        return f"{source.scheme}://{source.netloc}{location}"
    target = parse_url(location)
    if target is None:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "redirected to {location}, no URL", location=location)
    if one_transport and source.scheme != target.scheme:
        # A plain client stays plain and one of TLS stays so, on the port that the new scheme implies.
        netloc = target.netloc if target.port else f"{target.netloc}:{_DEFAULT_PORTS[target.scheme]}"
        return target._replace(scheme=source.scheme, netloc=netloc).geturl()
    return location


def request_error(method: str, url: str, buffer_size_tx: int, *, header_too_long: bool) -> HttpsOtaError | None:
    """``esp_http_client_request_send``: what is wrong with a request that does not fit the buffer for sending.

    The request line must fit, and the first header behind it: an older release sends nothing then, and waits.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    line = len(f"{method} {target} {_PROTOCOL}\r\n")
    if line >= buffer_size_tx:
        what = "the request line has {found} bytes, the buffer for sending {expected}"
        return HttpsOtaError(EspErr.ESP_FAIL, what, found=line, expected=buffer_size_tx)
    if line + len(f"User-Agent: {USER_AGENT}\r\n") + 3 <= buffer_size_tx:
        return None
    if not header_too_long:
        return _no_header_in_time(0)
    what = "no header fits behind the request line of {found} bytes, the buffer for sending has {expected}"
    return HttpsOtaError(EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG, what, found=line, expected=buffer_size_tx)


class HttpClient:
    """``esp_http_client``: the connection of one ``esp_https_ota`` handle.

    Attributes:
        url: where the next request goes; a redirect changes it.
        status: of the last response, -1 before it.
        content_length: of the last response, -1 when unknown, chunked or no number.
        total_length: ``esp_http_client_get_content_range``, the whole that the last response is a part of, else -1.
        received: bytes of its body read so far.
        connections: how often a connection was made; a request on one that is open makes none.
    """

    def __init__(self, config: HttpClientConfig, fetch: Fetch, features: HttpClientFeatures = NEWEST) -> None:
        """``esp_http_client_init``. Raises ``HttpsOtaError`` (ESP_FAIL) for an URL that does not parse."""
        if parse_url(config.url) is None:
            raise HttpsOtaError(EspErr.ESP_FAIL, "{url!r} is no http or https URL", url=config.url)
        self.url = config.url
        self.status = -1
        self.content_length = -1
        self.total_length = -1
        self.received = 0
        self.connections = 0
        self._config = config
        self._fetch = fetch
        self._features = features
        self._headers = {"User-Agent": USER_AGENT}
        self._exchange = AsyncExitStack()
        self._response: Response | None = None
        self._ended = False
        self._connected = False
        self._lost: FetchError | None = None  # the other side is gone from a connection that is still open here

    # ----------------------------------------------------------------------------------------------------- requests

    def set_header(self, name: str, value: str) -> None:
        """``esp_http_client_set_header``: every request from now on carries it."""
        self._headers[name] = value

    def delete_header(self, name: str) -> None:
        """``esp_http_client_delete_header``."""
        self._headers.pop(name, None)

    async def open(self, method: str = "GET") -> None:
        """``esp_http_client_open`` and ``esp_http_client_fetch_headers``: send the request, read status and headers.

        A connection that was not closed is used again.

        Raises:
            HttpsOtaError: ESP_ERR_HTTP_CONNECT; ESP_ERR_HTTP_WRITE_DATA and ESP_FAIL when the server is gone;
                ESP_ERR_HTTP_HEADER_TOO_LONG; a code outside the name table when no header comes in time.
        """
        await self._leave()
        if self._connected and self._lost is not None:
            raise _lost_error(self._lost)
        if not self._connected:
            self.connections += 1
            self._connected = True
        too_long = self._features.header_too_long
        refused = request_error(method, self.url, self._config.buffer_size_tx, header_too_long=too_long)
        if refused is not None:
            raise refused
        headers = dict(self._headers) if method == "GET" else {METHOD: method, **self._headers}
        try:
            self._response = await self._exchange.enter_async_context(self._fetch(self.url, headers))
        except FetchError as error:
            raise _open_error(error) from error
        self.status = self._response.status
        length, encoding = self._header("content-length"), self._header("transfer-encoding")
        self.content_length = _content_length(length, encoding)
        self.total_length = _total_length(self._header("content-range"))
        self.received = 0
        self._ended = method == "HEAD"
        self._lost = _closed_by_fin() if "close" in self._header("connection").lower() else None

    async def perform(self, method: str) -> None:
        """``esp_http_client_perform``: the whole exchange, redirects and body included.

        Raises:
            HttpsOtaError: ESP_ERR_HTTP_MAX_REDIRECT after ten redirects, ESP_ERR_HTTP_EAGAIN when no header comes in
                time, ESP_ERR_HTTP_FETCH_HEADER, ESP_FAIL for a redirect that leads nowhere, and what ``open`` says.
        """
        redirects = 0
        while True:
            try:
                await self.open(method)
            except HttpsOtaError as error:
                raise _perform_error(error) from error
            if 200 <= self.status < 300:
                break
            if redirects >= MAX_REDIRECT:
                what = "{found} redirects, and the next answer is {status}"
                raise HttpsOtaError(EspErr.ESP_ERR_HTTP_MAX_REDIRECT, what, found=redirects, status=self.status)
            if self.status not in REDIRECTS:
                break
            try:
                await self.follow()
            except HttpsOtaError as error:
                raise HttpsOtaError(EspErr.ESP_FAIL, "{why}", why=str(error)) from error
            redirects += 1
        await self._drain()
        if not self.is_persistent_connection():
            await self.close()

    async def follow(self) -> None:
        """``esp_http_client_set_redirection``, and what is left of the body of the 30x is read.

        Another host or port closes the connection; the same ones use it again, also when the server does not want to.
        Another host is addressed without its port and without permissions, another port under the old name. Raises
        ``HttpsOtaError``.
        """
        features = self._features
        target = redirection(
            self.url,
            self._header("location"),
            refuses_downgrade=features.refuses_downgrade,
            one_transport=features.one_transport,
        )
        old, new = urlsplit(self.url), urlsplit(target)
        if old.hostname != new.hostname:
            self._headers["Host"] = new.hostname or ""
            self.delete_header("Authorization")
        elif _port(old) != _port(new):
            self._headers.setdefault("Host", _host_header(old))
        if (old.hostname, _port(old)) == (new.hostname, _port(new)):
            await self._drain()
        else:
            await self.close()
        self.url = target
        await asyncio.sleep(_ROUND_TRIP_S)

    async def close(self) -> None:
        """``esp_http_client_close``."""
        self._connected = False
        self._lost = None
        await self._leave()

    async def _leave(self) -> None:
        """The exchange is over; upstream's connection may outlive it, the door's does not."""
        self._response = None
        await self._exchange.aclose()

    # ----------------------------------------------------------------------------------------------------- response

    def is_persistent_connection(self) -> bool:
        """``esp_http_client_is_persistent_connection``: the server keeps it, as far as its headers say."""
        return self._connected and self._lost is None

    async def read(self, limit: int) -> bytes:
        """``esp_http_client_read``: at most ``limit`` bytes of image data, ``b""`` at the end of the response.

        Bytes beyond Content-Length are not image data. Raises ``FetchError``, also for a body that ends before it.
        """
        if self._response is None or self._ended:
            return b""
        if self.content_length >= 0:
            limit = min(limit, self.content_length - self.received)
        data = await self._response.read(limit) if limit else b""
        self.received += len(data)
        self._ended = not data
        if self._ended and self.received < self.content_length:
            self._lost = _closed_by_fin()
            raise self._lost
        return data

    def is_complete_data_received(self) -> bool:
        """``esp_http_client_is_complete_data_received``: all of Content-Length, or without one the clean end."""
        return self._ended if self.content_length < 0 else self.received == self.content_length

    async def _drain(self) -> None:
        """Read what is left of a body that nobody wants; a failure shows at the next request."""
        try:
            while await self.read(_DRAIN_STEP):
                pass
        except FetchError as error:
            self._lost = error

    def _header(self, name: str) -> str:
        return "" if self._response is None else self._response.headers.get(name, "")


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _host_header(parts: SplitResult) -> str:
    name, port = parts.hostname or "", _port(parts)
    return name if port in _DEFAULT_PORTS.values() else f"{name}:{port}"


def failed_to_open(error: HttpsOtaError) -> bool:
    """Whether ``HttpClient.open`` failed before the response header was waited for."""
    return "code" not in error.fact and not (error.err is EspErr.ESP_FAIL and "errno" in error.fact)


def _closed_by_fin() -> FetchError:
    return FetchError("closed", "the server closed the connection")


def _open_error(error: FetchError) -> HttpsOtaError:
    number = newlib.from_host(error.errno)
    if error.kind == "timeout":
        return _no_header_in_time(number)
    if error.kind == "closed":
        return HttpsOtaError(EspErr.ESP_FAIL, "the server closed before its response header", errno=number)
    return HttpsOtaError(EspErr.ESP_ERR_HTTP_CONNECT, "{why}", why=str(error), errno=number)


def _no_header_in_time(number: int) -> HttpsOtaError:
    # esp_http_client_fetch_headers negates its code, which no table of names knows.
    return HttpsOtaError(
        EspErr.ESP_FAIL, "no response header in time", errno=number, code=-int(EspErr.ESP_ERR_HTTP_EAGAIN)
    )


def _lost_error(lost: FetchError) -> HttpsOtaError:
    """A connection is used again whose other side is gone: writing tells it at once, or reading does."""
    number = newlib.from_host(lost.errno)
    if number:
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_WRITE_DATA, "the connection was lost before", errno=number)
    return HttpsOtaError(EspErr.ESP_FAIL, "the server had closed the connection", errno=number)


def _perform_error(error: HttpsOtaError) -> HttpsOtaError:
    """``esp_http_client_perform`` has its own codes for a response that does not come."""
    if "code" in error.fact:
        fact = {name: value for name, value in error.fact.items() if name != "code"}
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_EAGAIN, error.what, **fact)
    if not failed_to_open(error):
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_FETCH_HEADER, error.what, **error.fact)
    return error


def _content_length(length: str, transfer_encoding: str) -> int:
    if not length.strip().isdecimal() or "chunked" in transfer_encoding.lower():
        return -1
    return int(length)


def _total_length(content_range: str) -> int:
    found = _CONTENT_RANGE.match(content_range)
    return int(found[1]) if found else -1
