"""Keys made once per run, signed images, and one look at them."""

from __future__ import annotations

from functools import cache

from py_esp_ota import signing
from py_esp_ota._core import EFuse, Flash, Verdict, VerifyOptions, verify_image
from py_esp_ota.firmware import Firmware, merge

SECTOR = 4096
BLOCK = 1216
AT = 0x10000
ALL = signing.SCHEMES
APP = Firmware("lamp", "1.1.0", size=0x400).to_bytes()


@cache
def _made(scheme: str, number: int) -> bytes:
    assert number >= 0
    return signing.generate_key(scheme)


def key(scheme: str = "ecdsa256", number: int = 0) -> bytes:
    """The private key with this number: the same in every test of a run."""
    return _made(scheme, number)


def digest(scheme: str = "ecdsa256", number: int = 0) -> bytes:
    return signing.public_key_digest(key(scheme, number))


def resealed(signed: bytes, number: int = 0) -> bytes:
    """A signed image with the CRC of one block made right again."""
    at = len(signed) - SECTOR + number * BLOCK
    return signed[:at] + signing.resealed_block(signed[at : at + BLOCK]) + signed[at + BLOCK :]


def changed(data: bytes, at: int, to: bytes | None = None) -> bytes:
    """Other bytes from ``at`` on, which may count from the end; without ``to`` one byte is turned over."""
    at %= len(data)
    new = bytes([data[at] ^ 0xFF]) if to is None else to
    return data[:at] + new + data[at + len(new) :]


def in_block(offset: int, number: int = 0) -> int:
    """An offset in a block, counted from the end of the image."""
    return -SECTOR + number * BLOCK + offset


def fuses(*digests: bytes | None, chip: str = "esp32c3", on: bool = True, revoked: tuple[int, ...] = ()) -> EFuse:
    return EFuse(chip, secure_boot_en=on, key_digests=list(digests), revoked=list(revoked))


def look(
    signed: bytes,
    efuse: EFuse,
    *,
    scheme: str = "ecdsa256",
    build: str = "app",
    size: int = 0x10000,
    secure_boot_v2: bool = True,
    check: bool = True,
    running: tuple[bytes, ...] = (),
    v1_public_key: bytes | None = None,
) -> Verdict:
    """``esp_image_verify`` by a build with signatures."""
    options = VerifyOptions(
        signature_scheme=scheme,
        check_signature=check,
        secure_boot_v2=secure_boot_v2,
        trusted_digests=list(running),
        v1_public_key=v1_public_key,
    )
    flash = Flash.from_bytes(merge({AT: signed}), size=0x100000)
    return verify_image(flash, AT, size, build=build, efuse=efuse, options=options)


def console(verdict: Verdict) -> list[str]:
    """What was said from the signature on."""
    lines = [f"{line.level} {line.tag}: {line.text}" for line in verdict.log]
    start = "I esp_image: Verifying image signature..."
    return lines[lines.index(start) + 1 :] if start in lines else []
