"""How many devices one core updates, and how many fit: fleets on shared lives, and a lab with as few as it takes.

``python -m benchmarks.fleets 100000`` for another number than the 5,000 of ``make bench``; with ``--idle 1000000`` so
many come and wait, and that is all: three minutes of the processor, and 2 GiB.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from benchmarks.cloud_share import _resident
from benchmarks.timing import Figure, fresh
from py_esp_ota import PartitionTable, Sdkconfig
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.faults import parse
from py_esp_ota.firmware import Firmware
from py_esp_ota.fleet import JobOrder, Kind, Population, run_fleet
from py_esp_ota.lab import Lab
from py_esp_ota.lives.breed import Breed
from py_esp_ota.lives.crowd import open_crowd
from py_esp_ota.rehearsal.likeness import app_slot, flashed
from py_esp_ota.world import EPOCH

DEVICES = 5000
PEERS = 50
WARM = 50  # devices before: what there is once is not theirs
EACH_PER_SECOND = 1000  # updates, of one core
EACH_BYTES = 30 << 10  # so that 100,000 fit into 3 GiB
IDLE_BYTES = 20 << 10  # so that a million fit into 20 GiB

_SIZE = 256 << 10
_TABLE = "two_ota"
_OLD, _NEW = (Firmware("lamp", version, size=_SIZE).to_bytes() for version in ("1.0.0", "1.1.0"))


def _fleet(devices: int) -> tuple[float, int]:
    """Seconds of the processor and bytes of one device and its whole update: boots, download, cloud, and a check."""
    table = PartitionTable.builtin(_TABLE)
    kind = Kind(name="lamp", share=1.0, chip="esp32c3", table=table, image=_OLD, config=Sdkconfig())
    population = Population(kinds=(kind,), devices=devices)
    before, began = _resident(), time.process_time()
    result = run_virtual(run_fleet(population, JobOrder(image=_NEW), told=lambda _so_far: None))
    spent = time.process_time() - began
    assert result.ok, result.counts
    assert result.checked
    return spent / devices, (_resident() - before) // devices


def _lab(devices: int) -> float:
    """The same of one in a lab, where each is whole."""
    began = time.process_time()
    with Lab() as lab:
        for _ in range(devices):
            lab.device(_TABLE, firmware=_OLD).power_on()
        reports = lab.run(lab.update(_NEW, name="1.1.0"))
        assert all(lines[-1]["status"] == "success" for lines in reports.values())
    return (time.process_time() - began) / devices


async def _idle(devices: int) -> int:
    """Bytes of one device that has booted, told the cloud who it is, and waits."""
    table = PartitionTable.builtin(_TABLE)
    flash = flashed(table, {app_slot(table).offset: _OLD}, chip="esp32c3", release="v5.5.1")
    config = Sdkconfig(esp_rmaker_mqtt_use_basic_ingest_topics=True)
    async with open_crowd(epoch=EPOCH) as crowd:
        breed, before = Breed(table, flash, _OLD, config, parse("")), _resident()
        for number in range(devices):
            crowd.switch_on(crowd.add(f"lamp-{number:07}", breed))
            if number % 100 == 0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(60)
        crowd.check()
        assert len(crowd.service.nodes.online(crowd.members)) == devices
        return (_resident() - before) // devices


def _played(devices: int) -> tuple[float, int]:
    _fleet(WARM)
    return _fleet(devices)


def _waiting(devices: int) -> tuple[float, int]:
    """Seconds of the processor and bytes of one device that waits."""
    run_virtual(_idle(WARM))
    began = time.process_time()
    memory = run_virtual(_idle(devices))
    return (time.process_time() - began) / devices, memory


def update(devices: int = DEVICES) -> Figure:
    """A fleet's update, whole."""
    (mine, memory), peer = fresh(_played, devices), _lab(PEERS)
    a_second = f"{EACH_PER_SECOND:,} a second ({1 / mine:,.0f})"
    note = f", {a_second} and {EACH_BYTES >> 10} KiB a device ({memory / 1024:.1f} KiB)"
    enough = mine <= 1 / EACH_PER_SECOND and memory <= EACH_BYTES
    name = "one OTA of a fleet, 256 KiB, whole"
    return Figure(name, mine, "one in a lab, whole", peer, 0.2, also=enough, note=note)


def idle(devices: int = DEVICES) -> Figure:
    """A device that comes, tells the cloud who it is, and waits; beside it a whole update in a lab."""
    mine, memory = fresh(_waiting, devices)
    note = f", {IDLE_BYTES >> 10} KiB a device ({memory / 1024:.1f} KiB)"
    name = "one device of a fleet comes and waits"
    return Figure(name, mine, "one OTA in a lab", _lab(PEERS), 0.2, also=memory <= IDLE_BYTES, note=note)


def figures() -> list[Figure]:
    """Both; of memory only Linux tells."""
    return [idle(), update()] if sys.platform == "linux" else []


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("devices", type=int, nargs="?", default=DEVICES)
    words.add_argument("--idle", type=int, metavar="N", help="so many that wait, and nothing else")
    said = words.parse_args()
    for made in [idle(said.idle)] if said.idle else [idle(said.devices), update(said.devices)]:
        print(made.row())
