"""How an app image is drawn: what it is made from, and the rules that make it valid before it exists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import product, starmap
from types import ModuleType
from typing import NamedTuple

from hypothesis import strategies as st

from py_esp_ota import firmware
from py_esp_ota._core import Target
from py_esp_ota.firmware import DESC_OFFSET, MMU_PAGE
from py_esp_ota.strategies.sizes import RSA, SCHEMES, AppOptions, image_size

#: ``SOC_MMU_PAGE_SIZE_CONFIGURABLE``: the verifier reads these chips' MMU page size from the app descriptor.
READS_PAGE_SIZE = ("esp32c2", "esp32c6", "esp32h2", "esp32c61", "esp32h21", "esp32h4", "esp32s31")

_KINDS = ("dram", "iram", "irom", "padding")
_TAILS = (b"", b"\xff" * 16, b"\0", b"\xe9\0\0", b"\xff" * 5000)
_TEXT = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
NAMES = st.text(_TEXT, min_size=1, max_size=31)
_FILL = st.binary(max_size=8)
_SECURE_VERSIONS = st.integers(0, 16)


class _Build(NamedTuple):
    """What a build chooses between: one draw for all of it, because each draw takes as long as a whole image."""

    idf_ver: str
    compiled: tuple[str, str]  # date and time
    spi_flash_mode: int  # 0: not said
    page: int  # log2 of the MMU page size; 0 and 99 say nothing
    revisions: int  # which bounds of ``_revisions``
    tail: int  # which bytes of ``_TAILS``
    hash_appended: bool


#: A default build of today first, and what is far from one last.
_BUILDS = st.sampled_from(
    tuple(
        starmap(
            _Build,
            product(
                ("v6.1", "v5.4.1", "v4.4.8-dirty"),
                (("Jan  1 2026", "00:00:00"), ("Feb 29 2024", "23:59:60")),
                (3, 0, 2),
                (16, 0, 15, 14, 13, 99),
                range(5),
                range(len(_TAILS)),
                (True, False),
            ),
        )
    )
)
#: One in sixteen: a signature is two sectors of bytes, and an RSA one takes long to make.
_SELDOM = st.sampled_from((False,) * 15 + (True,))


@dataclass(frozen=True, slots=True)
class App:
    """What an image is made from; ``key`` is scheme and number of an example key, ``None`` for an unsigned image."""

    chip: str
    segments: tuple[tuple[int, bytes], ...]
    revisions: tuple[int | None, int | None] = (None, None)
    hash_appended: bool = True
    key: tuple[str, int] | None = None
    trailing: bytes = b""

    def plain(self) -> bytes:
        """The image itself, without signature and trailing bytes."""
        low, high = self.revisions
        return firmware.image(
            self.segments,
            chip=self.chip,
            min_chip_rev_full=low,
            max_chip_rev_full=high,
            hash_appended=self.hash_appended,
        )

    def file(self, plain: bytes) -> bytes:
        """``plain`` as it would be shipped: signed, or with what trails."""
        if self.key is None:
            return plain + self.trailing
        return bytes(signing().sign(plain, signing().example_key(*self.key)))


def signing() -> ModuleType:
    """The forge of signatures, imported only when something is signed: it needs ``cryptography``."""
    return import_module("py_esp_ota.signing")


def laid_out(chip: str, parts: list[tuple[str, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """The segments with addresses that this chip's bootloader accepts, as a linker would give them.

    The first is read-only data with the descriptor. Flash and virtual address agree within an MMU page, and code does
    not share a page with data where both are shown in one window.
    """
    layout = firmware.layout_of(chip)
    free = {"dram": layout.dram, "iram": layout.iram}
    segments: list[tuple[int, bytes]] = []
    position = DESC_OFFSET
    for kind, data in parts:
        if kind == "drom":
            address = layout.drom + position
        elif kind == "irom":
            pages = position // MMU_PAGE + 1 if layout.drom == layout.irom else 0
            address = layout.irom + pages * MMU_PAGE + position % MMU_PAGE
        elif kind == "padding":
            address = 0
        else:
            address = free[kind]
            free[kind] += len(data)
        segments.append((address, data))
        position += len(data) + 8
    return tuple(segments)


@cache
def _revisions(chip: str) -> tuple[tuple[int | None, int | None], ...]:
    """Bounds that a chip of today keeps; a default build's first. 0 and 0xFFFF stand for no upper bound."""
    revision = Target(chip).default_chip_revision
    return (None, None), (0, 0xFFFF), (0, 0), (revision, None), (revision, revision or None)


