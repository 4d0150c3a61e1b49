"""The part of ``esp_http_client`` that ``esp_https_ota`` drives: one request at a time, redirects taken by hand."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError
from py_esp_ota.idf import newlib
from py_esp_ota.idf.esp_http_client.auth import AuthType, as_in_c
from py_esp_ota.idf.esp_http_client.authorization import Authorization, EspRandom, Methods
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig, authorization_retries
from py_esp_ota.idf.esp_http_client.features import http_client_features
from py_esp_ota.idf.esp_http_client.headers import content_length, content_range, is_chunked, parser_error
from py_esp_ota.idf.esp_http_client.request import USER_AGENT, request_error
from py_esp_ota.idf.esp_http_client.url import (
    has_transport,
    host_header,
    parse_url,
    port_of,
    redirection,
    request_target,
    without_userinfo,
)
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import METHOD, Fetch, Response
from py_esp_ota.sdkconfig import Sdkconfig

TAG = "HTTP_CLIENT"
MAX_REDIRECT = 10

_REDIRECTS = frozenset({301, 302, 307})
_REDIRECTS_TOO = frozenset({303, 308})
_UNAUTHORIZED = 401
_WITHOUT_BODY = frozenset({204, 304})
_DRAIN_STEP = 256
_C_SPACE = " \t\n\v\f\r"
# One round trip: without it a server that redirects for ever would stop virtual time.
_ROUND_TRIP_S = 0.001
_DEFAULT_BUILD = Sdkconfig()


def no_noise() -> int:
    """``esp_random`` of a device whose noise nobody gave: the same bits for ever."""
    return 0


class HttpClient:
    """``esp_http_client``: the connection of one ``esp_https_ota`` handle.

    Attributes:
        url: where the next request goes, without name and password; a redirect changes it.
        status: of the last response, -1 before it.
        content_length: of the last response, -1 when unknown, chunked or no number.
        total_length: ``esp_http_client_get_content_range``, the whole that a response is a part of: of the last one
            that had a Content-Range, -1 for one that does not say it, 0 before there was any.
        received: bytes of its body read so far.
        connections: how often a connection was made; a request on one that is open makes none.
    """

    def __init__(
        self,
        config: HttpClientConfig,
        fetch: Fetch,
        build: Sdkconfig = _DEFAULT_BUILD,
        *,
        log: Log | None = None,
        esp_random: EspRandom = no_noise,
    ) -> None:
        """``esp_http_client_init``. Raises ``HttpsOtaError`` (ESP_FAIL) for an URL that does not parse.

        Args:
            config: What an app says.
            fetch: The way out.
            build: Which challenges are answered, and by which release.
            log: Where errors and warnings are printed.
            esp_random: Noise for the answers to Digest challenges.
        """
        self._log = log
        url = parse_url(config.url)
        if url is None:
            host_is_missing = config.url.startswith(("/", "*"))
            lines = ["invalid host"] if host_is_missing else [f"Error parse url {config.url}", "Failed to set URL"]
            for line in lines:
                self._print("E", line)
            raise HttpsOtaError(EspErr.ESP_FAIL, "{url!r} is no http or https URL", url=config.url)
        self.url = without_userinfo(url)
        self.status = -1
        self.content_length = -1
        self.total_length = 0
        self.received = 0
        self.connections = 0
        self._config = config
        self._fetch = fetch
        self._features = features = http_client_features(build.idf_version)
        methods = Methods.of(build, features)
        self._authorization = Authorization(
            config.auth_type, config.username, config.password, methods, features, esp_random
        )
        self._authorization.of_url(url)
        self._asked_for_authorization: str | None = None
        self._redirects = 0  # and challenges, which upstream counts together
        self._method = "GET"
        self._headers = {"User-Agent": USER_AGENT}
        self._exchange = AsyncExitStack()
        self._response: Response | None = None
        self._ended = False
        self._connected = False
        self._keep_alive = False
        self._lost: FetchError | None = None  # the other side is gone from a connection that is still open here

    # ----------------------------------------------------------------------------------------------------- requests

    def set_header(self, name: str, value: str) -> None:
        """``esp_http_client_set_header``: every request from now on carries it; the spelling of a name stays."""
        self._headers[self._spelled(name)] = value.strip(_C_SPACE)

    def delete_header(self, name: str) -> None:
        """``esp_http_client_delete_header``."""
        self._headers.pop(self._spelled(name), None)

    def set_username(self, username: str | None) -> None:
        """``esp_http_client_set_username``."""
        self._authorization.username = as_in_c(username)

    def set_password(self, password: str | None) -> None:
        """``esp_http_client_set_password``."""
        self._authorization.password = as_in_c(password)

    def set_authtype(self, auth_type: AuthType) -> None:
        """``esp_http_client_set_authtype``."""
        self._authorization.type = auth_type

    def _spelled(self, name: str) -> str:
        return next((known for known in self._headers if known.lower() == name.lower()), name)

    async def open(self, method: str = "GET", *, connects: bool = True) -> None:
        """``esp_http_client_open`` and ``esp_http_client_fetch_headers``: send the request, read status and headers.

        A connection that was not closed is used again. Without ``connects`` it must be there:
        ``esp_http_client_prepare`` and ``esp_http_client_request_send``.

        Raises:
            HttpsOtaError: ESP_ERR_HTTP_INVALID_TRANSPORT for another scheme; ESP_ERR_HTTP_CONNECT;
                ESP_ERR_HTTP_WRITE_DATA and ESP_FAIL when the server is gone; ESP_ERR_HTTP_HEADER_TOO_LONG; ESP_FAIL
                for a header that is no HTTP; a code outside the name table when no header comes in time.
        """
        await self._leave()
        self._method = method
        self._prepare()
        self._keep_alive = False
        if self._connected and self._lost is not None:
            raise self._lost_error(self._lost)
        if not self._connected and not connects:
            self._print("E", "Error write request")
            raise HttpsOtaError(EspErr.ESP_ERR_HTTP_WRITE_DATA, "there is no connection any more")
        if not self._connected:
            self._require_transport()
            self.connections += 1
            self._connected = True
        self._require_that_it_fits()
        headers = dict(self._headers) if method == "GET" else {METHOD: method, **self._headers}
        try:
            self._response = await self._exchange.enter_async_context(self._fetch(self.url, headers))
        except FetchError as error:
            raise self._open_error(error) from error
        await self._read_headers()

    def _prepare(self) -> None:
        """``esp_http_client_prepare``."""
        if self._features.forgets_challenge:
            self._asked_for_authorization = None
        answer, warning = self._authorization.answer(request_target(self.url))
        if warning is not None and self._log is not None:
            self._log.warning("HTTP_AUTH", warning)
        if answer is not None:
            self.set_header("Authorization", answer)

    def _require_transport(self) -> None:
        if not has_transport(urlsplit(self.url)):
            self._print("E", "No transport found")
            raise HttpsOtaError(EspErr.ESP_ERR_HTTP_INVALID_TRANSPORT, "{url} is no http or https URL", url=self.url)

    def _require_that_it_fits(self) -> None:
        lines, error = request_error(self._method, self.url, self._headers, self._config.buffer_size_tx)
        if self._log is not None:
            self._log.block([("E", "HTTP_HEADER", line) for line in lines])
        if error is None:
            return
        if error.err is EspErr.ESP_FAIL:
            self._print("E", "Out of buffer")
        elif not self._features.header_too_long:
            raise self._no_header_in_time(0)  # nothing is sent then, and waited for
        raise error

    async def _read_headers(self) -> None:
        if self._response is None:
            raise AssertionError("there is a response here")
        self.status = self._response.status
        length, encoding = self._header("content-length"), self._header("transfer-encoding")
        self.content_length = content_length(length, encoding)
        self.received = 0
        self._ended = self._method == "HEAD"
        self._keep_alive = not self._closes() and not self._ends_with_connection()
        self._lost = _closed_by_fin() if self._closes() else None
        if fault := parser_error(length, encoding):
            raise await self._parser_error(fault)
        if part := self._header("content-range"):
            self.total_length, unclear = content_range(part)
            if unclear is not None:
                self._print("E", unclear)
        if asked := self._header("www-authenticate"):
            self._asked_for_authorization = (self._asked_for_authorization or "") + asked

    async def perform(self, method: str) -> None:
        """``esp_http_client_perform``: the whole exchange, redirects, challenges and body included.

        Raises:
            HttpsOtaError: ESP_ERR_HTTP_MAX_REDIRECT after ten redirects and challenges, ESP_ERR_HTTP_EAGAIN when no
                header comes in time, ESP_ERR_HTTP_FETCH_HEADER, ESP_ERR_HTTP_INCOMPLETE_DATA for a body that breaks
                off, and what ``open``, ``set_redirection`` and ``add_auth`` say.
        """
        again = True
        while again:
            try:
                await self.open(method)
            except HttpsOtaError as error:
                raise _perform_error(error) from error
            endless = self._ends_with_connection()
            try:
                again = await self._check_response()
            except HttpsOtaError:
                self._print("E", "Error response")
                raise
            broken = await self._drain() or (_closed_by_fin() if endless else None)
            if not self.is_persistent_connection():
                await self.close()
            if broken is not None and self._features.incomplete_data:
                raise self._incomplete_data(broken)
            if again:
                await asyncio.sleep(_ROUND_TRIP_S)

    async def _check_response(self) -> bool:
        """``esp_http_check_response``: whether there is another request to make."""
        features = self._features
        if 200 <= self.status < 300:
            if features.resets_counter:
                self._redirects = 0
            return False
        if self._redirects >= MAX_REDIRECT:
            self._print("E", f"Error, reach max_redirection_count count={self._redirects}")
            what = "{found} redirects, and the next answer is {status}"
            raise HttpsOtaError(EspErr.ESP_ERR_HTTP_MAX_REDIRECT, what, found=self._redirects, status=self.status)
        if self.status in _REDIRECTS or (features.follows_303_and_308 and self.status in _REDIRECTS_TOO):
            await self._redirect_or_not()
            return True
        if self.status != _UNAUTHORIZED:
            return False
        try:
            self.add_auth()
        except HttpsOtaError:
            if features.auth_errors:
                raise
            return False
        return True

    async def _redirect_or_not(self) -> None:
        """Older releases ask the same URL again when a redirect leads nowhere."""
        features = self._features
        if not features.checks_redirect:
            self._redirects += 1
        try:
            await self.set_redirection()
        except HttpsOtaError as error:
            if features.refuses_downgrade:
                raise
            if features.checks_redirect:
                raise HttpsOtaError(EspErr.ESP_FAIL, "{why}", why=str(error)) from error

    async def set_redirection(self) -> None:
        """``esp_http_client_set_redirection``. The body of the 30x is still to be read; raises ``HttpsOtaError``.

        Another host or port closes the connection; the same ones use it again, also when the server does not want to.
        Another host is addressed without its port and told no secrets, another port under the old name.
        """
        features, location = self._features, self._header("location")
        rules = {"refuses_downgrade": features.refuses_downgrade, "one_transport": features.one_transport}
        try:
            target = redirection(self.url, location, **rules)
        except HttpsOtaError as error:
            if error.err is EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE:
                what = f"HTTPS origin can only redirect to https:// targets (got {location})."
                self._print("E", f"{what} Set disable_auto_redirect and handle manually if intended.")
            elif location:
                self._print("E", f"Error parse url {location}")
            raise
        old, new = urlsplit(self.url), urlsplit(target)
        if old.hostname != new.hostname:
            self.set_header("Host", new.hostname or "")
            if features.drops_credentials:
                self.delete_header("Authorization")
                self._authorization.forget()
                self._asked_for_authorization = None
        elif port_of(old) != port_of(new):
            self._headers.setdefault(self._spelled("Host"), host_header(old))
        if (old.hostname, port_of(old)) != (new.hostname, port_of(new)):
            await self.close()
        self._authorization.of_url(new)
        self.url = without_userinfo(new)
        if features.checks_redirect:
            self._redirects += 1

    def add_auth(self) -> None:
        """``esp_http_client_add_auth``: the next request answers the challenge of a 401.

        Raises:
            HttpsOtaError: ESP_FAIL when there were too many challenges and redirects, ESP_ERR_NOT_SUPPORTED without a
                challenge, and for one that this build has no answer to.
        """
        if self._redirects >= authorization_retries(self._config.max_authorization_retries):
            self._print("E", f"Error, reached max_authorization_retries count={self._redirects}")
            what = "{found} redirects and challenges, and the next answer is {status}"
            raise HttpsOtaError(EspErr.ESP_FAIL, what, found=self._redirects, status=self.status)
        if self._asked_for_authorization is None:
            self._authorization.type = "none"
            text = "This request requires authentication, but does not provide header information for that"
            self._print("W", text)
            raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "HTTP status {status}, no challenge", status=self.status)
        asked = self._asked_for_authorization.strip(_C_SPACE)
        self._redirects += 1
        if not self._authorization.take(asked, self._method):
            self._print("E", f"This authentication method is not supported: {asked}")
            what = "HTTP status {status}, and no answer to {asked!r}"
            raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, what, status=self.status, asked=asked)

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
        """``esp_http_client_is_persistent_connection``: the server keeps it, as far as its headers say.

        They may be those of a connection that was closed for a redirect.
        """
        return self._keep_alive

    def _ends_with_connection(self) -> bool:
        """``http_message_needs_eof``."""
        if self._method == "HEAD" or self.status // 100 == 1 or self.status in _WITHOUT_BODY:
            return False
        return self.content_length < 0 and not is_chunked(self._header("transfer-encoding"))

    async def read(self, limit: int) -> bytes:
        """``esp_http_client_read``: at most ``limit`` bytes of image data, ``b""`` at the end of the response.

        Bytes beyond Content-Length are not image data. Raises ``FetchError``, also for a body that ends before it.
        """
        if self._response is None or self._ended:
            return b""
        if self.content_length >= 0:
            limit = min(limit, self.content_length - self.received)
        try:
            data = await self._response.read(limit) if limit else b""
        except FetchError as error:
            if self._features.parser_errors and self._is_cut_chunk(error):
                self._print("E", "HTTP parser error: stream ended at an unexpected time")
            raise
        self.received += len(data)
        self._ended = not data
        if self._ended and self._ends_with_connection():
            self._lost = _closed_by_fin()
        if self._ended and self.received < self.content_length:
            self._lost = _closed_by_fin()
            raise self._lost
        return data

    def is_complete_data_received(self) -> bool:
        """``esp_http_client_is_complete_data_received``: all of Content-Length, or without one the clean end."""
        return self._ended if self.content_length < 0 else self.received == self.content_length

    async def pass_over(self) -> None:
        """Read what is left of a body that nobody wants; a failure shows at the next request."""
        await self._drain()
        await asyncio.sleep(_ROUND_TRIP_S)

    async def _drain(self) -> FetchError | None:
        try:
            while await self.read(_DRAIN_STEP):
                pass
        except FetchError as error:
            self._lost = error
            return error
        return None

    def _is_cut_chunk(self, error: FetchError) -> bool:
        return error.kind == "closed" and not error.errno and is_chunked(self._header("transfer-encoding"))

    def _closes(self) -> bool:
        return "close" in self._header("connection").lower()

    def _header(self, name: str) -> str:
        return "" if self._response is None else self._response.headers.get(name, "")

    # ------------------------------------------------------------------------------------------------------- failures

    def _open_error(self, error: FetchError) -> HttpsOtaError:
        number = newlib.from_host(error.errno)
        if error.kind == "timeout":
            return self._no_header_in_time(number)
        if error.kind == "closed":
            return HttpsOtaError(EspErr.ESP_FAIL, "the server closed before its response header", errno=number)
        self._print("E", "Connection failed, sock < 0")
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_CONNECT, "{why}", why=str(error), errno=number)

    def _no_header_in_time(self, number: int) -> HttpsOtaError:
        if not self._features.header_timeout:
            return HttpsOtaError(EspErr.ESP_FAIL, "no response header in time", errno=number)
        self._print("W", "Connection timed out before data was ready!")
        # esp_http_client_fetch_headers negates its code, which no table of names knows.
        code = -int(EspErr.ESP_ERR_HTTP_EAGAIN)
        return HttpsOtaError(EspErr.ESP_FAIL, "no response header in time", errno=number, code=code)

    async def _parser_error(self, fault: str) -> HttpsOtaError:
        """``http_parser`` looks at nothing after a fault: older releases wait for more, until the server goes."""
        what = "no HTTP: {fault}"
        if self._features.parser_errors:
            self._print("E", f"HTTP parser error: {fault}")
        else:
            closes, self.content_length = self._closes(), -1
            await self._drain()
            if not closes:
                return self._no_header_in_time(0)
        return HttpsOtaError(EspErr.ESP_FAIL, what, fault=fault, errno=0)

    def _lost_error(self, lost: FetchError) -> HttpsOtaError:
        """A connection is used again whose other side is gone: writing tells it at once, or reading does."""
        number = newlib.from_host(lost.errno)
        if number:
            self._print("E", "Error write request")
            return HttpsOtaError(EspErr.ESP_ERR_HTTP_WRITE_DATA, "the connection was lost before", errno=number)
        return HttpsOtaError(EspErr.ESP_FAIL, "the server had closed the connection", errno=number)

    def _incomplete_data(self, broken: FetchError) -> HttpsOtaError:
        """What a read returns is compared with codes that it never is: no other cause is ever told."""
        found = 0 if broken.kind == "timeout" else -2 if broken.errno else -1
        if self.content_length < 0:
            self._print("E", f"Incomplete chunked data received {found}")
        else:
            progress = f"{self.received}/{self.content_length} bytes"
            self._print("E", f"Incomlete data received, ret={found}, {progress}")
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_INCOMPLETE_DATA, "{why}", why=str(broken))

    def _print(self, level: str, text: str) -> None:
        if self._log is not None:
            self._log.block([(level, TAG, text)])


def failed_to_open(error: HttpsOtaError) -> bool:
    """Whether ``HttpClient.open`` failed before the response header was waited for."""
    return "code" not in error.fact and not (error.err is EspErr.ESP_FAIL and "errno" in error.fact)


def _closed_by_fin() -> FetchError:
    return FetchError("closed", "the server closed the connection")


def _perform_error(error: HttpsOtaError) -> HttpsOtaError:
    """``esp_http_client_perform`` has its own codes for a response that does not come."""
    if "code" in error.fact:
        fact = {name: value for name, value in error.fact.items() if name != "code"}
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_EAGAIN, error.what, **fact)
    if not failed_to_open(error):
        return HttpsOtaError(EspErr.ESP_ERR_HTTP_FETCH_HEADER, error.what, **error.fact)
    return error
