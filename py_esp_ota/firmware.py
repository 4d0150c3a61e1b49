"""The forge: valid ESP images made from nothing, byte for byte the same every time.

It shares no code with the judge in Rust, so that a misread rule cannot make a wrong image and then approve of it.
Nothing made here runs on a CPU: the segments lie at legal addresses and pass every check of the bootloader, but the
code in them is filler.

::

    Firmware("lamp", "1.1.0").to_bytes()                 # an app image
    bootloader(idf_ver="v6.1")                           # a second-stage bootloader image
    patched(real, version="9.9.9")                       # a real app that says it is another version
    merge({0x0: bootloader(), 0x8000: table, 0x10000: app})  # what `esptool merge-bin` makes
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple
from zlib import crc32

from py_esp_ota.brief import brief

IMAGE_MAGIC = 0xE9
APP_DESC_MAGIC = 0xABCD5432
BOOTLOADER_DESC_MAGIC = 80
CHECKSUM_SEED = 0xEF
DESC_OFFSET = 0x20  # image header and first segment header
MMU_PAGE = 0x10000
#: The largest flash that a header can name (``ESP_IMAGE_FLASH_SIZE_128MB``), and so the most that any chip has.
LARGEST_FLASH = 128 << 20

_HEADER = struct.Struct("<BBBB I B3s H BHH 4x B")
_SEGMENT = struct.Struct("<II")
_APP_DESC = struct.Struct("<II8x 32s32s16s16s32s32s HHBB 74x")
_BOOTLOADER_DESC = struct.Struct("<B2xB I 32s24s 16x")
_OTA_SELECT_ENTRY = struct.Struct("<I20sII")

_MAGIC_AT, _COUNT_AT, _CHIP_ID_AT, _MIN_REV_AT, _MAX_REV_AT, _HASH_AT = 0, 1, 12, 15, 17, 23
_VERSION = slice(DESC_OFFSET + 16, DESC_OFFSET + 48)
_PROJECT_NAME = slice(DESC_OFFSET + 48, DESC_OFFSET + 80)
_SECURE_VERSION = slice(DESC_OFFSET + 4, DESC_OFFSET + 8)
_HASH = 32


class Layout(NamedTuple):
    """Where a default build of one chip puts its segments, and which silicon it accepts."""

    chip_id: int
    drom: int
    irom: int
    iram: int
    dram: int
    min_rev: int
    max_rev: int
    max_blk_rev: int


# RAM addresses keep clear of the bootloader's stack, its data and each other, also through the D/IRAM alias.
_CHIPS = {
    "esp32": Layout(0, 0x3F400000, 0x400D0000, 0x40080000, 0x3FFB0000, 0, 399, 99),
    "esp32s2": Layout(2, 0x3F000000, 0x40080000, 0x40024000, 0x3FFC0000, 0, 199, 99),
    "esp32c3": Layout(5, 0x3C000000, 0x42000000, 0x40380000, 0x3FC88000, 3, 199, 199),
    "esp32s3": Layout(9, 0x3C000000, 0x42000000, 0x40374000, 0x3FC98000, 0, 99, 199),
    "esp32c2": Layout(12, 0x3C000000, 0x42000000, 0x40380000, 0x3FCA8000, 100, 299, 99),
    "esp32c6": Layout(13, 0x42000000, 0x42000000, 0x40800000, 0x40808000, 0, 99, 99),
    "esp32h2": Layout(16, 0x42000000, 0x42000000, 0x40800000, 0x40808000, 0, 199, 99),
    "esp32p4": Layout(18, 0x40000000, 0x40000000, 0x4FF00000, 0x4FF08000, 301, 399, 199),
    "esp32c61": Layout(20, 0x42000000, 0x42000000, 0x40800000, 0x40808000, 100, 199, 199),
    "esp32c5": Layout(23, 0x42000000, 0x42000000, 0x40800000, 0x40808000, 100, 199, 99),
    "esp32h21": Layout(25, 0x42000000, 0x42000000, 0x40800000, 0x40808000, 0, 99, 99),
    "esp32h4": Layout(28, 0x42000000, 0x42000000, 0x40810000, 0x40818000, 0, 99, 99),
    "esp32s31": Layout(32, 0x40000000, 0x40000000, 0x2F000000, 0x2F008000, 0, 99, 99),
}


#: ESP-IDF's names of the chips there are images for, in the order of their ids.
CHIPS: tuple[str, ...] = tuple(_CHIPS)


def layout_of(name: str) -> Layout:
    """Where the forge puts a chip's segments. Raises ``ValueError`` for an unknown chip."""
    try:
        return _CHIPS[name]
    except KeyError:
        raise ValueError(f"unknown chip {name!r}; known: {', '.join(_CHIPS)}") from None


