"""HTTP over real sockets: a client that trusts one CA, and a server on loopback."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from socket import AddressFamily, create_server, socket
from types import MappingProxyType
from typing import Self

import h11
import httpx2
import uvicorn

from py_esp_ota.adapters.asgi import AsgiApp
from py_esp_ota.adapters.body import TIMEOUT, Body, BodyResponse, lower_headers, request_headers
from py_esp_ota.adapters.http_exchange import Exchange
from py_esp_ota.adapters.lives import OnEnd, watch
from py_esp_ota.adapters.open_files import open_files
from py_esp_ota.adapters.patience import HEADER_S, PatientProtocol, connections
from py_esp_ota.errors import FetchError
from py_esp_ota.ports import Response


class HttpFetch:
    """``Fetch`` over TCP and TLS. Chain and host name are verified, proxies of the environment ignored.

    Each request has its own connection, as each download of the chip has.

    Args:
        ca_file: the PEM file of the only CA to trust; the system's trust store when not given.
        timeout: seconds for each step: connect with TLS, send, response header, each read.
        hosts: addresses of names, as /etc/hosts has them; a server's certificate must carry the address, too.
    """

    def __init__(
        self,
        ca_file: Path | str | None = None,
        *,
        timeout: float = TIMEOUT,
        hosts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.ssl_context = ssl.create_default_context(cafile=ca_file)
        self.ssl_context.set_alpn_protocols(["http/1.1"])
        self._timeout = timeout
        self._hosts = hosts

    async def __aenter__(self) -> Self:
        """Nothing to open: each request opens a connection."""
        return self

    async def __aexit__(self, *_raised: object) -> None:
        """Nothing to close: each response closes its connection."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        """Send the request while the context is entered."""
        return self._exchange(url, headers)

    @asynccontextmanager
    async def _exchange(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        request = self._request(url, headers)
        exchange = await self._connected(request)
        try:
            answer = await self._answered(exchange, request)
            body = Body(self._timeout)
            pump = asyncio.create_task(_pump(exchange, body), name=f"GET {url}")
            try:
                yield BodyResponse(answer.status_code, lower_headers(list(answer.headers)), body)
            finally:
                pump.cancel()
                await asyncio.wait([pump])
        finally:
            exchange.close()

    def _request(self, url: str, headers: Mapping[str, str]) -> httpx2.Request:
        method, sent = request_headers(headers)
        try:
            request = httpx2.Request(method, url, headers=sent)  # its Host is the name
            if request.url.host in self._hosts:
                request.url = request.url.copy_with(host=self._hosts[request.url.host])
        except httpx2.InvalidURL as error:
            raise FetchError("connect", str(error)) from error
        return request

    async def _connected(self, request: httpx2.Request) -> Exchange:
        try:
            async with asyncio.timeout(self._timeout):
                return await Exchange.connect(request.url, self.ssl_context)
        except TimeoutError as error:
            if error.errno:  # the kernel's patience was at its end before ours
                raise _fetch_error("connect", error) from error
            raise FetchError("connect", f"no connection within {self._timeout:g} s", errno.ETIMEDOUT) from None
        except (OSError, ValueError) as error:
            raise _fetch_error("connect", error) from error

    async def _answered(self, exchange: Exchange, request: httpx2.Request) -> h11.Response:
        """Status and headers of the response; sending and waiting for them have a deadline each."""
        try:
            async with asyncio.timeout(self._timeout):
                await exchange.send(exchange.check(request))
            async with asyncio.timeout(self._timeout):
                return await exchange.answer()
        except TimeoutError:
            raise FetchError("timeout", f"no response header came for {self._timeout:g} s") from None
        except h11.LocalProtocolError as error:
            raise _fetch_error("connect", error) from error
        except (OSError, h11.RemoteProtocolError) as error:  # a connection that was made and then lost is a lost one
            raise _fetch_error("closed", error) from error


async def _pump(exchange: Exchange, body: Body) -> None:
    """Read the connection as fast as the reader's window allows."""
    try:
        await exchange.receive(body)
    except (OSError, h11.RemoteProtocolError) as error:
        body.end(_fetch_error("closed", error))
    except Exception as error:  # noqa: BLE001 - a mistake of ours shows where the body is read, not as a time-out
        body.end(error)
    else:
        body.end()


