"""A campaign rehearsed on a thousand virtual copies of its nodes, beside ten rehearsals of a hundred."""

from __future__ import annotations

import time

from benchmarks.timing import Figure
from py_esp_ota._core import sha256
from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rehearsals import Copy, Rehearsal, RehearsedJob
from py_esp_ota.firmware import Firmware
from py_esp_ota.rehearsal.rehearse import rehearse

MANY, FEW = 1000, 100
LIMIT_S = 60.0
_NOW = 1_790_000_000_000
_WEATHER = "5% app-no"
_BOARD = BoardFacts(
    chip="esp32c3", partitions="two_ota_large", bootloader_idf="v5.5.1", rollback=True, secure_version=0, runs="ota_0"
)


def _campaign(count: int) -> Rehearsal:
    """So many lamps that are online and run another version, in two phases; the image has 1 MiB."""
    new, old = (Firmware("lamp", version, size=1 << 20, chip="esp32c3").to_bytes() for version in ("1.1.0", "1.0.0"))
    names = {data: sha256(data).hex() for data in (new, old)}
    return Rehearsal(
        now=_NOW,
        job=RehearsedJob(
            name="lamps",
            image=names[new],
            model="lamp",
            fw_version="1.1.0",
            force_push=True,
            plan=Plan.from_json({"phases": ["10%", "rest"], "gate": {"success": "50%"}}),
            sizes=(count // 10, count - count // 10),
        ),
        nodes=tuple(
            Copy(
                node_id=f"lamp-{number:04}",
                chip="esp32c3",
                project="lamp",
                version="1.0.0",
                image=names[old],
                online=True,
                board=_BOARD,
            )
            for number in range(count)
        ),
        images={name: data for data, name in names.items()},
    )


def _seconds(count: int) -> float:
    """Of this process, as it plays in a process of its own."""
    campaign = _campaign(count)
    begun = time.process_time()
    forecast = rehearse(campaign, weather=_WEATHER)
    assert (forecast.nodes, forecast.updated + forecast.rolled_back) == (count, count)
    return time.process_time() - begun


def figure() -> Figure:
    """What each node costs must not grow with their number."""
    few = _seconds(FEW)
    many = _seconds(MANY)
    name = "rehearsal of a job for 1,000 nodes"
    return Figure(name, many, "ten rehearsals of a hundred", 10 * few, 2.0, also=many < LIMIT_S)