@st.composite
def apps(draw: st.DrawFn, options: AppOptions) -> App:
    """What one valid app image is made from."""
    chip = draw(st.sampled_from(options.checked_chips()))
    signed = bool(options.signed)
    if options.signed is None and not options.trailing and options.fits(signed=True):
        # Drawn for chips that cannot be signed for as well: with one choice less they would pass for simpler ones.
        signed = draw(_SELDOM) and bool(SCHEMES[chip])
    key = draw(_keys(chip)) if signed else None
    build = draw(_BUILDS)
    hash_appended = build.hash_appended if options.hash_appended is None else options.hash_appended
    if options.limits(signed=signed)[1] < options.least_image(hash_appended=hash_appended):
        hash_appended = False  # there is just room for the image
    desc = _drawn_desc(draw, chip, build)
    parts = _drawn_parts(draw, options, desc, hash_appended=hash_appended, signed=signed)
    size = image_size([len(data) for _, data in parts], hash_appended=hash_appended)
    return App(
        chip=chip,
        segments=laid_out(chip, parts),
        revisions=_revisions(chip)[build.revisions],
        hash_appended=hash_appended,
        key=key,
        trailing=b"" if signed else _tail(options, build.tail, size),
    )


def _drawn_desc(draw: st.DrawFn, chip: str, build: _Build) -> bytes:
    date, time = build.compiled
    return firmware.app_desc(
        draw(NAMES),
        draw(NAMES),
        secure_version=draw(_SECURE_VERSIONS),
        time=time,
        date=date,
        idf_ver=build.idf_ver,
        max_efuse_blk_rev_full=firmware.layout_of(chip).max_blk_rev,
        mmu_page_size=build.page if chip in READS_PAGE_SIZE else 16,
        spi_flash_mode=build.spi_flash_mode,
    )


@cache
def _keys(chip: str) -> st.SearchStrategy[tuple[str, int]]:
    # One RSA key: reading it in takes a tenth of a second.
    return st.sampled_from(
        tuple((scheme, n) for n in range(2) for scheme in SCHEMES[chip] if not (n and scheme == RSA))
    )


@cache
def _extras(low: int, high: int) -> st.SearchStrategy[bytes]:
    """Further segments, one byte for each: its kind, and its length in words."""
    return st.binary(min_size=low, max_size=high)


def filled(fill: bytes, size: int) -> bytes:
    """``size`` bytes of a pattern; zeros without one."""
    return ((fill or b"\0") * (size // max(1, len(fill)) + 1))[:size]


def _drawn_parts(
    draw: st.DrawFn, options: AppOptions, desc: bytes, *, hash_appended: bool, signed: bool
) -> list[tuple[str, bytes]]:
    """The segments by kind: no more than the size allows, and read-only data up to what it asks for."""
    least, most = options.limits(signed=signed)
    count = options.min_segments - 1
    # Further headers and data may fill what the smallest image leaves of the largest, to the last byte.
    room = most - options.least_image(hash_appended=hash_appended)
    fill = draw(_FILL)
    extra = draw(_extras(count, max(count, options.max_segments - 1)))
    parts, has_code = [("drom", desc)], False
    for index, drawn in enumerate(extra):
        header = 8 if index >= count else 0
        if room < header:
            break
        size = min(drawn // len(_KINDS) * 4, (room - header) // 4 * 4)
        room -= header + size
        kind = _KINDS[drawn % len(_KINDS)]
        if index == 0:
            kind = "irom"
        elif kind == "irom" and has_code:
            kind = "dram"  # a bootloader that finds a third mapped segment stops
        has_code = has_code or kind == "irom"
        parts.append((kind, filled(fill, size)))
    size = image_size([len(data) for _, data in parts], hash_appended=hash_appended)
    units = -(-max(0, least - size) // 16)
    if options.max_size is not None:
        units = draw(st.integers(units, max(units, (most - size) // 16)))
    if units:
        parts[0] = ("drom", desc + filled(fill, 16 * units))
    return parts


def _tail(options: AppOptions, which: int, size: int) -> bytes:
    """Bytes behind the image, as many as the size wants and leaves room for."""
    if options.trailing is False:
        return b""
    tail = _TAILS[max(which, bool(options.trailing))]
    return tail[: options.most - size].ljust(options.min_size - size, b"\xff")
