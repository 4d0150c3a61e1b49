"""``esp-ota sign``: signatures of Secure Boot V2 and V1, made and looked at."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click

from py_esp_ota._core import SignatureBlock, inspect_image, signature_blocks, verify_signature_v1
from py_esp_ota.cli.files import Unusable, is_taken, print_json, read_input, write_output
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.errors import EspErr

_SECTOR = 4096
_MAGIC = 0xE7
_V1_SIZE = 68
_V1_KEY_SIZE = 64
_LARGEST_KEY = 1 << 16
_SCHEMES = ("rsa3072", "ecdsa192", "ecdsa256", "ecdsa384")


@click.command("sign")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "--keyfile",
    "-k",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A key in PEM; up to three.",
)
@click.option(
    "--version", "-v", type=click.Choice(["1", "2"]), default="2", show_default=True, help="Of the signature."
)
@click.option("--scheme", type=click.Choice(_SCHEMES), help="Refuse keys of another scheme; the key decides otherwise.")
@click.option("--append", is_flag=True, help="Keep the signatures that are there.")
@click.option("--verify", is_flag=True, help="Look at every signature; with --key, one must be by each of these keys.")
@click.option("--generate-key", type=click.Choice(_SCHEMES), help="Make a private key and write it to FILE.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where the signed image goes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path,
    keys: tuple[Path, ...],
    version: str,
    scheme: str | None,
    append: bool,
    verify: bool,
    generate_key: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Sign an image as espsecure does, or look at its signatures.

    Exit 0 when it is signed, or every signature is right; 1 when one is not, or none is there.
    """
    if verify and generate_key:
        raise click.UsageError("--verify and --generate-key exclude each other")
    if generate_key:
        _reject({"--key": keys, "--append": append, "--output": output}, "--generate-key")
        _generate(file, generate_key, as_json)
    elif verify:
        _reject({"--append": append, "--output": output}, "--verify")
        report = _verify(file, keys, version, scheme)
        report.show(as_json=as_json)
        sys.exit(0 if report.valid else 1)
    else:
        if not keys:
            raise click.UsageError("name a key with --key, or look with --verify")
        if output is None:
            raise click.UsageError("say with --output where the signed image goes")
        _sign(file, keys, version, scheme, append, output).show(as_json=as_json)


def _reject(options: dict[str, object], mode: str) -> None:
    for option, value in options.items():
        if value:
            raise click.UsageError(f"{option} means nothing with {mode}")


def _forge() -> ModuleType:
    with needing("sign", "sign"):
        from py_esp_ota import signing
    return signing


# ---------------------------------------------------------------------------------------------------------- signing


def _generate(file: Path, scheme: str, as_json: bool) -> None:
    if is_taken(file):
        raise Unusable(f"{file} exists already; a key is not written over another file")
    signing = _forge()
    key = signing.generate_key(scheme)
    write_output(file, key, mode=0o600)
    digest = signing.public_key_digest(key).hex()
    if sys.platform == "win32":
        say("On Windows its folder says who may read it: keep the key where only you may", err=True)
    if as_json:
        print_json({"key": str(file), "scheme": scheme, "key_digest": digest})
    else:
        say(f"{file}: new private key, {scheme}", f"Public key digest: {digest}")


