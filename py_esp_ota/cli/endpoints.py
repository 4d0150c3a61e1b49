"""Where a running ``esp-ota serve`` is reached: a file in its folder, for the verbs that meet it there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from py_esp_ota.cli.files import Unusable, read_text, write_output

if TYPE_CHECKING:
    from py_esp_ota.world import World

_FILE = "serve.json"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A server, its broker, and what both are called."""

    url: str  # plain HTTP on loopback: the page and the REST API
    public_url: str  # HTTPS, where nodes download
    mqtt_host: str  # for nodes elsewhere: a name, or an address
    mqtt_address: str  # where it listens, beside 127.0.0.1
    mqtt_port: int
    tls: bool
    basic_ingest: bool

    @classmethod
    def of(cls, url: str, world: World, address: str, names: Sequence[str]) -> Self:
        """Those of a server that serves."""
        tls = world.basic_ingest  # the embedded broker has neither, and stays on loopback
        reached = next(iter(names), address) if tls else _LOOPBACK
        bound = address if tls else _LOOPBACK
        return cls(url, world.public_url, reached, bound, world.broker_port, tls, world.basic_ingest)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Those of the server of this folder. Raises ``Unusable``: none has served from it."""
        file = folder / _FILE
        if not file.is_file():
            raise Unusable(f"no esp-ota serve serves from {folder}: start one, esp-ota serve --data {folder}")
        try:
            return cls(**json.loads(read_text(file, what="a list of endpoints")))
        except (ValueError, TypeError) as error:
            raise Unusable(f"{file} is not what esp-ota serve writes there: {error}") from error

    def write(self, folder: Path) -> None:
        """Into the server's folder, for its owner alone."""
        write_output(folder / _FILE, (json.dumps(asdict(self), indent=2) + "\n").encode(), mode=0o600)

    def where_broker(self) -> str:
        """For people: its port, and the address if it has another than loopback's first."""
        also = "" if self.mqtt_address == _LOOPBACK else f", of {self.mqtt_address} and 127.0.0.1"
        return f"port {self.mqtt_port}{also}"
