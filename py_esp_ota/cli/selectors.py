"""How parttool.py names a partition: by its name, by type and subtype, or as the one that boots by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from py_esp_ota._core import Partition
from py_esp_ota.cli.complete import labels

_F = TypeVar("_F", bound=Callable[..., Any])

_APP, _FACTORY, _OTA_0 = 0x00, 0x00, 0x10
_SELECTORS = (
    click.option("--partition-name", "-n", shell_complete=labels(), help="A partition by its name."),
    click.option("--partition-type", "-t", help="A partition by type, and perhaps subtype: names or numbers."),
    click.option("--partition-subtype", "-s", help="The subtype."),
)


def selectors(function: _F) -> _F:
    """The options ``partition_name``, ``partition_type`` and ``partition_subtype``."""
    for option in reversed(_SELECTORS):
        function = option(function)
    return function


def selected(rows: Iterable[Partition], name: str | None, kind: str | None, subtype: str | None) -> list[Partition]:
    """All of this name, or, without one, of this type; any subtype without one."""
    if name is not None:
        return [row for row in rows if row.label == name]
    if kind is None:
        return []
    return [
        row
        for row in rows
        if _is(kind, row.type_name, row.type) and (subtype is None or _is(subtype, row.subtype_name, row.subtype))
    ]


def default_boot(rows: Iterable[Partition]) -> Partition | None:
    """parttool.py's ``--partition-boot-default``: factory, else the first OTA slot there is."""
    apps = {row.subtype: row for row in reversed(list(rows)) if row.type == _APP}
    return next((apps[subtype] for subtype in (_FACTORY, *range(_OTA_0, _OTA_0 + 16)) if subtype in apps), None)


def _is(said: str, name: str, number: int) -> bool:
    try:
        return int(said, 0) == number
    except ValueError:
        return said == name
