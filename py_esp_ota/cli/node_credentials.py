"""A node's certificate and key: made by the CA of an ``esp-ota serve``, or named by the user and looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from py_esp_ota.adapters.certificates import LocalCa, check_node_id
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.credentials import check_current, check_issued, check_pair, common_name
from py_esp_ota.cli.files import Unusable, read_input

_T = TypeVar("_T")
_PEM_LIMIT = 1 << 16
_CA_LIMIT = 1 << 20  # a system's bundle is a quarter of that


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    cert: bytes
    key: bytes


def made_by(folder: Path, node_id: str) -> Pair:
    """What the CA in the folder of a server has made for a node, or makes now. Raises ``Unusable``."""
    ca = authority_of(folder)
    try:
        files = ca.node(node_id)
        return Pair(files.cert.read_bytes(), files.key.read_bytes())
    except ValueError as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(f"{error.filename or folder}: {error.strerror}") from error


def authority_of(folder: Path) -> LocalCa:
    """The CA of a server's folder; none is made here. Raises ``Unusable``."""
    if not (folder / "ca.pem").is_file() or not (folder / "ca.key").is_file():
        raise Unusable(f"{folder} has no CA: esp-ota serve --data {folder} makes one")
    try:
        return LocalCa(folder)
    except ValueError as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(f"{error.filename or folder}: {error.strerror}") from error


def check_name(pair: Pair, cert: Path, node_id: str) -> None:
    """Raises ``Unusable``: the certificate is another node's, and no broker lets this one in with it."""
    if (name := asked(str(cert), lambda: common_name(pair.cert))) != node_id:
        raise Unusable(f"{cert} is the certificate of {name!r}, not of {node_id!r}")


def named(node_id: str, cert: Path, key: Path, ca: Path | None) -> Pair:
    """The files, when they are a pair of this node's, current, and issued by ``ca`` if it is given.

    Raises ``Unusable`` with one sentence for what is wrong.
    """
    pair = read_pair(cert, key)
    asked(str(cert), lambda: check_node_id(node_id))
    check_name(pair, cert, node_id)
    asked(str(cert), lambda: check_current(pair.cert, SystemClock()))
    if ca is not None:
        authority = read_authority(ca)
        asked(f"{cert}, {ca}", lambda: check_issued(pair.cert, authority))
    return pair


def read_pair(cert: Path, key: Path) -> Pair:
    """Both files; they belong together. Raises ``Unusable``."""
    pair = Pair(
        read_input(cert, limit=_PEM_LIMIT, what="a certificate"),
        read_input(key, limit=_PEM_LIMIT, what="a private key"),
    )
    asked(f"{cert}, {key}", lambda: check_pair(pair.cert, pair.key))
    return pair


def read_authority(ca: Path) -> bytes:
    """A CA's certificate, perhaps with more behind it. Raises ``Unusable``."""
    authority = read_input(ca, limit=_CA_LIMIT, what="a CA certificate")
    asked(str(ca), lambda: common_name(authority))
    return authority


def asked(where: str, look: Callable[[], _T]) -> _T:
    """What ``look`` finds; what it refuses, in one sentence with the files' names."""
    try:
        return look()
    except ValueError as error:
        raise Unusable(f"{where}: {error}") from error
