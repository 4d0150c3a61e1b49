"""A lamp in the lab, a job for it, and a plan of what goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig

NODE = "lamp1"
OLD = Firmware("lamp", "1.0.0").to_bytes()
NEW = Firmware("lamp", "1.1.0").to_bytes()
IMAGES = {"1.0.0": OLD, "1.1.0": NEW}

_SHORT = {
    "": "triggered",
    "OTA URL Sent to Node": "url",
    "Downloading Firmware Image": "downloading",
    "Firmware Image download complete": "complete",
    "OTA Upgrade finished and verified successfully": "SUCCESS",
    "Already on this version": "SUCCESS by version",
    "Firmware rolled back": "ROLLED BACK",
}
_SHORT |= {f"Starting OTA Upgrade (HTTPS attempt {k}/3)": f"start {k}" for k in (1, 2, 3)}
_SHORT |= {
    f"Rebooting into new firmware (after {k} HTTPS attempt{'s' if k > 1 else ''})": "rebooting" for k in (1, 2, 3)
}

GOOD = ["url", "start 1", "downloading", "complete", "rebooting", "SUCCESS"]


@dataclass
class Played:
    """How a story ended."""

    lamp: Device
    heard: list[str]  # the job's history, in short words
    node: Any  # where the node stands in the job, as the cloud sees it
    status: str  # of the job

    @property
    def versions(self) -> list[str]:
        """What was booted, in order."""
        return [boot.app_desc.version if boot.app_desc else "" for boot in self.lamp.boots]

    @property
    def installed(self) -> bytes:
        """The bytes of the running app."""
        partition = self.lamp.report.partition
        version = self.lamp.running.version
        return partition.read(self.lamp.flash, 0, len(IMAGES.get(version, OLD)))

    def is_whole(self) -> bool:
        """Whether the device runs the old or the new image, to the last byte."""
        return self.installed == IMAGES[self.lamp.running.version]


def play(
    plan: str,
    *,
    seconds: float = 900,
    table: str = "two_ota_large",
    config: Sdkconfig | None = None,
    metadata: Mapping[str, object] | None = None,
    mend: bool = False,
) -> Played:
    """Push an update to a lamp while ``plan`` happens to it; with ``mend``, finish it in fair weather afterwards."""
    with Lab() as lab:
        lamp = lab.device(table, firmware=OLD, node_id=NODE, config=config)

        async def story() -> str:
            lamp.power_on()
            await lab.settled(NODE, seconds=60)
            lab.faults(lamp, plan)
            image = await lab.upload(NEW, name="job")
            job = await lab.start_job("job", image, nodes=[NODE], metadata=metadata)
            await asyncio.sleep(seconds)
            if mend:
                await finish(lab, lamp, image, job)
            return job

        job = lab.run(story())
        for task in lab._tasks:
            assert not task.done(), task  # neither device nor cloud has died of a mistake
        heard = [_SHORT.get(report["additional_info"], report["additional_info"]) for report in lab.reports(job, NODE)]
        node = lab.service.jobs.node_status(job).items[0]
        return Played(lamp, heard[1:], node, lab.run(lab.job_status(job)))


async def finish(lab: Lab, lamp: Device, image: str, job: str) -> None:
    """Fair weather, a power cycle, time; and once more when the cloud has closed the job and the lamp is still old."""
    lab.faults(lamp, "")
    lamp.power_off()
    lamp.power_on()
    await asyncio.sleep(900)
    node = lab.service.jobs.node_status(job).items[0]
    assert node.closed, node  # in fair weather no job stays open for long
    assert lamp.running is not None
    if lamp.running.version == "1.0.0":
        assert node.status.value != "success", node
        again = await lab.start_job("again", image, nodes=[NODE])
        await asyncio.sleep(900)
        node = lab.service.jobs.node_status(again).items[0]
        assert node.status.value == "success", node
    assert (lamp.running.version, lamp.state) == ("1.1.0", "VALID")
