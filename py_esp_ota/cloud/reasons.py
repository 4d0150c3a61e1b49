"""Why a node ended without its update: the words of firmware, sorted into reasons that somebody can act on. Pure."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A reason, by its short name."""

    NONE = ""
    ROLLED_BACK = "rolled_back"
    OTHER = "other"


ROLLED_BACK = "Firmware rolled back"


def reason_of(status: str, additional_info: str) -> Reason:
    """Why a node that says this is, or will be, without its update; ``NONE`` where nothing is wrong."""
    if status not in {"failed", "rejected"}:
        return Reason.NONE
    return Reason.ROLLED_BACK if additional_info.startswith(ROLLED_BACK) else Reason.OTHER