def _sign(file: Path, keys: tuple[Path, ...], version: str, scheme: str | None, append: bool, output: Path) -> _Report:
    if any(_same(output, key) for key in keys):
        raise click.UsageError(f"--output {output} is a key")
    data, loaded = read_input(file), [_key(path, version, scheme) for path in keys]
    signing = _forge()
    if version == "1":
        if append or len(loaded) != 1:
            raise click.UsageError("a version 1 signature is one, by one key")
        signed = signing.sign_v1(data, loaded[0])
        report = _v1_report(output, signed, keys[0], signing.v1_public_key(loaded[0]))
    else:
        there = _blocks(data)
        if there and not append:
            raise Unusable(f"{file} is signed already, by {len(there)} of at most 3 keys; --append keeps that")
        if there:  # what lies behind the signature sector is not the image's
            data = data[: there[0].offset // _SECTOR * _SECTOR + _SECTOR]
            if not signing.blocks_of(data):
                raise Unusable(
                    f"{file}: the first signature is broken, so there is none to keep; sign the unsigned image"
                )
        try:
            signed = signing.sign(data, *loaded, append=append)
        except ValueError as error:
            raise Unusable(f"{file}: {error}") from error
        report = _v2_report(output, signed, list(zip(keys, loaded, strict=True)))
    write_output(output, signed)
    return report


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _key(path: Path, version: str, scheme: str | None, *, private: bool = True) -> bytes:
    """A key in PEM that is fit for this. Raises ``Unusable``."""
    key = read_input(path, limit=_LARGEST_KEY, what="a key")
    try:
        found = str(_forge().scheme_of(key))
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error
    wanted = "ecdsa256" if version == "1" else scheme
    if wanted is not None and found != wanted:
        raise Unusable(f"{path}: the key is for {found}, not {wanted}")
    if private and b"PRIVATE KEY-" not in key:
        raise Unusable(f"{path} holds a public key; signing needs the private one")
    return key


# -------------------------------------------------------------------------------------------------------- verifying


@dataclass(frozen=True)
class _Report:
    """What a file's signatures are. ``keys`` are names of key files by the digest of their public key."""

    file: Path
    version: int
    signed_bytes: int | None
    blocks: list[SignatureBlock]
    keys: dict[bytes, str]
    faults: list[str]

    @property
    def valid(self) -> bool:
        return not self.faults and all(block.valid for block in self.blocks)

    def show(self, *, as_json: bool) -> None:
        if as_json:
            print_json(self._to_dict())
        else:
            say(*self._lines())

    def _to_dict(self) -> dict[str, object]:
        return {
            "file": str(self.file),
            "version": self.version,
            "valid": self.valid,
            "signed_bytes": self.signed_bytes,
            "blocks": [self._block(block) for block in self.blocks],
            "faults": self.faults,
        }

    def _block(self, block: SignatureBlock) -> dict[str, object]:
        return {
            "offset": block.offset,
            "valid": block.valid,
            "scheme": block.scheme,
            "version": block.version,
            "crc_ok": block.crc_ok,
            "verified": block.verified,
            "key_digest": block.key_digest.hex() or None,
            "key": self.keys.get(block.key_digest),
            "image_digest": block.image_digest.hex() or None,
            "faults": [
                {"err": f.err.name, "field": f.field, "offset": f.offset, "found": f.found, "expected": f.expected}
                for f in block.faults
            ],
        }

    def _lines(self) -> list[str]:
        covers = "" if self.signed_bytes is None else f" over {self.signed_bytes} bytes"
        lines = [f"{self.file}: version {self.version} signature{covers}, {_word(self.valid)}"]
        for number, block in enumerate(self.blocks):
            by = f", by {self.keys[block.key_digest]}" if block.key_digest in self.keys else ""
            scheme = block.scheme or "unknown scheme"
            lines.append(f"Block {number} at 0x{block.offset:x}: {scheme}, {_word(block.valid)}{by}")
            if block.key_digest:
                lines.append(f"  Public key digest: {block.key_digest.hex()}")
            lines += [f"  {fault.err.name}: {fault}" for fault in block.faults]
        return lines + [f"  {fault}" for fault in self.faults]


def _word(valid: bool) -> str:
    return "valid" if valid else "INVALID"


def _verify(file: Path, keys: tuple[Path, ...], version: str, scheme: str | None) -> _Report:
    data = read_input(file)
    if version == "2":
        loaded = [(path, _key(path, version, scheme, private=False)) for path in keys]
        return _v2_report(file, data, loaded, scheme)
    if len(keys) != 1:
        raise click.UsageError("a version 1 signature names no key: say one with --key")
    raw = read_input(keys[0], limit=_LARGEST_KEY, what="a key")
    if len(raw) != _V1_KEY_SIZE:
        raw = _forge().v1_public_key(_key(keys[0], version, scheme, private=False))
    return _v1_report(file, data, keys[0], raw)


def _v2_report(file: Path, data: bytes, keys: list[tuple[Path, bytes]], scheme: str | None = None) -> _Report:
    blocks = _blocks(data)
    known = {_forge().public_key_digest(key): str(path) for path, key in keys} if keys else {}
    faults = [
        f"block at 0x{block.offset:x}: found scheme {block.scheme}, expected {scheme}"
        for block in blocks
        if scheme and block.scheme != scheme
    ]
    if not blocks:
        faults.append("no signature sector behind the image")
    signers = {block.key_digest for block in blocks if block.valid}
    faults += [f"no valid signature by {path}" for digest, path in known.items() if digest not in signers]
    signed = blocks[0].offset // _SECTOR * _SECTOR if blocks else None
    return _Report(file, 2, signed, blocks, known, faults)


def _v1_report(file: Path, data: bytes, path: Path, public_key: bytes) -> _Report:
    verdicts = [(len(part), verify_signature_v1(part, public_key)) for part in _signed_parts(data, _V1_SIZE, 1)]
    length, verdict = next((found for found in verdicts if found[1].err == EspErr.ESP_OK), verdicts[0])
    faults = [f"no valid signature by {path}: {verdict.detail}"] if verdict.detail else []
    return _Report(file, 1, max(length - _V1_SIZE, 0), [], {}, faults)


def _blocks(data: bytes) -> list[SignatureBlock]:
    """The blocks of the first place that looks like a signature sector at all."""
    for part in _signed_parts(data, _SECTOR, _SECTOR):
        if len(part) % _SECTOR == 0:
            blocks = signature_blocks(part)
            if any(part[block.offset] == _MAGIC for block in blocks):
                return blocks
    return []


def _signed_parts(data: bytes, room: int, align: int) -> list[bytes]:
    """Where image and signature may end: right behind the image, as a chip looks, else at the end of the file."""
    info = inspect_image(data)
    end = info.length + -info.length % align + room
    return [data[:end], data] if info.kind != "unknown" and end < len(data) else [data]
