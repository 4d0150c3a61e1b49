"""``esp-ota sign``: sign an image, look at its signatures, or make a key."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota import signing
from py_esp_ota._core import SignatureBlock, inspect_image, signature_blocks
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output

_SCHEMES = ("rsa3072", "ecdsa192", "ecdsa256", "ecdsa384")


@click.command("sign")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key", "keys", multiple=True, type=click.Path(path_type=Path), help="A private key in PEM; up to three."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where the signed image goes.")
@click.option(
    "--version", type=click.IntRange(1, 2), default=2, show_default=True, help="Of the signature; 1 is ESP32's old one."
)
@click.option("--append", is_flag=True, help="Keep the signatures that are there.")
@click.option("--verify", is_flag=True, help="Sign nothing: judge the signatures that are there.")
@click.option(
    "--generate-key", "scheme", type=click.Choice(_SCHEMES), help="Sign nothing: write a new private key to FILE."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path,
    keys: tuple[Path, ...],
    output: Path | None,
    version: int,
    append: bool,
    verify: bool,
    scheme: signing.Scheme | None,
    as_json: bool,
) -> None:
    """Sign an app or bootloader image for secure boot. With --verify exit 1 when no signature holds."""
    if scheme is not None:
        _generate(file, scheme, as_json)
    elif verify:
        _verify(file, as_json)
    elif output is None or not keys:
        raise click.UsageError("say with --key what signs and with --output where the signed image goes")
    else:
        _sign(file, keys, output, version, append, as_json)


def _generate(file: Path, scheme: signing.Scheme, as_json: bool) -> None:
    if file.exists():
        raise Unusable(f"{file} exists; a key is never overwritten")
    key = signing.generate_key(scheme)
    write_output(file, signing.save_key(key))  # a temporary file is readable by its owner alone, and stays so
    _tell({"key": str(file), "scheme": scheme, "key_digest": signing.public_key_digest(key).hex()}, as_json)


def _sign(file: Path, keys: tuple[Path, ...], output: Path, version: int, append: bool, as_json: bool) -> None:
    image = read_input(file)
    info = inspect_image(image)
    if info.kind == "unknown":
        raise Unusable(f"{file}: {info.faults[0]}")
    loaded = [_key(path) for path in keys]
    try:
        if version == 1:
            if len(loaded) > 1 or append:
                raise Unusable("a version 1 image has one signature")
            signed = signing.sign_v1(image, loaded[0])
        elif append:
            signed = signing.append(image, *loaded)
        else:
            signed = signing.sign(image[: info.length] if _already_signed(image, info.length) else image, *loaded)
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    write_output(output, signed)
    digests = [signing.public_key_digest(key).hex() for key in loaded]
    _tell({"output": str(output), "length": len(signed), "version": version, "key_digests": digests}, as_json)


def _already_signed(image: bytes, length: int) -> bool:
    return bool(_blocks(image, length))


def _key(path: Path) -> signing.PrivateKey:
    try:
        return signing.load_key(read_input(path, limit=1 << 20))
    except (ValueError, TypeError) as error:
        raise Unusable(f"{path}: {error}") from error


def _blocks(image: bytes, length: int) -> list[SignatureBlock]:
    """The signature blocks behind an image of ``length`` bytes, verified."""
    at = length + -length % signing.SECTOR
    sector = image[at : at + signing.SECTOR]
    if len(sector) < signing.SECTOR:
        return []
    first = signature_blocks(sector)
    scheme = first[0].scheme if first else None
    return signature_blocks(sector, signing.image_digest(image[:at], scheme)) if scheme else first


def _verify(file: Path, as_json: bool) -> None:
    image = read_input(file)
    info = inspect_image(image)
    if info.kind == "unknown":
        raise Unusable(f"{file}: {info.faults[0]}")
    blocks = _blocks(image, info.length)
    shown = [
        {
            "index": block.offset // signing.BLOCK,
            "scheme": block.scheme,
            "key_digest": block.key_digest.hex(),
            "valid": bool(block.verified) and not block.faults,
            "faults": [str(fault) for fault in block.faults],
        }
        for block in blocks
    ]
    if as_json:
        print_json({"file": str(file), "signatures": shown})
    elif not shown:
        click.echo(f"{file}: no signature block behind the image")
    else:
        for row in shown:
            verdict = "valid" if row["valid"] else "INVALID"
            click.echo(f"Signature block {row['index']}: {row['scheme'] or 'unknown scheme'}, {verdict}")
            click.echo(f"  Public key digest: {row['key_digest']}")
            for block in blocks:
                if block.offset // signing.BLOCK == row["index"]:
                    click.echo("".join(f"  {fault}\n" for fault in block.faults), nl=False)
    sys.exit(0 if any(row["valid"] for row in shown) else 1)


def _tell(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        for name, value in facts.items():
            text = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{name.replace('_', ' ').capitalize()}: {text}")
