"""Text from outside, made safe to store and to show."""

from __future__ import annotations

import json
from typing import Any

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.strict_json import DEPTH_LIMIT, too_deep

JSON_LIMIT = 128 * 1024
"""Bytes of one MQTT payload or one stored document: what AWS IoT takes in one message."""

_WRITER = json.JSONEncoder(allow_nan=False, ensure_ascii=False)  # NaN is Python's, not JSON's


def line(text: str, what: str, limit: int) -> str:
    """One line of text that was typed by somebody, as it is, or a refusal."""
    if not 0 < len(text) <= limit:
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} has 1 to {limit} characters")
    if not text.isprintable():
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} contains a control character")
    return text


def heard(text: str, limit: int = 1024) -> str:
    """Text that a node sent: kept as far as it can be stored and shown."""
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def storable(document: dict[str, Any], what: str) -> dict[str, Any]:
    """A JSON object that can be stored and sent on. Raises ``ValueError``: too large, too deep or not JSON."""
    try:
        # encode: half of a surrogate pair is no text.
        text = _WRITER.encode(document)
        size = len(text.encode())
    except (ValueError, RecursionError):
        raise ValueError(f"{what}: contains a number or a text that is not JSON") from None
    if size > JSON_LIMIT:
        raise ValueError(f"{what}: {size} bytes are more than {JSON_LIMIT}")
    if too_deep(text):
        raise ValueError(f"{what}: nested deeper than {DEPTH_LIMIT} levels")
    return document


def number_or_refuse(start_id: str | None) -> int | None:
    """A ``start_id`` that counts rows."""
    if start_id is None or start_id == "":
        return None
    if not (start_id.isascii() and start_id.isdigit() and len(start_id) < 19):
        raise CloudError(Refusal.INVALID_REQUEST, "start_id is not a next_id of this list")
    return int(start_id)
