"""Who ``esp-ota node`` is and where it connects: out of its flash, as firmware does, or as the user says."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from py_esp_ota.adapters.certificates import check_node_id
from py_esp_ota.adapters.credentials import common_name
from py_esp_ota.chip import Chip
from py_esp_ota.cli.endpoints import Endpoints
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.hosts import host_of
from py_esp_ota.cli.node_credentials import Pair, asked, authority_of, check_name, made_by, read_authority, read_pair
from py_esp_ota.cli.node_flash import NodeFlash
from py_esp_ota.errors import EspErr, NvsError
from py_esp_ota.rainmaker import client_data


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user says of it."""

    node_id: str | None
    cert: Path | None
    key: Path | None
    ca: Path | None
    broker: str | None
    serve: Path | None


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's name, its certificate, and where its broker is."""

    node_id: str
    pair: Pair | None  # None: the broker is an embedded one, which knows no TLS
    host: str
    port: int
    ca_file: Path | None  # None: the system's authorities
    basic_ingest: bool
    keep: Mapping[str, bytes]  # for the factory partition, if it is blank
    hosts: Mapping[str, str]  # addresses of names that need no resolver


def identity(found: NodeFlash, wishes: Wishes) -> Identity:
    """Who the node is. Raises ``Unusable``, ``click.UsageError``."""
    factory = _factory(found)
    if wishes.serve is not None:
        return _served(wishes.serve, wishes, factory, found)
    if (wishes.cert is None) != (wishes.key is None):
        raise click.UsageError("--cert and --key belong together")
    pair = read_pair(wishes.cert, wishes.key) if wishes.cert and wishes.key else _of_factory(factory, found.path)
    known = asked(str(found.path), lambda: client_data.populate_node_id(factory, found.config, common_name))
    node_id = wishes.node_id or (common_name(pair.cert) if wishes.cert else known)
    if not node_id:
        raise Unusable(f"{wishes.cert or found.path} does not say which node this is; --node-id does")
    if wishes.cert:
        check_name(pair, wishes.cert, node_id)
    if wishes.ca is not None:
        read_authority(wishes.ca)
    host, port = _broker(wishes.broker, factory, found)
    ingest = found.config.esp_rmaker_mqtt_use_basic_ingest_topics
    return Identity(_checked(node_id), pair, host, port, wishes.ca, ingest, {}, {})


def _served(folder: Path, wishes: Wishes, factory: Mapping[str, bytes], found: NodeFlash) -> Identity:
    """A node of the ``esp-ota serve`` that runs on this machine: it connects on loopback."""
    if given := [name for name in ("cert", "key", "ca", "broker") if getattr(wishes, name) is not None]:
        raise click.UsageError(f"--serve says what --{given[0]} says: leave one of them out")
    at = Endpoints.read(folder)
    known = client_data.populate_node_id(factory, found.config, common_name)
    node_id = wishes.node_id or known
    if not node_id:
        raise Unusable(f"{found.path} does not say which node this is; --node-id does")
    node_id = _checked(node_id)
    pair = made_by(folder, node_id)
    values = {
        client_data.NODE_ID: node_id.encode(),
        client_data.MQTT_HOST: at.mqtt_host.encode(),
        client_data.CLIENT_CERT: pair.cert,
        client_data.CLIENT_KEY: pair.key,
        client_data.RANDOM: secrets.token_bytes(client_data.RANDOM_LEN),
    }
    ingest = at.basic_ingest and found.config.esp_rmaker_mqtt_use_basic_ingest_topics
    ca_file = authority_of(folder).ca_file
    return Identity(node_id, pair if at.tls else None, "127.0.0.1", at.mqtt_port, ca_file, ingest, values, at.hosts())


def _factory(found: NodeFlash) -> dict[str, bytes]:
    """What the factory partition holds; nothing when the table has none. Raises ``Unusable`` for a damaged one."""
    chip = Chip(found.chip, flash=found.flash.fork())  # a look: what init repairs is repaired when the node boots
    try:
        return client_data.factory_get_all(chip, found.config)
    except NvsError as error:
        if error.err is EspErr.ESP_ERR_NOT_FOUND:
            return {}
        label = found.config.esp_rmaker_factory_partition_name
        raise Unusable(f"{found.path}: partition {label}: {error}") from error


def _of_factory(factory: Mapping[str, bytes], path: Path) -> Pair:
    cert, key = factory.get(client_data.CLIENT_CERT), factory.get(client_data.CLIENT_KEY)
    if cert is None or key is None:
        raise Unusable(
            f"{path} holds no certificate and key: esp-ota provision NODE_ID --into {path} puts them there, or say "
            "--serve DIR, or --cert and --key"
        )
    return Pair(cert, key)


def _broker(said: str | None, factory: Mapping[str, bytes], found: NodeFlash) -> tuple[str, int]:
    port = client_data.mqtt_port(found.config)
    if said is None:
        host = client_data.get_mqtt_host(factory, found.config)
        if not host:
            raise Unusable(f"{found.path} does not say where the broker is; --broker HOST:PORT does")
        return host, port
    host, colon, number = said.rpartition(":") if not said.endswith("]") else (said, "", "")
    if not colon:
        return host_of("--broker", said.strip("[]")), port
    if not host or not number.isascii() or not number.isdigit() or not 0 < int(number) < 1 << 16:
        raise click.BadParameter(f"{said!r} is no HOST:PORT, for example cloud.lan:8883", param_hint="--broker")
    return host_of("--broker", host.strip("[]")), int(number)


def _checked(node_id: str) -> str:
    try:
        return check_node_id(node_id)
    except ValueError as error:
        raise Unusable(str(error)) from error
