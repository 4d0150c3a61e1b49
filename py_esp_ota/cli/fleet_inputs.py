"""What ``esp-ota fleet`` is given: a file, what it names, and what the call says instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from py_esp_ota.cli.files import Unusable, read_app, read_text
from py_esp_ota.cli.partition_table import read_table

if TYPE_CHECKING:
    from py_esp_ota._core import PartitionTable
    from py_esp_ota.fleet.file import FleetFile
    from py_esp_ota.fleet.parts import Source


@dataclass(frozen=True, slots=True)
class _Files:
    """What a fleet's file names, from the folder that it lies in; whatever was read is kept."""

    folder: Path
    apps: dict[str, bytes] = field(default_factory=dict)
    tables: dict[str, bytes] = field(default_factory=dict)

    def app(self, name: str) -> bytes:
        data = self.apps[name] = read_app(self.folder / name)
        return data

    def table(self, name: str) -> PartitionTable:
        table = read_table(self.folder / name)
        self.tables[name] = table.to_bytes()
        return table


def read(file: Path, devices: int | None, seed: int | None) -> tuple[Source, FleetFile]:
    """The fleet, as plain data and read, with what the call says of it. Raises ``Unusable``."""
    from py_esp_ota.fleet.file import FILE_LIMIT, read_fleet
    from py_esp_ota.fleet.parts import Source

    files = _Files(file.parent)
    text = read_text(file, what="a fleet's file", limit=FILE_LIMIT)
    try:
        read_fleet(text, files)
        source = Source(text, tuple(files.apps.items()), tuple(files.tables.items()), devices, seed)
        return source, source.read()
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error


def refuse_too_many(file: Path, fleet: FleetFile, workers: int) -> None:
    """They have to have room, as ``fleet.room`` reckons it. Raises ``Unusable`` with the number that fits."""
    from py_esp_ota.adapters.room import free_memory
    from py_esp_ota.fleet.room import too_many

    if problem := too_many(fleet.population, fleet.jobs, free_memory(), workers=workers):
        raise Unusable(f"{file}: {problem}")
