"""``esp-ota efuse``: the eFuses of a chip in a file: make it, look at it, burn it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from py_esp_ota._core import EFuse, Target
from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.files import Unusable, is_taken, print_json, read_input, read_text, write_output
from py_esp_ota.cli.inputs import named_target
from py_esp_ota.cli.output import say
from py_esp_ota.errors import OtaError


@click.group("efuse")
def command() -> None:
    """Make, show and burn the eFuse file that esp-ota boot --efuse takes. A bit is burnt once and for all."""


def load(file: Path) -> EFuse:
    """The eFuses in a file. Raises ``Unusable``."""
    try:
        return EFuse.from_json(read_text(file, what="an eFuse file"))
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error


@command.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@chip_option(f"One of {', '.join(Target.names())}.", default=None)
@click.option("--chip-revision", type=int, help="major * 100 + minor.")
@click.option("--block-revision", type=int, default=0, show_default=True, help="major * 100 + minor.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def new(file: Path, chip: str, chip_revision: int | None, block_revision: int, as_json: bool) -> None:
    """Write the eFuses of a chip from the factory."""
    if is_taken(file):
        raise Unusable(f"{file} exists; burn it, or remove it first")
    target = named_target(chip)
    try:
        efuse = EFuse(target.name, chip_revision=chip_revision, block_revision=block_revision)
    except ValueError as error:
        raise Unusable(str(error)) from error
    write_output(file, efuse.to_json().encode())
    _tell(efuse, as_json, f"{file}: a new {target.name}")


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(file: Path, as_json: bool) -> None:
    """Print every fuse that the update path knows. Keys that the hardware hides are not shown as text."""
    facts = json.loads(load(file).to_json())
    if as_json:
        print_json(facts)
        return
    if facts["flash_encryption_key"] is not None:
        facts["flash_encryption_key"] = f"{len(facts['flash_encryption_key']) // 2} bytes"
    facts["hmac_keys"] = [None if key is None else f"{len(key) // 2} bytes" for key in facts["hmac_keys"]]
    for name, value in facts.items():
        say(f"{name:<28} {'-' if value is None else value}")


@command.command("burn")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--secure-version", type=click.IntRange(0), help="Raise the anti-rollback counter.")
@click.option(
    "--key-digest",
    nargs=2,
    type=(click.IntRange(0, 2), click.Path(path_type=Path)),
    help="SLOT and a file of 32 bytes.",
)
@click.option("--revoke", type=click.IntRange(0, 2), help="Revoke the key in this slot.")
@click.option("--secure-boot", is_flag=True, help="SECURE_BOOT_EN.")
@click.option("--flash-encryption-key", type=click.Path(path_type=Path), help="A key file as espsecure makes it.")
@click.option(
    "--hmac-key",
    nargs=2,
    type=(click.IntRange(0, 5), click.Path(path_type=Path)),
    help="BLOCK and a file of 32 bytes.",
)
@click.option("--crypt-cnt", is_flag=True, help="One bit more of the flash encryption counter.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def burn(
    file: Path,
    secure_version: int | None,
    key_digest: tuple[int, Path] | None,
    revoke: int | None,
    secure_boot: bool,
    flash_encryption_key: Path | None,
    hmac_key: tuple[int, Path] | None,
    crypt_cnt: bool,
    as_json: bool,
) -> None:
    """Burn fuses; all that is asked for, or none of it."""
    efuse = load(file)
    try:
        if secure_version is not None:
            efuse.burn_secure_version(secure_version)
        if key_digest is not None:
            efuse.burn_key_digest(key_digest[0], read_input(key_digest[1], limit=1 << 20, what="a key"))
        if revoke is not None:
            efuse.revoke_key(revoke)
        if flash_encryption_key is not None:
            efuse.burn_flash_encryption_key(read_input(flash_encryption_key, limit=1 << 20, what="a key"))
        if hmac_key is not None:
            efuse.burn_hmac_key(hmac_key[0], read_input(hmac_key[1], limit=1 << 20, what="a key"))
        if crypt_cnt:
            efuse.burn_flash_crypt_cnt()
    except (OtaError, ValueError) as error:
        raise Unusable(f"{file}: {error}") from error
    if secure_boot:
        efuse.burn_secure_boot_en()
    write_output(file, efuse.to_json().encode())
    _tell(efuse, as_json, f"{file}: burnt")


def _tell(efuse: EFuse, as_json: bool, text: str) -> None:
    if as_json:
        print_json(json.loads(efuse.to_json()))
    else:
        say(text)
