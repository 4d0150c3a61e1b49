"""Where a running ``esp-ota serve`` is reached: a file in its folder, for the verbs that meet it there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from py_esp_ota.cli.files import Unusable, read_text, write_output

if TYPE_CHECKING:
    from py_esp_ota.world import World

#: The default of ``esp-ota serve --data``.
SERVE_FOLDER = Path(".esp-ota")
_FILE = "serve.json"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A server, its broker, and what both are called."""

    url: str  # plain HTTP on loopback: the page and the REST API
    public_url: str  # HTTPS, where nodes download
    address: str  # where HTTPS listens, and a broker with TLS beside 127.0.0.1
    mqtt_host: str  # for nodes elsewhere: a name, or an address
    mqtt_port: int
    tls: bool  # of the broker
    basic_ingest: bool

    @classmethod
    def of(cls, url: str, world: World, address: str, names: Sequence[str]) -> Self:
        """Those of a server that serves."""
        tls = world.basic_ingest  # the embedded broker has neither, and stays on loopback
        reached = next(iter(names), address) if tls else _LOOPBACK
        return cls(url, world.public_url, address, reached, world.broker_port, tls, world.basic_ingest)

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
        """For people: its port, and on which addresses when those are not what one expects."""
        if self.address == _LOOPBACK:
            return f"port {self.mqtt_port}"
        if not self.tls:
            return f"port {self.mqtt_port} of loopback alone, for it has no TLS"
        return f"port {self.mqtt_port} of {self.address} and {_LOOPBACK}"

    def hosts(self) -> dict[str, str]:
        """The address of the name in the downloads' URLs, for who is on this machine and asks no resolver."""
        return {urlsplit(self.public_url).hostname or self.address: self.address}
