"""The forge for programs: an ELF that a linker made becomes an app image, and tells its functions by address.

Program headers become segments. A segment of the flash windows has to lie at a place of the file that equals its
address modulo the MMU's page; what fills the gap before it is a piece of a RAM segment, or a segment of zeros, as
``esptool elf2image --use-segments`` does it. Needs pyelftools, which comes with ``[silicon]``.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from py_esp_ota.extras import missing
from py_esp_ota.firmware import APP_DESC_MAGIC, LARGEST_FLASH, MMU_PAGE, image, patched, resealed
from py_esp_ota.function_names import FunctionNames

try:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
except ModuleNotFoundError as error:  # the base install makes and boots images, it does not look into programs
    raise missing("a linked program", "silicon", error) from None

_IMAGE_HEADER = 24
_SEGMENT_HEADER = 8
_DESC_LENGTH = 256
_ELF_SHA256 = slice(0xB0, 0xD0)  # of the image, and so the descriptor is where it should be
_PAGE_SIZE_AT = 180  # of the descriptor: log2 of the MMU's page, 0 for the chip's own
_LARGEST_SEGMENT = 16 << 20

Segment = tuple[int, bytes]

#: What the cache shows of the flash: the chips whose linker scripts are RISC-V's.
_WINDOWS = {
    "esp32c2": (range(0x3C000000, 0x3C400000), range(0x42000000, 0x42400000)),
    "esp32c3": (range(0x3C000000, 0x3C800000), range(0x42000000, 0x42800000)),
    "esp32c6": (range(0x42000000, 0x43000000),),
    "esp32h2": (range(0x42000000, 0x43000000),),
}


def from_elf(
    elf: bytes,
    *,
    chip: str = "esp32c3",
    project_name: str | None = None,
    version: str | None = None,
    secure_version: int | None = None,
    hash_appended: bool = True,
) -> bytes:
    """The app image of a linked program, its descriptor filled in, checksum and SHA-256 appended.

    Args:
        elf: a statically linked RISC-V program for ``chip``, whose constants begin with ``esp_app_desc_t``.
        chip: which chip, ``"esp32c3"``.
        project_name: goes into the descriptor; what the linker put there stays when not given.
        version: the same.
        secure_version: the same.
        hash_appended: end the image with its SHA-256.

    Raises:
        ValueError: it is no such program, or its segments do not fit this chip's flash.
        ModuleNotFoundError: pyelftools is not installed.
    """
    try:
        windows = _WINDOWS[chip]
    except KeyError:
        raise ValueError(f"programs become images for {', '.join(_WINDOWS)}, not for {chip!r}") from None
    entry, segments = _segments_of(elf)
    flash = [part for part in segments if any(part[0] in window for window in windows)]
    ram = [part for part in segments if part not in flash]
    # On a chip with one window the constants lie behind the code, but their descriptor has to come first.
    flash.sort(key=lambda part: not _has_desc(part[1]))
    made = image(_laid_out(flash, ram), chip=chip, entry_addr=entry, hash_appended=hash_appended)
    if not flash or not _has_desc(flash[0][1]):
        if any(value is not None for value in (project_name, version, secure_version)):
            raise ValueError("the program has no esp_app_desc_t at the beginning of its constants to write names into")
        return made
    made = made[: _ELF_SHA256.start] + hashlib.sha256(elf).digest() + made[_ELF_SHA256.stop :]
    if project_name is None and version is None and secure_version is None:
        return resealed(made)
    return patched(made, project_name=project_name, version=version, secure_version=secure_version)


_RISCV = {"EM_RISCV": "RISC-V"}
_ALL_CPUS = {**_RISCV, "EM_XTENSA": "Xtensa"}


def _opened(elf: bytes, cpus: Mapping[str, str] = _RISCV) -> Any:
    """The file, found to be a 32-bit program for one of ``cpus``. Raises ``ValueError``."""
    try:
        file = ELFFile(BytesIO(elf))
        machine, kind = file["e_machine"], file["e_type"]
    except _BROKEN as error:
        raise ValueError(f"no ELF file: {error or type(error).__name__}") from None
    if file.elfclass != 32 or machine not in cpus:
        wanted = " or ".join(cpus.values())
        raise ValueError(f"the ELF file is {machine} with {file.elfclass} bits, not 32-bit {wanted}")
    if kind != "ET_EXEC":
        raise ValueError(f"the ELF file is {kind}, not a linked program (ET_EXEC)")
    return file


_BROKEN = (ELFError, ValueError, struct.error, ArithmeticError, KeyError, AttributeError, TypeError, IndexError)


def _segments_of(elf: bytes) -> tuple[int, list[Segment]]:
    """The entry address, and what is to be loaded, by its address."""
    file = _opened(elf)
    found: list[Segment] = []
    room = LARGEST_FLASH  # headers may all name the same bytes of the file
    try:
        for header in file.iter_segments("PT_LOAD"):
            address, length = int(header["p_paddr"]), int(header["p_filesz"])
            room -= length
            if room < 0:
                raise ValueError(f"its segments have more than the 0x{LARGEST_FLASH:x} bytes of the largest flash")
            if address and length:
                found.append((address, _padded(elf, int(header["p_offset"]), length)))
    except _BROKEN as error:
        raise ValueError(f"the ELF file's program headers cannot be read: {error or type(error).__name__}") from None
    if not found:
        raise ValueError("the ELF file has nothing to load")
    return int(file["e_entry"]), sorted(found)


def _padded(elf: bytes, offset: int, length: int) -> bytes:
    data = elf[offset : offset + length]
    if len(data) != length or length > _LARGEST_SEGMENT:
        raise ValueError(f"a segment of 0x{length:x} bytes at 0x{offset:x} does not lie in the file")
    return data + bytes(-length % 4)


def _has_desc(data: bytes) -> bool:
    return len(data) >= _DESC_LENGTH and data[:4] == struct.pack("<I", APP_DESC_MAGIC)


def _laid_out(flash: Sequence[Segment], ram: Sequence[Segment]) -> list[Segment]:
    """The segments in the order of the file, with what fills the gaps between them."""
    page = _mmu_page(flash)
    laid, left, position = [], list(ram), _IMAGE_HEADER
    last: Segment | None = None
    for address, data in flash:
        if last is not None and address // page == last[0] // page:
            raise ValueError(f"the segments at 0x{last[0]:08x} and 0x{address:08x} share one page of the MMU")
        last = (address, data)
        while (gap := page - position % page + address % page - _SEGMENT_HEADER) not in {0, page}:
            room = gap - _SEGMENT_HEADER  # the filler has a header of its own
            room += page if room < 0 else 0
            filler = _piece(left, room) if left and room > _SEGMENT_HEADER else (0, bytes(room))
            laid.append(filler)
            position += _SEGMENT_HEADER + len(filler[1])
        laid.append((address, data))
        position += _SEGMENT_HEADER + len(data)
    return laid + left


def _piece(left: list[Segment], room: int) -> Segment:
    """The first ``room`` bytes of what is left, or all of its first segment."""
    address, data = left[0]
    if len(data) <= room:
        return left.pop(0)
    left[0] = (address + room, data[room:])
    return address, data[:room]


def _mmu_page(flash: Sequence[Segment]) -> int:
    exponent = flash[0][1][_PAGE_SIZE_AT] if flash and _has_desc(flash[0][1]) else 0
    return 1 << exponent if 13 <= exponent <= 16 else MMU_PAGE


# ------------------------------------------------------------------------------------------------------------- symbols


class Symbols(FunctionNames):
    """The functions of a program: which one holds an address."""

    __slots__ = ()

    @classmethod
    def from_elf(cls, elf: bytes) -> Symbols:
        """From its symbol table; empty when it was stripped. Raises ``ValueError`` for what is no program."""
        try:
            table = _opened(elf, _ALL_CPUS).get_section_by_name(".symtab")
            return cls.of(
                (int(symbol["st_value"]), symbol.name, int(symbol["st_size"]))
                for symbol in (table.iter_symbols() if table else ())
                if symbol["st_info"]["type"] in {"STT_FUNC", "STT_NOTYPE"} and symbol["st_shndx"] != "SHN_ABS"
            )
        except _BROKEN as error:
            raise ValueError(f"the ELF file's symbols cannot be read: {error}") from None


def elf_sha256(elf: bytes) -> bytes:
    """What ``app_elf_sha256`` of the descriptor says of the program that an image was made of."""
    return hashlib.sha256(elf).digest()
