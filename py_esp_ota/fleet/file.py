"""The file that describes a fleet, in TOML: what there is, who meets what, and which job it is given.

::

    devices = 1000
    seed = 7

    [job]
    version = "1.1.0"

    [[kind]]
    name = "lamp"
    version = "1.0.0"
    weather = { self_test_fails = 0.02, plans = [{ share = 0.01, plan = "cut@40" }] }

docs/reference/fleet.md has all of its words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any, Protocol

from py_esp_ota._core import ImageHeader, PartitionTable, Target, inspect_image
from py_esp_ota.faults import parse
from py_esp_ota.fleet.images import FORGED, forged
from py_esp_ota.fleet.jobs import jobs_of
from py_esp_ota.fleet.members import STILL, JobOrder, Kind, KindWeather
from py_esp_ota.fleet.population import DEVICES_LIMIT, NOON, SEED_LIMIT, Population
from py_esp_ota.fleet.written import Table, no_word
from py_esp_ota.rehearsal.climate import Climate, Line, climate_of
from py_esp_ota.rehearsal.likeness import USUAL_TABLE, app_slot
from py_esp_ota.releases import Version, release_of
from py_esp_ota.sdkconfig import Sdkconfig

FILE_LIMIT = 1 << 20
"""Bytes of a file."""
KINDS_LIMIT = 1000

USUAL_CHIP, USUAL_PROJECT, USUAL_VERSION, USUAL_SIZE = "esp32c3", "device", "1.0.0", 0x10000

_TOP = ("devices", "seed", "begin", "job", "kind")
_KIND = ("name", "share", "image", *FORGED, "partitions", "idf", "rollback", "config", "weather")
_WEATHER = ("climate", "plans", "self_test_fails", "offline", "offline_at_night", "night")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_WEIGHT_LIMIT = 1e9
_HOURS = range(24)
_OPTIONS = frozenset(field.name for field in fields(Sdkconfig)) - {"idf_version", "secure_boot_verification_key"}


class Files(Protocol):
    """Who reads what a file names. A name that cannot be read is refused by whoever reads it."""

    def app(self, name: str) -> bytes:
        """A valid app image."""

    def table(self, name: str) -> PartitionTable:
        """A partition table."""


class _NoFiles:
    """Nobody."""

    def app(self, name: str) -> bytes:
        raise ValueError(f"image: {name[:60]!r} is a file's name, and nobody reads files here")

    def table(self, name: str) -> PartitionTable:
        raise ValueError(f"partitions: {name[:60]!r} is a file's name, and nobody reads files here")


@dataclass(frozen=True, slots=True)
class FleetFile:
    """What a file describes."""

    population: Population
    jobs: tuple[JobOrder, ...]  # every kind is in one of them


def read_fleet(text: str, files: Files | None = None) -> FleetFile:
    """The fleet that a text describes; ``files`` reads what it names.

    Raises ``ValueError``: one sentence that names the key, and the nearest right word.
    """
    files = files or _NoFiles()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no TOML: {error}") from None
    except RecursionError:
        raise ValueError("no TOML: it is nested too deeply") from None
    top = Table(document)
    top.only(*_TOP)
    kinds = tuple(_kind(table, files) for table in top.tables("kind"))
    names = [kind.name for kind in kinds]
    if not kinds:
        raise ValueError("kind: there is none; begin one with [[kind]]")
    if len(kinds) > KINDS_LIMIT:
        raise ValueError(f"kind: at most {KINDS_LIMIT}, not {len(kinds)}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"kind: two are called {twice}")
    population = Population(
        kinds=kinds,
        devices=top.whole("devices", 100, low=1, high=DEVICES_LIMIT),
        seed=top.whole("seed", 0, low=0, high=SEED_LIMIT - 1),
        begin=_begin(top),
    )
    return FleetFile(population, jobs_of(top, population, files.app))


def _begin(top: Table) -> int:
    value = top.values.get("begin")
    if value is None:
        return NOON
    if not isinstance(value, date):
        raise top.wrong("begin", "expected a time, as 2026-01-31T22:00:00Z")
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not NOON - 366 * 86_400 * 6 <= seconds < 2**32:
        raise top.wrong("begin", f"{value} is no time that a device knows: from 2020 to 2106")
    return int(seconds)


# --------------------------------------------------------------------------------------------------------------- kinds


def _kind(table: Table, files: Files) -> Kind:
    name = table.text("name")
    if not _NAME.fullmatch(name):
        raise table.wrong("name", "expected small letters, digits and hyphens, at most 32, as lamp-c3")
    told = Table(table.values, f"kind {name}: ")
    told.only(*_KIND)
    release = _release(told)
    image = _image(told, release, files.app)
    desc, number = inspect_image(image).app_desc, ImageHeader.from_bytes(image).chip_id
    chip = Target.from_chip_id(number)
    if chip is None:
        raise told.wrong("image", f"nobody knows a chip of number {number}")
    partitions = _partitions(told, files)
    try:
        slot = app_slot(partitions)
    except ValueError as error:
        raise told.wrong("partitions", str(error)) from None
    if len(image) > slot.size:
        raise told.wrong("partitions", f"its image has {len(image)} bytes, and partition {slot.label} only {slot.size}")
    return Kind(
        name=name,
        share=told.number("share", 1, high=_WEIGHT_LIMIT),
        chip=chip.name,
        table=partitions,
        image=image,
        config=_config(told, release or (desc and release_of(desc.idf_ver))),
        weather=_weather(told.table("weather")),
    )


def _release(table: Table) -> Version | None:
    text = table.text("idf")
    release = release_of(text) if text else None
    if text and release is None:
        raise table.wrong("idf", f"{text[:40]!r} is no release, for example v5.5.1")
    return release


def _image(table: Table, release: Version | None, read: Callable[[str], bytes]) -> bytes:
    name = table.text("image")
    if name:
        for key in table.has(*FORGED):
            raise table.wrong(key, "an image says it itself; it is for one that is made up")
        return read(name)
    idf = release or Sdkconfig().idf_version
    return forged(table, chip=USUAL_CHIP, project=USUAL_PROJECT, version=USUAL_VERSION, size=USUAL_SIZE, idf=idf)


def _partitions(table: Table, files: Files) -> PartitionTable:
    name = table.text("partitions", USUAL_TABLE)
    known = PartitionTable.builtin_names()
    if name in known:
        return PartitionTable.builtin(name)
    if "." not in name and "/" not in name:
        raise no_word(f"{table.where}partitions: ", name, known, "partition table here, nor a file's name")
    return files.table(name)


def _config(table: Table, release: Version | None) -> Sdkconfig:
    told = table.table("config")
    found: dict[str, Any] = {"bootloader_app_rollback_enable": table.flag("rollback", usual=True)}
    if release:
        found["idf_version"] = release
    for key, value in told.values.items():
        option = key.lower().removeprefix("config_")
        if option not in _OPTIONS:
            near = get_close_matches(option, _OPTIONS, n=1)
            hint = f"; perhaps {near[0].upper()}" if near else ""
            raise ValueError(f"{told.where}{key[:60]} is no option that anything here depends on{hint}")
        found[option] = tuple(value) if isinstance(value, list) else value
    try:
        config = Sdkconfig(**found)
        config.check()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{table.where}config: {error}") from None
    return config


# ------------------------------------------------------------------------------------------------------------- weather


def _weather(table: Table) -> KindWeather:
    table.only(*_WEATHER)
    return KindWeather(
        climate=_climate(table),
        self_test_fails=table.share("self_test_fails"),
        offline=table.share("offline"),
        offline_at_night=table.share("offline_at_night"),
        night=_night(table),
    )


def _climate(table: Table) -> Climate:
    text = table.text("climate")
    try:
        climate = climate_of(text) if text else STILL
    except ValueError as error:
        raise table.wrong("climate", str(error).removeprefix("weather: ")) from None
    lines = [*climate.lines, *map(_line, table.tables("plans"))]
    total = sum(line.share for line in lines)
    if total > 100:
        raise table.wrong("plans", f"the shares make {total / 100:g}, more than all devices")
    return replace(climate, lines=tuple(lines))


def _line(table: Table) -> Line:
    table.only("share", "plan")
    text = table.text("plan")
    try:
        plan = str(parse(text))
    except ValueError as error:
        raise table.wrong("plan", str(error)) from None
    return Line(100 * table.share("share"), plan)


def _night(table: Table) -> tuple[int, int]:
    hours = table.values.get("night", KindWeather().night)
    match hours:
        case [down, up] | (down, up) if down != up and all(type(hour) is int and hour in _HOURS for hour in hours):
            return down, up
        case _:
            raise table.wrong("night", "expected two hours in UTC, as [22, 6]")
