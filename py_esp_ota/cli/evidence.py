"""``esp-ota evidence``: what became of a pack of evidence since it was made."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TypedDict

import click

from py_esp_ota.cli.files import Unusable, print_json, read_input
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.view.evidence import MANIFEST, SIGNATURE, manifest_hashes
from py_esp_ota.view.visible import visible

_LARGEST_KEY = 1 << 16


class VerifyDict(TypedDict):
    """The JSON of ``esp-ota evidence verify``."""

    valid: bool
    files: int
    signed: bool
    signed_by_key: bool | None
    faults: list[str]


@click.group("evidence")
def command() -> None:
    """Packs of evidence that ``esp-ota sweep --evidence`` makes."""


@command.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="It must be signed by this key, in PEM.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(folder: Path, key_file: Path | None, as_json: bool) -> None:
    """Compare every file of FOLDER with its manifest, and with --key the manifest's signature.

    Exit 0 when nothing is missing, changed or added and the key, if one is named, has signed it; 1 when not.
    """
    text = _read(folder, MANIFEST)
    if text is None:
        raise Unusable(f"{folder} has no {MANIFEST}: it is no pack of evidence")
    faults: list[str] = []
    hashes: dict[str, str] = {}
    try:
        hashes = manifest_hashes(text)
    except ValueError as error:
        faults.append(str(error))
    faults += _differences(folder, hashes)
    signature = _read(folder, SIGNATURE)
    by_key = None if key_file is None else _is_by(text, signature, key_file, faults)
    report: VerifyDict = {
        "valid": not faults,
        "files": len(hashes),
        "signed": signature is not None,
        "signed_by_key": by_key,
        "faults": faults,
    }
    if as_json:
        print_json(report)
    else:
        last = f"{len(hashes)} files, {_signed(report)}" if not faults else "this is not the pack that was made"
        say(*(visible(fault) for fault in faults), last)
    sys.exit(0 if not faults else 1)


def _signed(report: VerifyDict) -> str:
    if report["signed_by_key"]:
        return "unchanged, signed by this key"
    return "unchanged; it is signed, --key says by whom" if report["signed"] else "unchanged; it is not signed"


def _read(folder: Path, name: str) -> bytes | None:
    path = folder / name
    return read_input(path) if path.is_file() else None


def _differences(folder: Path, hashes: dict[str, str]) -> list[str]:
    """What is missing, changed or added."""
    try:
        there = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error
    faults = [f"{name} is not in the manifest" for name in sorted(there - set(hashes) - {MANIFEST, SIGNATURE})]
    for name, digest in hashes.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            faults.append(f"{name} is not what it was")
    return faults


def _is_by(text: bytes, signature: bytes | None, key_file: Path, faults: list[str]) -> bool:
    with needing("evidence verify --key", "sign"):
        from py_esp_ota.detached import is_signed_by
    key = read_input(key_file, limit=_LARGEST_KEY, what="a key")
    if signature is None:
        faults.append("it is not signed")
        return False
    try:
        signed = is_signed_by(text, signature, key)
    except ValueError as error:
        raise Unusable(f"{key_file}: {error}") from error
    if not signed:
        faults.append(f"{key_file} has not signed this manifest")
    return signed
