"""A story for who sees it for the first time: six lamps of four chips, and what becomes of their updates.

Everything is ordered as anybody would order it, from the service and the population, and happens as it happens: no row
is written that a node or the cloud did not write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from py_esp_ota.cloud.jobs import NodeStatus
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.virtual_nodes import Dials, NewNodes
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.ota_time import MINUTES_IN_DAY, local_minute, named_zone
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.virtual_nodes.population import Population

_FACTORY = "1.0.0"
_SIZE = 0x18000
_SETTLED_S = 7.0  # a node asks for an update 5 s after its boot; a job pushed before is served twice
_PATIENCE_S = 120.0
_LOOK_S = 0.2
_WINDOW_MINUTES = 60
_CUT = "cut@"


@dataclass(frozen=True, slots=True)
class Part:
    """One lamp: what it is, what comes its way, and what a visitor should see in it."""

    name: str
    prefix: str
    chip: str
    version: str  # that it is offered
    weather: str
    waits: bool  # for its download window
    told: str
    until: frozenset[NodeStatus]  # how far it has come when its story can be looked at


_DONE = frozenset({NodeStatus.SUCCESS})
PARTS: Sequence[Part] = (
    Part("Desk lamp", "desk", "esp32c3", "1.1.0", "", False, "took 1.1.0, passed its self-test and runs it", _DONE),
    Part("Hall lamp", "hall", "esp32", "1.1.0", "", False, "did the same on another chip", _DONE),
    Part(
        "Porch lamp", "porch", "esp32s3", "1.2.0", "app-no", False,
        "booted 1.2.0, whose self-test failed, and rolled back to 1.0.0", frozenset({NodeStatus.REJECTED}),
    ),
    Part(
        "Garden lamp", "garden", "esp32c6", "1.1.0", f"{_CUT}160:torn", False,
        "lost its power in the middle of a write and lies dead: switch it on, and see that it boots",
        frozenset({NodeStatus.IN_PROGRESS}),
    ),
    Part(
        "Stairs lamp", "stairs", "esp32c3", "1.1.0", "slow@400", False,
        "is downloading over a slow link: watch its flash map fill", frozenset({NodeStatus.IN_PROGRESS}),
    ),
    Part(
        "Attic lamp", "attic", "esp32c3", "1.1.0", "", True,
        "waits for its download window, an hour from now", frozenset({NodeStatus.DELAYED}),
    ),
)  # fmt: skip


async def play(nodes: Population, service: CloudService, url: str, say: Callable[[str], None]) -> None:
    """Play the story, and say where to look at it; a folder that has it already is left to go on.

    Args:
        nodes: who makes the lamps.
        service: the cloud they belong to.
        url: of the page.
        say: prints one line.
    """
    there = {node.node_id.rpartition("-")[0] for node in nodes.all()}
    if {part.prefix for part in PARTS} & there:
        say("The lamps of the demo are in this folder already, and go on as they were.")
        return
    say(f"{len(PARTS)} virtual lamps of {len({part.chip for part in PARTS})} chips come online ...")
    ids = [await _made(nodes, service, part) for part in PARTS]
    await _until(lambda: all(map(service.nodes.is_online, ids)))
    await asyncio.sleep(_SETTLED_S)
    pairs = list(zip(PARTS, ids, strict=True))
    for part, node_id in pairs:
        if part.weather:
            await nodes.turn([node_id], Dials(weather=part.weather))
    jobs = _jobs(service, pairs)
    say(f"{len(set(jobs.values()))} jobs are on their way; half a minute, and every lamp has its story ...")
    told = [await _ended(nodes, service, part, node_id, jobs[node_id]) for part, node_id in pairs]
    say("")
    for (part, node_id), words in zip(pairs, told, strict=True):
        say(f"{part.name + ',':<13}{part.chip + ',':<9}{words}\n    {url}/nodes/{node_id}")
    say(f"\nAll of it is alive: update them, pull their plugs, add more at {url}/nodes")


async def _made(nodes: Population, service: CloudService, part: Part) -> str:
    image = _image(service, part.chip, _FACTORY)
    (node_id,) = await nodes.add(NewNodes(count=1, ota_image_id=image, name=part.name, prefix=part.prefix))
    return node_id


def _image(service: CloudService, chip: str, version: str) -> str:
    name = f"lamp-{version}-{chip}"
    found = service.images.find(name=name).items
    if found:
        return found[0].ota_image_id
    return service.images.add(name, Firmware("lamp", version, chip=chip, size=_SIZE).to_bytes()).ota_image_id


def _jobs(service: CloudService, pairs: Sequence[tuple[Part, str]]) -> Mapping[str, str]:
    """One job for all that get the same image in the same way; the job of each node."""
    alike: dict[tuple[str, str, bool], list[str]] = {}
    for part, node_id in pairs:
        alike.setdefault((part.chip, part.version, part.waits), []).append(node_id)
    jobs: dict[str, str] = {}
    for (chip, version, waits), ids in alike.items():
        made = service.jobs.create(
            f"lamp {version} for {chip}" + (", at its hour" if waits else ""),
            _image(service, chip, version),
            nodes=ids,
            metadata=_window(service.ground.clock.now()) if waits else None,
            force_push=True,
        )
        jobs |= dict.fromkeys(ids, made.job.ota_job_id)
    return jobs


def _window(now: float) -> Mapping[str, object]:
    """A download window an hour from now, for an hour, as the minutes of the node's day."""
    start = local_minute(now, named_zone(Sdkconfig().esp_rmaker_def_timezone)) + _WINDOW_MINUTES
    return {"download_window": {"start": start % MINUTES_IN_DAY, "end": (start + _WINDOW_MINUTES) % MINUTES_IN_DAY}}


async def _ended(nodes: Population, service: CloudService, part: Part, node_id: str, job: str) -> str:
    """What became of a lamp: its part when it came so far, else what the cloud knows instead."""

    def has_come_so_far() -> bool:
        state, node = service.jobs.state(job, node_id), nodes.get(node_id)
        cut = part.weather.startswith(_CUT)
        return (
            state is not None and state.status in part.until and not (cut and node is not None and node.power == "on")
        )

    if not await _until(has_come_so_far):
        state = service.jobs.state(job, node_id)
        return "is gone" if state is None else f"{state.status}: {state.additional_info}"
    if part.weather.startswith(_CUT):
        await nodes.turn([node_id], Dials())  # it happened; nothing more is in its way
    return part.told


async def _until(condition: Callable[[], bool]) -> bool:
    """Wait for it, but not for ever: a lamp that a visitor has taken away meanwhile has no story."""
    waited = 0.0
    while not condition():
        if waited > _PATIENCE_S:
            return False
        await asyncio.sleep(_LOOK_S)
        waited += _LOOK_S
    return True