def _text(what: str, value: str, size: int) -> bytes:
    data = value.encode()
    if len(data) >= size:
        raise ValueError(f"{what} is {len(data)} bytes long; the descriptor keeps {size - 1}")
    return data.ljust(size, b"\0")


# --------------------------------------------------------------------------------------------------------- descriptors


def app_desc(
    project_name: str,
    version: str,
    *,
    secure_version: int = 0,
    time: str = "00:00:00",
    date: str = "Jan  1 2026",
    idf_ver: str = "v6.1",
    app_elf_sha256: bytes = bytes(32),
    min_efuse_blk_rev_full: int = 0,
    max_efuse_blk_rev_full: int = 99,
    mmu_page_size: int = 16,
    spi_flash_mode: int = 3,
) -> bytes:
    """``esp_app_desc_t``: 256 bytes, the beginning of an app's first segment."""
    return _APP_DESC.pack(
        APP_DESC_MAGIC,
        secure_version,
        _text("version", version, 32),
        _text("project_name", project_name, 32),
        _text("time", time, 16),
        _text("date", date, 16),
        _text("idf_ver", idf_ver, 32),
        app_elf_sha256,
        min_efuse_blk_rev_full,
        max_efuse_blk_rev_full,
        mmu_page_size,
        spi_flash_mode,
    )


def bootloader_desc(
    *,
    version: int = 1,
    idf_ver: str = "v6.1",
    date_time: str = "Jan  1 2026 00:00:00",
    secure_version: int = 0,
) -> bytes:
    """``esp_bootloader_desc_t``: 80 bytes, the beginning of a bootloader's first segment."""
    return _BOOTLOADER_DESC.pack(
        BOOTLOADER_DESC_MAGIC,
        secure_version,
        version,
        _text("idf_ver", idf_ver, 32),
        _text("date_time", date_time, 24),
    )


def ota_select_entry(ota_seq: int, ota_state: int, *, seq_label: bytes = b"\xff" * 20, crc: int | None = None) -> bytes:
    """``esp_ota_select_entry_t``: one of the two 32-byte otadata entries; without ``crc`` with the right one."""
    right = crc32(struct.pack("<I", ota_seq), 0xFFFFFFFF)
    return _OTA_SELECT_ENTRY.pack(ota_seq, seq_label, ota_state, right if crc is None else crc)


# -------------------------------------------------------------------------------------------------------------- images


