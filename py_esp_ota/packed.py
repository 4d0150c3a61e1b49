"""Bytes as a text that fits in a line of a report, and back. Part of the forge: it makes bytes and asks no judge."""

from __future__ import annotations

import zlib
from base64 import b64encode, b85decode, b85encode


def packed(data: bytes) -> str:
    """A text of plain letters without quotes and backslashes; an image that is mostly zeros becomes short."""
    return b85encode(zlib.compress(data, 9)).decode()


def unpacked(text: str) -> bytes:
    """The bytes that ``packed`` had. Raises ``ValueError`` for any other text."""
    try:
        return zlib.decompress(b85decode(text))
    except zlib.error as error:
        raise ValueError(f"the text packs no bytes: {error}") from error


def deflated(data: bytes) -> str:
    """A text that a browser unpacks by itself: base64 of what its ``DecompressionStream("deflate")`` takes."""
    return b64encode(zlib.compress(data, 9)).decode()
