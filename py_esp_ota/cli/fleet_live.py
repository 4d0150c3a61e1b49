"""``esp-ota fleet`` over real sockets: how it is asked for, and what has to be there before the first device boots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from py_esp_ota.cli.cloud.options import Duration
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.output import say
from py_esp_ota.posix import lacks_posix

if TYPE_CHECKING:
    from py_esp_ota.adapters.crowd import CrowdMqtt
    from py_esp_ota.cli.fleet_outside import Place
    from py_esp_ota.fleet import FleetFile, FleetResult, Member
    from py_esp_ota.fleet.result import Told

_F = TypeVar("_F", bound=Callable[..., Any])

_HOUR_S = 3600
_GIB = 1 << 30
_SPARE_FILES = 256  # of this process beside its devices
_DOWNLOADS = 16  # at a time, at least: a download is a file, too
_DEVICE = 320 << 10
"""Bytes of memory that one takes beside its image: the device itself, its connection, its tasks."""

_FOLDER = click.Path(path_type=Path)
_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--serve",), {"type": _FOLDER, "metavar": "DIR", "help": "Over sockets, to the esp-ota serve of this folder."}),
    (
        ("--broker",),
        {"metavar": "URL", "help": "Over sockets, to this broker: mqtts://HOST[:PORT], mqtt:// for no TLS."},
    ),
    (
        ("--nodes", "credentials"),
        {"type": _FOLDER, "metavar": "DIR", "help": "With --broker: certificate and key of each device, PEM files."},
    ),
    (("--ca",), {"type": _FOLDER, "help": "With --broker: the CA of broker and downloads; the system's, without."}),
    (
        ("--cloud",),
        {"metavar": "URL|PROFILE", "help": "With --broker: your login of the cloud in which the job is started."},
    ),
    (("--no-job",), {"is_flag": True, "help": "Over sockets: wait for a job that somebody else starts."}),
    (("--resume",), {"is_flag": True, "help": "Over sockets: resume TLS sessions, which chips do not by themselves."}),
    (("--ramp",), {"type": Duration(), "metavar": "TIME", "help": "Over sockets: switch all on over so long."}),
    (
        ("--within",),
        {
            "type": Duration(),
            "metavar": "TIME",
            "help": "Over sockets: end so long after the job's begin.  [default: 1h]",
        },
    ),
)


def live_options(verb: _F) -> _F:
    """All options of a fleet over sockets; they come as the fields of ``LiveWords``."""
    for names, told in reversed(_OPTIONS):
        verb = click.option(*names, **told)(verb)
    return verb


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveWords:
    """What a call says of it."""

    serve: Path | None
    broker: str | None
    credentials: Path | None
    ca: Path | None
    cloud: str | None
    no_job: bool
    resume: bool
    ramp: int | None
    within: int | None

    @property
    def live(self) -> bool:
        """Whether the fleet is to live over sockets."""
        return self.serve is not None or self.broker is not None

    def check(self) -> None:
        """Raises ``click.UsageError``: words that do not go together."""
        of_broker = {"--nodes": self.credentials, "--ca": self.ca, "--cloud": self.cloud}
        given = [name for name, value in of_broker.items() if value is not None]
        if self.serve is not None and (given or self.broker is not None):
            raise click.UsageError(f"--serve says what {(given or ['--broker'])[0]} says: leave one of them out")
        if self.broker is None and given:
            raise click.UsageError(f"{given[0]} is for --broker")
        of_both = {"--no-job": self.no_job, "--resume": self.resume, "--ramp": self.ramp, "--within": self.within}
        if not self.live and (given := [name for name, value in of_both.items() if value]):
            raise click.UsageError(f"{given[0]} is for a fleet over sockets: --serve DIR or --broker URL")
        if self.no_job and self.cloud is not None:
            raise click.UsageError("--cloud is for starting the job, and --no-job starts none")


def live(fleet: FleetFile, words: LiveWords, told: Told) -> tuple[FleetResult, Mapping[str, str]]:
    """Let a fleet live over sockets; its result, and the fleet's own name of each device.

    Raises ``Unusable``, ``click.UsageError``, and what the cloud refuses.
    """
    from py_esp_ota.cli.fleet_outside import place_of

    if reason := lacks_posix("a fleet over sockets"):
        raise Unusable(reason)
    members = fleet.population.members()
    _check_room(fleet, len(members))
    downloads = _open_files(len(members))
    place = place_of(words, sorted(member.node_id for member in members))
    named = [replace(member, node_id=place.names[member.node_id]) for member in members]
    with place.starting(fleet.jobs, named, job=not words.no_job) as press:
        result = asyncio.run(_live(fleet, named, place, words, downloads, press, told))
    return result, {node_id: name for name, node_id in place.names.items()}


async def _live(
    fleet: FleetFile,
    members: Sequence[Member],
    place: Place,
    words: LiveWords,
    downloads: int,
    press: Callable[[], None] | None,
    told: Told,
) -> FleetResult:
    from py_esp_ota.adapters.clock import SystemClock
    from py_esp_ota.adapters.gate import GatedFetch
    from py_esp_ota.adapters.http import HttpFetch
    from py_esp_ota.device import Doors
    from py_esp_ota.fleet.live import Outside, live_fleet

    async def pressed() -> None:
        if press is not None:
            await asyncio.to_thread(press)

    door = place.door(members, resume=words.resume)
    async with HttpFetch(place.ca_file, timeout=60, hosts=place.hosts) as https:
        outside = Outside(
            doors=Doors(mqtt=door, fetch=GatedFetch(https, downloads), clock=SystemClock()),
            basic_ingest=place.basic_ingest,
            press=None if press is None else pressed,
            ramp=words.ramp or 0,
            within=words.within or _HOUR_S,
        )
        result = await live_fleet(members, fleet.jobs, outside, seed=fleet.population.seed, told=told)
    _tell_of_handshakes(door)
    return result


def _tell_of_handshakes(door: CrowdMqtt) -> None:
    if door.handshakes is not None and door.handshakes.resumed:
        say(f"TLS: {door.handshakes.full} full handshakes, {door.handshakes.resumed} resumed", err=True)


def _check_room(fleet: FleetFile, devices: int) -> None:
    """Raises ``Unusable``: not all fit into memory."""
    from py_esp_ota.adapters.room import free_memory

    free = free_memory()
    each = _DEVICE + max(len(order.image) for order in fleet.jobs)
    if free is not None and devices * each > free:
        fit = free // each
        raise Unusable(
            f"{devices:,} whole devices need {devices * each / _GIB:.1f} GiB of memory, {each >> 10} KiB each, and "
            f"{free / _GIB:.1f} GiB are free: --devices {fit}, or play them in virtual time"
        )


def _open_files(devices: int) -> int:
    """Raise the limit of open files; how many downloads there may be at a time. Raises ``Unusable``: too few files."""
    from py_esp_ota.adapters.open_files import open_files, raise_open_files

    raise_open_files(2 * devices + _SPARE_FILES)
    left = open_files() - _SPARE_FILES - devices
    if left < min(_DOWNLOADS, devices):
        fit = max(open_files() - _SPARE_FILES - _DOWNLOADS, 0)
        raise Unusable(
            f"{devices:,} devices need {devices:,} connections, and this process may open {open_files():,} files: "
            f"--devices {fit}, or a higher limit (ulimit -n {2 * devices + _SPARE_FILES})"
        )
    if left < devices:
        say(f"{open_files():,} files may be open: at most {left:,} downloads at a time", err=True)
    return left
