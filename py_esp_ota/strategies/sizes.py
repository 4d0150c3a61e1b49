"""How large an app image may be drawn: arithmetic over the arguments of ``images``, in bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from py_esp_ota.firmware import CHIPS
from py_esp_ota.strategies.arguments import need, need_flag, need_range, some_of

#: The largest file there is: beyond it some chip's cache does not reach all of it.
MAX_SIZE = 0x800000
#: Bootloaders of today insist on data and code in flash.
LEAST_SEGMENTS = 2
MAX_SEGMENTS = 16
SECTOR = 0x1000

RSA, _P192, _P256 = "rsa3072", "ecdsa192", "ecdsa256"
#: The schemes of Secure Boot V2 by chip (``SOC_SECURE_BOOT_V2_RSA``, ``_ECC``); the quick one first.
SCHEMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("esp32", "esp32s2", "esp32c3", "esp32s3", "esp32h21", "esp32s31"), (RSA,)),
    **dict.fromkeys(("esp32c2", "esp32c61"), (_P256, _P192)),
    **dict.fromkeys(("esp32c6", "esp32h2", "esp32p4", "esp32c5"), (_P256, _P192, RSA)),
    "esp32h4": (),
}

_HASH = 32
_IMAGE_HEADER, _SEGMENT_HEADER, _APP_DESC = 24, 8, 256


def up(size: int, unit: int) -> int:
    """The next multiple of ``unit``."""
    return -(-size // unit) * unit


def image_size(data: list[int], *, hash_appended: bool) -> int:
    """Bytes of an image whose segments have these lengths: headers, data, checksum block, hash."""
    size = _IMAGE_HEADER + sum(_SEGMENT_HEADER + length for length in data)
    return size + 16 - size % 16 + (_HASH if hash_appended else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """The arguments of ``images``. They are judged when something is drawn."""

    chips: Collection[str] | None = None
    signed: bool | None = None
    hash_appended: bool | None = None
    trailing: bool | None = None
    min_segments: int = LEAST_SEGMENTS
    max_segments: int = 4
    min_size: int = 0
    max_size: int | None = None
    _known: list[tuple[str, ...]] = field(default_factory=list, init=False, repr=False, compare=False)

    def checked_chips(self) -> tuple[str, ...]:
        """The chips to draw from. Raises ``InvalidArgument`` with a sentence about what cannot be."""
        if not self._known:  # the same at each draw
            self._known.append(self._checked_chips())
        return self._known[0]

    def _checked_chips(self) -> tuple[str, ...]:
        chips = some_of("chips", self.chips, CHIPS)
        for name in ("signed", "hash_appended", "trailing"):
            need_flag(name, getattr(self, name))
        need(not (self.signed and self.trailing), "a signed image has no trailing bytes: its signature is what trails")
        need_range("segments", self.min_segments, self.max_segments, least=LEAST_SEGMENTS, most=MAX_SEGMENTS)
        need_range("size", self.min_size, self.most, least=0, most=MAX_SIZE)
        if self.signed:
            chips = self._those(chips, lambda chip: bool(SCHEMES[chip]), "no signature scheme is known for")
        signed = bool(self.signed)
        least = self.least_file(signed=signed)
        need(least <= self.most, f"max_size is {self.most} bytes; the smallest such image has {least}")
        what = f"no such image has {self.min_size} to {self.most} bytes: its size is a multiple of"
        need(self.fits(signed=signed), f"{what} {SECTOR if signed else 16}")
        return chips

    @staticmethod
    def _those(chips: tuple[str, ...], able: Callable[[str], bool], why_not: str) -> tuple[str, ...]:
        left = tuple(chip for chip in chips if able(chip))
        need(bool(left), f"{why_not} {', '.join(chips)}")
        return left

    @property
    def most(self) -> int:
        """The largest file."""
        return MAX_SIZE if self.max_size is None else self.max_size

    def least_image(self, *, hash_appended: bool | None = None) -> int:
        """The smallest image, without signature and trailing bytes, that these options allow."""
        hashed = self.hash_appended is True if hash_appended is None else hash_appended
        return image_size([_APP_DESC] + [0] * (self.min_segments - 1), hash_appended=hashed)

    def least_file(self, *, signed: bool) -> int:
        """The smallest file."""
        least = self.least_image()
        return up(least, SECTOR) + SECTOR if signed else least + bool(self.trailing)

    def limits(self, *, signed: bool) -> tuple[int, int]:
        """The smallest and largest image, without signature and trailing bytes, so that the file has its size."""
        if signed:
            sectors = max(2, up(self.min_size, SECTOR) // SECTOR)
            return (sectors - 2) * SECTOR + 16, (self.most // SECTOR - 1) * SECTOR
        most = (self.most - bool(self.trailing)) // 16 * 16
        least = up(self.min_size, 16)
        # What is missing to an odd size may trail.
        return (least if self.trailing is False else min(least, most)), most

    def fits(self, *, signed: bool) -> bool:
        """Whether there is such an image at all."""
        least, most = self.limits(signed=signed)
        return max(least, self.least_image()) <= most
