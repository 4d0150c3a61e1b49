"""The broker a world on real sockets uses: Mosquitto when it is installed, else the embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.lives import OnEnd
from py_esp_ota.adapters.mosquitto import find_mosquitto, open_mosquitto
from py_esp_ota.ports import MqttConnect, MqttSessionConnect


class Broker(Protocol):
    """A running MQTT broker."""

    name: str  # which one, for people
    port: int
    basic_ingest: bool  # whether it delivers ``$aws/rules/...`` topics

    @property
    def mqtt(self) -> MqttConnect:
        """The door for nodes; who is called ``cloud`` may use every topic."""

    @property
    def session(self) -> MqttSessionConnect:
        """The door for the cloud, whose client id is ``cloud``."""

    def on_presence(self, callback: Callable[[str, bool], None], /) -> None:
        """Have ``callback(node_id, connected)`` called whenever a node comes or goes."""


@asynccontextmanager
async def open_broker(
    folder: Path,
    ca: LocalCa,
    *,
    prefer: Literal["mosquitto", "embedded"] | None = None,
    port: int = 0,
    address: str = "127.0.0.1",
    names: Sequence[str] = (),
    on_end: OnEnd | None = None,
) -> AsyncIterator[Broker]:
    """Run a broker while the context is entered.

    Args:
        folder: where it may keep its configuration.
        ca: the authority that says who is who.
        prefer: this one and no other; Mosquitto if installed, else the embedded one, when not given.
        port: 0 takes a free one.
        address: where Mosquitto listens beside 127.0.0.1. The embedded one has no TLS, and stays on loopback.
        names: what else Mosquitto's certificate is for.
        on_end: called with one sentence when it ended by itself and could not be started again.

    Raises:
        MqttError: it cannot start.
    """
    if prefer == "mosquitto" or (prefer is None and find_mosquitto()):
        async with open_mosquitto(folder, ca, port=port, address=address, names=names, on_end=on_end) as mosquitto:
            yield mosquitto
    else:
        # Only who needs it pays for its imports.
        from py_esp_ota.adapters.embedded import open_embedded  # noqa: PLC0415

        async with open_embedded(port, on_end=on_end) as embedded:
            yield embedded
