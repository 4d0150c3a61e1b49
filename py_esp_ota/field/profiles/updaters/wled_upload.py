"""WLED's upload (wled00/ota_update.cpp, wled_metadata.cpp): the release name first, then Arduino's ``Update``."""

from __future__ import annotations

from typing import NamedTuple

from py_esp_ota.field.profiles.profile import Answer
from py_esp_ota.field.profiles.updaters import arduino_update
from py_esp_ota.field.profiles.updaters.answering import UpdaterError, refused
from py_esp_ota.idf.app_update.ota_ops import OtaOps

#: ``WLED_CUSTOM_DESC_MAGIC`` as it lies in an image.
_MAGIC = b"STSW"
_VERSION, _RELEASE, _HASH, _SAFE, _END = 8, 56, 104, 108, 111
#: It has to be in the first piece that reaches this far: ``METADATA_OFFSET`` and ``METADATA_SEARCH_RANGE``.
_REACHES, _PIECE = 256 + 512, 1436
_V4 = "_V4"


class Metadata(NamedTuple):
    """``wled_metadata_t``: which build an image is. ``safe_from``: the release that may be updated with it."""

    layout: int
    version: str
    release: str
    safe_from: tuple[int, ...]

    @property
    def plain_release(self) -> str:
        """``normalizeReleaseName``."""
        return self.release.removesuffix(_V4)


def find_metadata(image: bytes) -> Metadata | None:
    """``findWledMetadata`` in the first piece of an upload; ``None`` for none, or a damaged one."""
    head = image[: max(_PIECE, _REACHES)]
    at = head.find(_MAGIC)
    while at >= 0:
        found = head[at : at + _END]
        release = _text(found[_RELEASE:_HASH])
        if len(found) == _END and found[_HASH:_SAFE] == _djb2(release).to_bytes(4, "little"):
            return Metadata(found[4], _text(found[_VERSION:_RELEASE]), release, tuple(found[_SAFE:]))
        at = head.find(_MAGIC, at + 1)
    return None


def refusal(running: Metadata, new: Metadata | None) -> str:
    """``shouldAllowOTA``: what WLED says against an upload, ``""`` for nothing."""
    if new is None:
        return "This firmware file is missing compatibility metadata."
    if new.plain_release != running.plain_release:
        return f"Firmware release name mismatch: current='{running.release}', uploaded='{new.release}'."
    if new.layout > 1 and _too_old(running.version, new.safe_from):
        least = ".".join(map(str, new.safe_from))
        return f"Cannot update from this version: requires at least {least}, current='{running.version}'."
    return ""


def _too_old(version: str, least: tuple[int, ...]) -> bool:
    """Number by number, up to the first that is no number."""
    for part, wanted in zip(version.split("."), least, strict=False):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits or int(digits) != wanted:
            return bool(digits) and int(digits) < wanted
    return False


def update(ops: OtaOps, image: bytes) -> None:
    """An upload in the browser, not told to ignore validation. Raises ``UpdaterError``.

    A running app without such metadata is a WLED from before there was any: it validates nothing.
    """
    running = find_metadata(ops.partitions.mmap(ops.get_running_partition(), 0, _PIECE))
    said = "" if running is None else refusal(running, find_metadata(image))
    if said:
        raise _declined(said)
    arduino_update.update(ops, image)


def _declined(said: str) -> UpdaterError:
    return refused("WLED", Answer(500, "validateOTA", said), "'Ignore firmware validation' takes it all the same")


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("latin-1")


def _djb2(text: str) -> int:
    """``djb2_hash_runtime``."""
    value = 5381
    for byte in text.encode("latin-1"):
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value
