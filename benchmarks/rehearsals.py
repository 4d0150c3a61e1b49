"""How long the rehearsal of a campaign takes: every device of it downloads, verifies and boots the image."""

from __future__ import annotations

import time
from dataclasses import dataclass

from py_esp_ota._core import sha256
from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.rehearsals import Copy, Rehearsal, RehearsedJob
from py_esp_ota.firmware import Firmware
from py_esp_ota.rehearsal import rehearse

NOW = 1_790_000_000_000
BOARD = BoardFacts(chip="esp32c3", partitions="two_ota_large", bootloader_idf="v5.5.1", rollback=True, runs="ota_0")


@dataclass(frozen=True)
class Measured:
    """One rehearsal, measured."""

    nodes: int
    seconds: float  # by the clock on the wall
    processor: float  # seconds
    updated: int


def rehearsal_of(nodes: int = 1000, *, size: int = 1 << 20, weather: str = "home-wifi") -> Measured:
    """Rehearse an update of ``nodes`` devices, a fifth of them offline, with images of ``size`` bytes."""
    old, new = (Firmware("lamp", version, size=size).to_bytes() for version in ("1.0.0", "1.1.0"))
    names = [sha256(image).hex() for image in (old, new)]
    copies = tuple(
        Copy(
            node_id=f"node{number:06d}",
            chip="esp32c3",
            project="lamp",
            version="1.0.0",
            image=names[0],
            online=number % 5 != 0,
            board=BOARD,
        )
        for number in range(nodes)
    )
    job = RehearsedJob(name="lamps", image=names[1], model="lamp", fw_version="1.1.0", force_push=True, sizes=(nodes,))
    rehearsal = Rehearsal(now=NOW, job=job, nodes=copies, images=dict(zip(names, (old, new), strict=True)))
    wall, processor = time.perf_counter(), time.process_time()
    forecast = rehearse(rehearsal, weather=weather)
    return Measured(nodes, time.perf_counter() - wall, time.process_time() - processor, forecast.updated)


if __name__ == "__main__":
    print(rehearsal_of())
