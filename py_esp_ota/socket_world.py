"""The world of real sockets: a broker, HTTPS, the clock of the host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import httpx2

from py_esp_ota.adapters.asgi import AsgiApp
from py_esp_ota.adapters.broker import open_broker
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.http import HttpFetch, serve
from py_esp_ota.adapters.http_post import HttpPost
from py_esp_ota.adapters.lives import OnEnd
from py_esp_ota.errors import MqttError
from py_esp_ota.posix import lacks_posix
from py_esp_ota.world import OpenWorld, Presence, World

BrokerKind = Literal["mosquitto", "embedded"]


@asynccontextmanager
async def _socket_world(
    app: AsgiApp,
    presence: Presence,
    *,
    folder: Path,
    prefer: BrokerKind | None,
    https_host: str,
    https_port: int,
    mqtt_port: int,
    names: Sequence[str],
    on_end: OnEnd | None,
) -> AsyncIterator[World]:
    if reason := lacks_posix("a broker on real sockets"):
        raise MqttError(reason)
    ca = LocalCa(folder)
    certificate = ca.server(https_host, names)
    async with (
        open_broker(
            folder, ca, prefer=prefer, port=mqtt_port, address=https_host, names=names, on_end=on_end
        ) as broker,
        serve(
            app,
            host=https_host,
            port=https_port,
            certfile=certificate.cert,
            keyfile=certificate.key,
            beyond_loopback=True,
            name=next(iter(names), None),
            on_end=on_end,
        ) as url,
        HttpFetch(ca.ca_file, hosts=dict.fromkeys(names, https_host)) as fetch,
        httpx2.AsyncClient(base_url=_at(url, https_host), verify=fetch.ssl_context, trust_env=False) as api,
    ):
        broker.on_presence(presence)
        yield World(
            mode="sockets",
            broker=broker.name,
            broker_port=broker.port,
            basic_ingest=broker.basic_ingest,
            clock=SystemClock(),
            mqtt=broker.mqtt,
            session=broker.session,
            fetch=fetch,
            api=api,
            public_url=url,
            post=HttpPost(),
        )


def socket_world(
    folder: Path,
    *,
    prefer: BrokerKind | None = None,
    https_host: str = "127.0.0.1",
    https_port: int = 0,
    mqtt_port: int = 0,
    names: Sequence[str] = (),
    on_end: OnEnd | None = None,
) -> OpenWorld:
    """A real broker and real HTTPS, on loopback by default, with a local CA kept in ``folder``.

    Who enters it gets ``MqttError`` on Windows, or when the broker does not start.

    Args:
        folder: where the CA, certificates and the broker's configuration are kept.
        prefer: which broker; Mosquitto when installed, else the embedded one, when not given.
        https_host: where HTTPS listens, and Mosquitto beside 127.0.0.1. Beyond loopback, what ``app`` shows there is
            the caller's to close.
        https_port: 0 takes a free one.
        mqtt_port: 0 takes a free one.
        names: what else the certificates are for; the first one stands in the URLs that nodes are given.
        on_end: called with one sentence when the broker or the HTTPS server ends by itself.
    """
    return partial(
        _socket_world,
        folder=folder,
        prefer=prefer,
        https_host=https_host,
        https_port=https_port,
        mqtt_port=mqtt_port,
        names=names,
        on_end=on_end,
    )


def _at(url: str, host: str) -> str:
    """The same URL by the address, which this machine knows whatever its resolver says of the name."""
    return str(httpx2.URL(url).copy_with(host=host))
