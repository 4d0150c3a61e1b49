"""What a cloud answers, taken as strangers' words: shapes that are checked, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import click

from py_esp_ota.cli.files import Unusable

Json = dict[str, Any]


class Refused(click.ClickException):
    """The cloud says no, in its own words: exit 1. ``more`` goes into the object of ``--json``."""

    exit_code = 1

    def __init__(self, message: str, *, error_code: int | str | None = None, status: int = 0, **more: object) -> None:
        """``status``: of HTTP."""
        super().__init__(message)
        self.error_code = error_code
        self.status = status
        self.more = {"error_code": error_code, **more}

    def about(self, what: str, **more: object) -> Self:
        """The same, with the thing named that it is about."""
        return type(self)(f"{what}: {self.message}", error_code=self.error_code, status=self.status, **more)


class Unreached(Unusable):
    """There is no cloud that answers as one: exit 2."""


def listed(answer: Mapping[str, Any], key: str, path: str) -> list[Json]:
    """The objects of a list. Raises ``Unreached``: it is none."""
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unreached(f"{path} answers without a list {key!r}: it is no RainMaker cloud, or another release of it")
    return found


def single(answer: Json, key: str, id_key: str, path: str) -> Json | None:
    """One resource asked for by its id: bare, or the only one of a list. Raises ``Unreached``: it is neither."""
    if key not in answer and id_key in answer:
        return answer
    found = listed(answer, key, path)
    return found[0] if found else None


def text(answer: Mapping[str, Any], key: str) -> str:
    """A value as people read it; nothing for one that is missing."""
    value = answer.get(key)
    return "" if value is None else str(value)


def number(answer: Mapping[str, Any], key: str) -> int:
    """A count or a time; RainMaker writes some as text. 0 for what is none."""
    try:
        return int(answer.get(key) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand below each other; the last one is as long as it likes."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
