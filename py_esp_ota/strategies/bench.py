"""The chip on which a drawn image is looked at, and the two looks that a chip takes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from py_esp_ota._core import EFuse, Flash, Verdict, VerifyOptions, inspect_image, signature_blocks, verify_image

#: Where the image lies in flash: a multiple of every MMU page size.
OFFSET = 0x10000

_FLASH = 0x400000
_SECTOR = 0x1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A chip as it comes from the factory, but for what is said here.

    ``chip_revision`` is ``major * 100 + minor``; without it, it is one that builds of today accept.
    With ``secure_version`` or ``anti_rollback`` it watches for rollbacks, with ``key_digests`` it boots nothing that
    these keys have not signed by ``scheme``. ``size`` is that of the partition in bytes; without it, the image has
    room. ``idf_version`` is the release that its app and its bootloader are built with, the newest when not given.
    """

    chip: str
    chip_revision: int | None = None
    block_revision: int = 0
    secure_version: int = 0
    scheme: str | None = None
    key_digests: tuple[bytes, ...] = ()
    size: int | None = None
    anti_rollback: bool = False
    idf_version: tuple[int, int, int] | None = None

    def __repr__(self) -> str:
        """What differs from a chip of the factory."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        shown = [f"{field.name}={said[field.name]!r}" for field in fields(self) if said[field.name] != field.default]
        return f"Bench({', '.join(shown)})"

    def verify(self, image: bytes) -> Verdict:
        """``esp_image_verify`` as a running app calls it, before it lets an update boot."""
        return self._look(image, boots=False)

    def load(self, image: bytes) -> Verdict:
        """``bootloader_load_image``: the same, and whether the segments may be copied to where they want to go."""
        return self._look(image, boots=True)

    def _look(self, image: bytes, *, boots: bool) -> Verdict:
        size = max(_SECTOR, -(-len(image) // _SECTOR) * _SECTOR) if self.size is None else self.size
        flash_size = _FLASH
        while flash_size < OFFSET + max(size, len(image)):
            flash_size *= 2
        flash = Flash(flash_size)
        flash.program(OFFSET, image)
        efuse = EFuse(
            self.chip,
            chip_revision=self.chip_revision,
            block_revision=self.block_revision,
            secure_version=self.secure_version,
            secure_boot_en=bool(self.key_digests),
            key_digests=list(self.key_digests),
        )
        options = VerifyOptions(
            idf_version=self.idf_version,
            signature_scheme=self.scheme,  # type: ignore[arg-type]
            check_signature=self.scheme is not None,
            secure_boot_v2=self.scheme is not None,
            anti_rollback=self.anti_rollback or self.secure_version > 0,
        )
        if boots:
            return verify_image(flash, OFFSET, size, build="bootloader", mode="load", efuse=efuse, options=options)
        return verify_image(flash, OFFSET, size, efuse=efuse, options=options)


def bench_of(image: bytes) -> Bench:
    """The bench for an image that is sound: its header names the chip, and its signature the key that is trusted.

    Raises ``ValueError`` for bytes that name no chip.
    """
    info = inspect_image(image)
    if info.chip is None:
        raise ValueError("the image names no chip that is known")
    signed = info.signature
    blocks = signature_blocks(image) if signed else []
    return Bench(
        chip=info.chip,
        scheme=blocks[0].scheme if blocks else None,
        key_digests=tuple(block.key_digest for block in blocks),
    )
