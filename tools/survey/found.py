"""What a folder or an archive holds for a chip: bootloaders, apps, and merged images of a whole flash."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from py_esp_ota._core import ImageInfo, inspect_image, sha256
from py_esp_ota.idf.detect import detect_start, detect_target, load_flash

Kind = Literal["bootloader", "app", "merged"]

_LARGEST = 64 << 20
_DEEPEST = 3
_MAGIC = 0xE9
_UF2_BLOCK, _UF2_MAGIC = 512, b"UF2\n\x57\x51\x5d\x9e"
#: Where projects put the table, by frequency.
_TABLES = (0x8000, 0x9000, 0x10000)
_VERSION = re.compile(rb"v\d+\.\d+(?:\.\d+)?(?:-[\w.-]+)?(?=\0)")
_ROOM = 0x8000


@dataclass(frozen=True)
class Found:
    """One image. ``path`` is where it lies, inside of archives too; ``data`` the whole file for a merged one."""

    path: str
    kind: Kind
    chip: str
    idf: str
    data: bytes
    sha256: str
    #: Where a merged image begins in flash, and where its partition table lies.
    start: int = 0
    table: int = 0x8000


def found_in(file: Path) -> Iterator[Found]:
    """Every image in a folder, an archive or a file, in the order of their paths; each content once."""
    seen = set()
    for path, data in _files(file):
        one = recognised(path, data)
        if one is not None and one.sha256 not in seen:
            seen.add(one.sha256)
            yield one


def recognised(path: str, data: bytes) -> Found | None:
    """What these bytes are, if they are something for a chip."""
    for table in _TABLES:
        start = detect_start(data, table)
        if start is not None:
            return _merged(path, data, start, table)
    info = inspect_image(data) if data[:1] == bytes([_MAGIC]) else None
    if info is None or not _is_whole(info) or info.chip is None or info.kind == "unknown":
        return None
    image = data[: info.length]
    return Found(path, info.kind, info.chip, _release(info, image), image, sha256(image).hex())


def _merged(path: str, data: bytes, start: int, table: int) -> Found | None:
    flash = load_flash(data, table, start=start)
    target = detect_target(flash, table)
    if target is None:
        return None
    room = flash.read(target.bootloader_offset, _ROOM)
    info = inspect_image(room)
    if not _is_whole(info):
        return None
    return Found(
        path, "merged", target.name, _release(info, room[: info.length]), data, sha256(data).hex(), start, table
    )


def _is_whole(info: ImageInfo) -> bool:
    """ESP8266 has the same first byte, and another form behind it."""
    return info.checksum_stored is not None and info.checksum_stored == info.checksum_calculated


def _release(info: ImageInfo, image: bytes) -> str:
    desc = info.app_desc or info.bootloader_desc
    if desc is not None and desc.idf_ver:
        return desc.idf_ver
    text = _VERSION.search(image)
    return text[0].decode() if text else ""


def _files(file: Path) -> Iterator[tuple[str, bytes]]:
    if file.is_dir():
        for inner in sorted(inner for inner in file.rglob("*") if inner.is_file() and not inner.is_symlink()):
            if 0 < inner.stat().st_size <= _LARGEST:
                yield from _opened(inner.relative_to(file).as_posix(), inner.read_bytes(), _DEEPEST)
    else:
        yield from ((path.partition("/")[2], data) for path, data in _opened(file.name, file.read_bytes(), _DEEPEST))


def _opened(path: str, data: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    """The file itself, or what is in it when it is an archive."""
    inner = _members(path, data) if depth else None
    if inner is None:
        yield path, data
        return
    try:
        for name, content in inner:
            yield from _opened(f"{path}/{name}", content, depth - 1)
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, RuntimeError, NotImplementedError):
        return  # damaged, or locked by a password: what could be read was


def _members(path: str, data: bytes) -> Iterator[tuple[str, bytes]] | None:
    if data[:4] == b"PK\x03\x04":
        return _zip(data)
    if data[:2] == b"\x1f\x8b":
        packed_tar = path.endswith((".tar.gz", ".tgz", ".crate"))
        return _tar(data) if packed_tar else _gz(data)
    if path.endswith(".tar") or data[257:262] == b"ustar":
        return _tar(data)
    return iter([("uf2", uf2_content(data))]) if data[:8] == _UF2_MAGIC else None


def _gz(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "gz", gzip.GzipFile(fileobj=io.BytesIO(data)).read(_LARGEST)


def _zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if not info.is_dir() and info.file_size <= _LARGEST:
                yield info.filename, archive.read(info)


def _tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in sorted(archive.getmembers(), key=lambda info: info.name):
            content = archive.extractfile(info) if info.isfile() and info.size <= _LARGEST else None
            if content is not None:
                yield info.name, content.read()


def uf2_content(data: bytes) -> bytes:
    """The bytes of a UF2 file, from its lowest address on, with FF where it says nothing."""
    parts = {}
    for at in range(0, len(data) - _UF2_BLOCK + 1, _UF2_BLOCK):
        address, length = (int.from_bytes(data[at + field : at + field + 4], "little") for field in (12, 16))
        if data[at : at + 8] == _UF2_MAGIC and length <= _UF2_BLOCK - 36:
            parts[address] = data[at + 32 : at + 32 + length]
    first, last = min(parts, default=0), max(parts, default=0)
    if last - first > _LARGEST:
        return b""
    content = bytearray(b"\xff" * (last - first + _UF2_BLOCK))
    for address, part in parts.items():
        content[address - first : address - first + len(part)] = part
    return bytes(content)