def image(
    segments: Sequence[tuple[int, bytes]],
    *,
    chip: str = "esp32c3",
    entry_addr: int | None = None,
    spi_mode: int = 2,
    spi_speed: int = 0xF,
    flash_size: int = 0x400000,
    min_chip_rev_full: int | None = None,
    max_chip_rev_full: int | None = None,
    hash_appended: bool = True,
) -> bytes:
    """An image from ``(load_addr, data)`` segments, back to back, as they come.

    What is not given is what a default build of the chip has. Raises ``ValueError`` for data that is not whole 32-bit
    words.
    """
    layout = layout_of(chip)
    min_rev = layout.min_rev if min_chip_rev_full is None else min_chip_rev_full
    max_rev = layout.max_rev if max_chip_rev_full is None else max_chip_rev_full
    # Only these two builds fill the old one-byte field: the major revision on ESP32, the minor one on ESP32-C3.
    legacy_rev = {"esp32": min_rev // 100, "esp32c3": min_rev % 100}.get(chip, 0)
    header = _HEADER.pack(
        IMAGE_MAGIC,
        len(segments),
        spi_mode,
        ((flash_size >> 20).bit_length() - 1) << 4 | spi_speed,
        layout.iram if entry_addr is None else entry_addr,
        0xEE,
        bytes(3),
        layout.chip_id,
        legacy_rev,
        min_rev,
        max_rev,
        hash_appended,
    )
    body = bytearray(header)
    for index, (load_addr, data) in enumerate(segments):
        if len(data) % 4:
            raise ValueError(f"segment {index} is {len(data)} bytes long; segments are whole 32-bit words")
        body += _SEGMENT.pack(load_addr, len(data)) + data
    length = _checksum_end(len(body)) + (_HASH if hash_appended else 0)
    return resealed(bytes(body).ljust(length, b"\0"))


def resealed(image: bytes) -> bytes:
    """The same image with its checksum byte, and its appended SHA-256 if it has one, made right again.

    Bytes after the image stay as they are. Raises ``ValueError`` when the segments cannot be followed to their end.
    """
    spans, end = _segments(image)
    checksum = CHECKSUM_SEED
    for span in spans:
        checksum ^= _xor(image[span])
    sealed = bytearray(image)
    sealed[_checksum_end(end) - 1] = checksum
    return rehashed(bytes(sealed))


def rehashed(image: bytes) -> bytes:
    """The same image with its appended SHA-256, if it has one, made right again, whatever checksum and magic say.

    Raises ``ValueError`` when the segments cannot be followed to their end.
    """
    last = _checksum_end(_followed(image)[1])
    if not image[_HASH_AT]:
        return image
    return image[:last] + hashlib.sha256(image[:last]).digest() + image[last + _HASH :]


def rewritten(
    image: bytes,
    *,
    magic: int | None = None,
    segment_count: int | None = None,
    chip_id: int | None = None,
    min_chip_rev_full: int | None = None,
    max_chip_rev_full: int | None = None,
    hash_appended: int | None = None,
    load_addr: Mapping[int, int] | None = None,
    data_len: Mapping[int, int] | None = None,
) -> bytes:
    """The same bytes with other words in their headers, sound or not; nothing else is made right (see ``resealed``).

    ``load_addr`` and ``data_len`` are new words by the index of their segment, as the segments stand in ``image``.
    Raises ``ValueError`` when those cannot be followed.
    """
    changed = bytearray(image)
    words = {_MAGIC_AT: magic, _COUNT_AT: segment_count, _HASH_AT: hash_appended}
    halves = {_CHIP_ID_AT: chip_id, _MIN_REV_AT: min_chip_rev_full, _MAX_REV_AT: max_chip_rev_full}
    for form, places in (("<B", words), ("<H", halves)):
        for place, value in places.items():
            if value is not None:
                struct.pack_into(form, changed, place, value)
    if load_addr or data_len:
        starts = [span.start - _SEGMENT.size for span in _segments(image)[0]]
        for index, value in (load_addr or {}).items():
            struct.pack_into("<I", changed, starts[index], value)
        for index, value in (data_len or {}).items():
            struct.pack_into("<I", changed, starts[index] + 4, value)
    return bytes(changed)


def flipped(image: bytes, *places: int) -> bytes:
    """The same bytes with the lowest bit of each of these wrong; a place may count from the end."""
    changed = bytearray(image)
    for place in places:
        changed[place] ^= 1
    return bytes(changed)


def _checksum_end(end: int) -> int:
    """Where the checksum block ends: it fills up to 16 bytes, or takes 16 more when there is nothing to fill."""
    return end + 16 - end % 16


def _xor(data: bytes) -> int:
    # Folding a big integer onto itself is the fast way to XOR a megabyte in plain Python.
    folded = int.from_bytes(data, "little")
    width = len(data)
    while width > 1:
        half = (width + 1) // 2
        folded = (folded >> half * 8) ^ (folded & (1 << half * 8) - 1)
        width = half
    return folded


def _segments(image: bytes) -> tuple[list[slice], int]:
    """The data of each segment, and where the last one ends."""
    if len(image) < _HEADER.size:
        raise ValueError(f"no image: {len(image)} bytes are less than its 24-byte header")
    if image[0] != IMAGE_MAGIC:
        raise ValueError(f"no image: the first byte is 0x{image[0]:02x}, expected 0xe9")
    return _followed(image)


def _followed(image: bytes) -> tuple[list[slice], int]:
    spans = []
    position = _HEADER.size
    for index in range(image[1]):
        if position + _SEGMENT.size > len(image):
            raise ValueError(f"the image is cut off: segment {index} should start at 0x{position:x}")
        _, length = _SEGMENT.unpack_from(image, position)
        position += _SEGMENT.size
        if position + length > len(image):
            raise ValueError(f"the image is cut off: segment {index} should end at 0x{position + length:x}")
        spans.append(slice(position, position + length))
        position += length
    length = _checksum_end(position) + (_HASH if image[_HASH_AT] else 0)
    if length > len(image):
        raise ValueError(f"the image is cut off: it should be {length} bytes long and has {len(image)}")
    return spans, position


@dataclass(frozen=True, slots=True)
class Firmware:
    """One release of an app: the shortest way to an image that boots.

    >>> from py_esp_ota import Firmware
    >>> image = Firmware("lamp", "1.1.0", chip="esp32s3").to_bytes()
    >>> len(image), hex(image[0])
    (16384, '0xe9')

    ``size`` is the length of the file in bytes, a multiple of 16. ``payload`` is read-only data after the descriptor:
    with it two builds of one version differ. Options left at ``None`` are those of a default build for the chip.
    """

    project_name: str
    version: str
    _: KW_ONLY
    chip: str = "esp32c3"
    size: int = 0x4000
    payload: bytes = field(default=b"", repr=False)
    secure_version: int = 0
    idf_ver: str = "v6.1"
    time: str = "00:00:00"
    date: str = "Jan  1 2026"
    min_chip_rev_full: int | None = None
    max_chip_rev_full: int | None = None
    min_efuse_blk_rev_full: int = 0
    max_efuse_blk_rev_full: int | None = None
    spi_flash_mode: int = 3
    hash_appended: bool = True

    def __repr__(self) -> str:
        return brief(self)

    def to_bytes(self) -> bytes:
        """The image file. Raises ``ValueError`` when ``size`` cannot be met."""
        layout = layout_of(self.chip)
        rodata = self._app_desc(layout) + self.payload + bytes(-len(self.payload) % 4)
        data, vectors = self._filler("data", 32), self._filler("vectors", 32)
        # The checksum block at its shortest (4 bytes) ends the image, so that every length is a multiple of 4.
        hash_size = _HASH if self.hash_appended else 0
        used = _HEADER.size + 4 * _SEGMENT.size + len(rodata) + len(data) + len(vectors) + 4 + hash_size
        if self.size % 16 or self.size < used + 4:
            least = used + 4 + 15 & ~15
            raise ValueError(f"size is {self.size} bytes; it must be a multiple of 16 and at least {least}")
        code = self._filler("code", self.size - used)
        # Flash address and virtual address must agree within an MMU page, and code takes a page that rodata does not.
        position = DESC_OFFSET + len(rodata) + _SEGMENT.size + len(data) + _SEGMENT.size
        pages = (DESC_OFFSET + len(rodata)) // MMU_PAGE + 1
        text = layout.irom + pages * MMU_PAGE + position % MMU_PAGE
        return image(
            [(layout.drom + DESC_OFFSET, rodata), (layout.dram, data), (text, code), (layout.iram, vectors)],
            chip=self.chip,
            min_chip_rev_full=self.min_chip_rev_full,
            max_chip_rev_full=self.max_chip_rev_full,
            hash_appended=self.hash_appended,
        )

    def _app_desc(self, layout: Layout) -> bytes:
        max_blk = self.max_efuse_blk_rev_full
        return app_desc(
            self.project_name,
            self.version,
            secure_version=self.secure_version,
            time=self.time,
            date=self.date,
            idf_ver=self.idf_ver,
            app_elf_sha256=self._filler("elf", 32),
            min_efuse_blk_rev_full=self.min_efuse_blk_rev_full,
            max_efuse_blk_rev_full=layout.max_blk_rev if max_blk is None else max_blk,
            spi_flash_mode=self.spi_flash_mode,
        )

    def _filler(self, section: str, size: int) -> bytes:
        """Bytes that differ from release to release and never compress: what machine code looks like to a checksum."""
        identity = f"{section}\0{self.chip}\0{self.project_name}\0{self.version}\0".encode()
        return hashlib.shake_256(identity + self.payload).digest(size)


def bootloader(
    *,
    chip: str = "esp32c3",
    version: int = 1,
    idf_ver: str = "v6.1",
    date_time: str = "Jan  1 2026 00:00:00",
    secure_version: int = 0,
    spi_mode: int = 2,
    spi_speed: int = 0xF,
    flash_size: int = 0x400000,
) -> bytes:
    """A second-stage bootloader image. Its header is what the chip learns its flash's mode, speed and size from."""
    layout = layout_of(chip)
    desc = bootloader_desc(version=version, idf_ver=idf_ver, date_time=date_time, secure_version=secure_version)
    code = hashlib.shake_256(f"bootloader\0{chip}\0{idf_ver}".encode()).digest(0x1000)
    return image(
        [(layout.dram, desc), (layout.iram, code)],
        chip=chip,
        spi_mode=spi_mode,
        spi_speed=spi_speed,
        flash_size=flash_size,
    )


def with_flash_size(image: bytes, flash_size: int) -> bytes:
    """A bootloader whose header says another flash size, its SHA-256 made right: as ``esptool --flash-size`` writes it.

    Raises ``ValueError`` when ``image`` is none that can be followed to its end.
    """
    return with_flash_settings(image, size=(flash_size >> 20).bit_length() - 1)


def with_flash_settings(
    image: bytes, *, mode: int | None = None, frequency: int | None = None, size: int | None = None
) -> bytes:
    """``esptool --flash-mode``, ``--flash-freq``, ``--flash-size``: their codes in the header, its SHA-256 made right.

    Raises ``ValueError`` when ``image`` is none that can be followed to its end.
    """
    if len(image) < _HEADER.size or image[0] != IMAGE_MAGIC:
        raise ValueError("no image: it does not begin with a header")
    byte = image[3]
    byte = byte if frequency is None else byte & 0xF0 | frequency
    byte = byte if size is None else byte & 0xF | size << 4
    return rehashed(image[:2] + bytes([image[2] if mode is None else mode, byte]) + image[4:])


def patched(
    image: bytes, *, version: str | None = None, project_name: str | None = None, secure_version: int | None = None
) -> bytes:
    """A real app image that says it is another release: descriptor rewritten, checksum and SHA-256 made right.

    A signature after the image stays where it is and no longer fits. Raises ``ValueError`` when ``image`` is no app
    image with a descriptor, or a text is too long for its field.
    """
    spans, _ = _segments(image)
    if not spans or spans[0].stop - spans[0].start < _APP_DESC.size:
        raise ValueError("no app descriptor: the first segment is shorter than 256 bytes")
    (magic,) = struct.unpack_from("<I", image, DESC_OFFSET)
    if magic != APP_DESC_MAGIC:
        raise ValueError(f"no app descriptor: the word at 0x20 is 0x{magic:08x}, expected 0x{APP_DESC_MAGIC:08x}")
    changed = bytearray(image)
    if version is not None:
        changed[_VERSION] = _text("version", version, 32)
    if project_name is not None:
        changed[_PROJECT_NAME] = _text("project_name", project_name, 32)
    if secure_version is not None:
        changed[_SECURE_VERSION] = struct.pack("<I", secure_version)
    return resealed(bytes(changed))


def merge(parts: Mapping[int, bytes], *, size: int | None = None) -> bytes:
    """A raw flash image from address zero: each part at its offset, 0xFF between, and after up to ``size``.

    Raises ``ValueError`` when two parts overlap, or one does not fit: into ``size``, into the largest flash without it.
    """
    end, limit = max((offset + len(part) for offset, part in parts.items()), default=0), LARGEST_FLASH
    if size is None and end > limit:
        raise ValueError(f"the parts end at 0x{end:x}, beyond the largest flash, which has 0x{limit:x} bytes")
    if size is not None and not end <= size <= limit:
        raise ValueError(f"the parts end at 0x{end:x}, beyond the flash size 0x{min(size, limit):x}")
    flash = bytearray()
    for offset, part in sorted(parts.items()):
        if offset < len(flash):
            raise ValueError(f"the part at 0x{offset:x} overlaps the one before it, which ends at 0x{len(flash):x}")
        flash += b"\xff" * (offset - len(flash)) + part
    return bytes(flash.ljust(size or 0, b"\xff"))