def _fetch_error(kind: str, error: Exception) -> FetchError:
    return FetchError(kind, str(error) or type(error).__name__, _errno(error))


def _errno(error: BaseException | None) -> int:
    """The POSIX number of the first system error among the causes, else 0."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno and error.errno > 0:
            return error.errno
        if isinstance(error, BaseExceptionGroup):
            return _errno(error.exceptions[0])
        error = error.__cause__ or error.__context__
    return 0


#: So many turns of the loop after asyncio took a connection from the kernel, the protocol knows of it.
_LET_IN = 4


class _Server(uvicorn.Server):
    """A server that lives as long as a context, not as long as a process."""

    async def open(self, listener: socket) -> None:
        """As uvicorn's start, which would exit where we raise, and give a TLS handshake a minute.

        Raises:
            RuntimeError: the app does not start.
        """
        config = self.config
        config.load()
        self.lifespan = config.lifespan_class(config)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the app refused to start; its log says why")
        server = await asyncio.get_running_loop().create_server(
            partial(PatientProtocol, config=config, server_state=self.server_state, app_state=self.lifespan.state),
            sock=listener,
            ssl=config.ssl,
            backlog=config.backlog,
            ssl_handshake_timeout=HEADER_S if config.ssl else None,
        )
        self.servers = [server]
        self.started = True

    async def close(self, listener: socket) -> None:
        """End every connection, those too that are let in at this moment."""
        # asyncio drops whom it took from the kernel before its server closed, and leaves the socket open.
        with suppress(NotImplementedError):  # on Windows, where it has another loop
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(_LET_IN):
            await asyncio.sleep(0)
        # Nobody is left to finish for: a response for ever, as server-sent events are, must not hold the end up.
        for connection in self.server_state.connections:
            connection.transport.abort()
        self.server_state.connections.clear()
        await self.shutdown([listener])


@asynccontextmanager
async def serve(
    app: AsgiApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    certfile: Path | str | None = None,
    keyfile: Path | str | None = None,
    beyond_loopback: bool = False,
    name: str | None = None,
    on_end: OnEnd | None = None,
) -> AsyncIterator[str]:
    """Serve an ASGI app while the context is entered; yields the base URL.

    Args:
        app: the app; its lifespan runs around.
        host: a loopback address or ``localhost``; any one address with ``beyond_loopback``.
        port: 0 takes a free one.
        certfile: with ``keyfile``: serve HTTPS, else HTTP.
        keyfile: the private key, PEM.
        beyond_loopback: for an app that lets nobody in without a password, over HTTPS.
        name: of the host in the URL, in the place of its address.
        on_end: called with one sentence when the server ends by itself.

    Raises:
        ValueError: ``host`` is not loopback, and may not be something else.
        OSError: the port is taken.
    """
    address = address_of(host, beyond_loopback=beyond_loopback and certfile is not None)
    listener = create_server((str(address), port), family=_FAMILY[address.version])
    try:
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            loop="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            limit_concurrency=connections(open_files()),
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
        )
        server = _Server(config)
        await server.open(listener)
        ticker = asyncio.create_task(server.main_loop(), name="uvicorn")
        shown = name or host
        shown = f"[{shown}]" if ":" in shown else shown
        url = f"{'https' if certfile else 'http'}://{shown}:{listener.getsockname()[1]}"
        watch(ticker, f"the server at {url}", on_end)
        try:
            yield url
        finally:
            ticker.cancel()
            await server.close(listener)
    finally:
        listener.close()


_FAMILY = {4: AddressFamily.AF_INET, 6: AddressFamily.AF_INET6}


def address_of(host: str, *, beyond_loopback: bool = False) -> IPv4Address | IPv6Address:
    """The one address of a host that a server may listen on. Raises ``ValueError``."""
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(f"{host!r} is no loopback address: give 127.0.0.1, ::1 or localhost") from None
    if not address.is_loopback and (address.is_unspecified or not beyond_loopback):
        raise ValueError(f"{host} is not loopback: this server has no business on a network")
    return address
