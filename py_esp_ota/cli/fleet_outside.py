"""Where a fleet over sockets lives: its broker, its devices' credentials, and the cloud in which its job is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from py_esp_ota.adapters.certificates import CLOUD, CertificateFiles, check_node_id
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.credentials import check_current, check_pair, node_name
from py_esp_ota.adapters.crowd import CrowdMqtt
from py_esp_ota.adapters.crowd_tls import CrowdContexts
from py_esp_ota.cli.cloud.login import served_by
from py_esp_ota.cli.cloud.options import cloud_of, connected
from py_esp_ota.cli.cloud.profiles import Profile
from py_esp_ota.cli.endpoints import Endpoints
from py_esp_ota.cli.files import Unusable, read_input
from py_esp_ota.cli.fleet_job import Button
from py_esp_ota.cli.hosts import host_of
from py_esp_ota.cli.node_credentials import asked, authority_of, read_authority
from py_esp_ota.rainmaker import client_data

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud
    from py_esp_ota.cli.fleet_live import LiveWords
    from py_esp_ota.fleet import JobOrder, Member

_PORTS = {"mqtts": client_data.MQTT_PORT_8883, "mqtt": 1883}
_PEM_LIMIT = 1 << 16
_CERTS = (".pem", ".crt", ".cert")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A broker, and who connects to it.

    Attributes:
        names: node ids by the names that the fleet has for its devices.
        files: credentials by node id; none for a broker without TLS.
        cloud: gives the cloud to start a job in; nothing when nobody has logged in to one.
    """

    host: str
    port: int
    names: Mapping[str, str]
    files: Mapping[str, CertificateFiles]
    ca_file: Path | None
    basic_ingest: bool
    cloud: Callable[[], Cloud] | None
    hosts: Mapping[str, str] = field(default_factory=dict)

    def door(self, members: Sequence[Member], *, resume: bool) -> CrowdMqtt:
        """The broker, for all of them."""
        contexts = CrowdContexts(self.ca_file, self.files.__getitem__, alpn=client_data.mqtt_alpn(self.port))
        configs = {member.node_id: member.kind.config for member in members}
        return CrowdMqtt(
            self.host,
            self.port,
            tls=contexts if self.files else None,
            resume=resume,
            timeout=60.0,  # a crowd that connects at once keeps a broker busy
            dollar_topics=self.basic_ingest,
            username=lambda node_id: client_data.get_aws_ppi(configs[node_id], client_data.mac_of(node_id)),
            keep_alive=lambda node_id: configs[node_id].esp_rmaker_mqtt_keep_alive_interval,
        )

    @contextmanager
    def starting(
        self, orders: Sequence[JobOrder], members: Sequence[Member], *, job: bool
    ) -> Iterator[Callable[[], None] | None]:
        """What starts the jobs, its images already in the cloud. Raises what the cloud refuses."""
        if not job or self.cloud is None:
            yield None
            return
        with self.cloud() as cloud:
            yield Button(cloud, orders, members).press


def place_of(words: LiveWords, names: Sequence[str]) -> Place:
    """What a call says. Raises ``Unusable``, ``click.UsageError``."""
    if words.serve is not None:
        return _served(words.serve, names)
    host, port, tls = _broker(words.broker or "")
    if words.ca is not None:
        read_authority(words.ca)
    login = None if words.cloud is None else _login(words.cloud)
    if not tls:
        if words.credentials is not None:
            raise click.UsageError("--nodes has certificates, which a broker without TLS cannot ask for")
        return Place(
            host=host,
            port=port,
            names={name: name for name in names},
            files={},
            ca_file=words.ca,
            basic_ingest=True,
            cloud=login,
        )
    if words.credentials is None:
        raise click.UsageError("a broker with TLS knows devices by their certificates: --nodes DIR")
    found = _credentials(words.credentials)
    if len(found) < len(names):
        raise Unusable(
            f"{words.credentials} has certificates of {len(found)} nodes, and the fleet {len(names)} devices: "
            f"--devices {len(found)}"
            if found
            else f"{words.credentials} has no certificate of a node with its key beside it, as NODE.pem and NODE.key"
        )
    return Place(
        host=host,
        port=port,
        names=dict(zip(names, sorted(found), strict=False)),
        files=found,
        ca_file=words.ca,
        basic_ingest=True,
        cloud=login,
    )


def _served(folder: Path, names: Sequence[str]) -> Place:
    """The ``esp-ota serve`` on this machine, whose CA makes what is missing."""
    at, ca = Endpoints.read(folder), authority_of(folder)

    def admin() -> Cloud:
        profile, password = served_by("fleet", folder)
        cloud = connected(profile)
        cloud.log_in(password)
        return cloud

    return Place(
        host="127.0.0.1",
        port=at.mqtt_port,
        names={name: name for name in names},
        files={name: ca.node(name) for name in names} if at.tls else {},
        ca_file=ca.ca_file,
        basic_ingest=at.basic_ingest,
        cloud=admin,
        hosts=at.hosts(),
    )


def _broker(said: str) -> tuple[str, int, bool]:
    """Host, port, and whether with TLS."""
    try:
        parts = urlsplit(said if "://" in said else f"mqtts://{said}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise click.BadParameter(f"{said!r} is no URL: {error}", param_hint="--broker") from None
    if parts.scheme not in _PORTS or not host or port == 0 or parts.path.strip("/") or parts.username is not None:
        raise click.BadParameter(f"{said!r} is no mqtts://HOST[:PORT] or mqtt://HOST[:PORT]", param_hint="--broker")
    return host_of("--broker", host), port or _PORTS[parts.scheme], parts.scheme == "mqtts"


def _login(said: str) -> Callable[[], Cloud]:
    """A login that is kept, by its name or its cloud. Raises ``Unusable``: there is none."""
    if "://" not in said:
        if Profile.find(said) is None:
            raise Unusable(f"nobody has logged in: esp-ota cloud login --profile {said} --url https://HOST --user NAME")
        return lambda: cloud_of(said)
    profile = Profile.at(said)
    if profile is None:
        raise Unusable(f"nobody has logged in there: esp-ota cloud login --url {said} --user NAME")
    return lambda: connected(profile)


def _credentials(folder: Path) -> dict[str, CertificateFiles]:
    """The certificates of nodes in a folder and those below it, each with its key beside it. Raises ``Unusable``."""
    if not folder.is_dir():
        raise Unusable(f"{folder} is no folder")
    found: dict[str, CertificateFiles] = {}
    for key in sorted(folder.rglob("*.key")):
        cert = next((key.with_suffix(end) for end in _CERTS if key.with_suffix(end).is_file()), None)
        name = None if cert is None else _node_of(cert, key)
        if cert is None or name is None:
            continue
        if name in found:
            raise Unusable(f"{found[name].cert} and {cert} are both certificates of node {name}")
        found[name] = CertificateFiles(cert, key)
    return found


def _node_of(cert: Path, key: Path) -> str | None:
    """Whose certificate it is; ``None`` when no node's. Raises ``Unusable``: it is none, not current, not the key's."""
    pem = read_input(cert, limit=_PEM_LIMIT, what="a certificate")
    name = asked(str(cert), partial(node_name, pem))
    if name == CLOUD:  # of an esp-ota serve
        return None
    if name is not None:
        private = read_input(key, limit=_PEM_LIMIT, what="a private key")
        asked(str(cert), partial(check_node_id, name))
        asked(f"{cert}, {key}", partial(check_pair, pem, private))
        asked(str(cert), partial(check_current, pem, SystemClock()))
    return name
