"""The stage: one lab, one device, one job at a time, and what an audience wants to see of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from py_esp_ota._core import AppDesc, Partition
from py_esp_ota.cli.demo.cast import Cast
from py_esp_ota.lab import Lab
from py_esp_ota.rainmaker.ota import DiagState

_PATIENCE = 300.0  # seconds; longer than any chapter on a real clock
_FINAL = frozenset({"success", "rejected"})
_NODE_ID = "demonode01"


class Audience(Protocol):
    """Who watches. Every method may do nothing."""

    def console(self, line: str) -> None:
        """A line on the device's console."""

    def note(self, text: str) -> None:
        """A remark of the story."""

    def progress(self, what: str, done: int, total: int) -> None:
        """An upload or a download has moved: bytes."""


class StoryError(AssertionError):
    """A step of the story did not come out as it must."""


class Stage:
    """Everything a chapter may do. Raises ``TimeoutError`` when a chapter takes too long."""

    def __init__(self, lab: Lab, cast: Cast, audience: Audience) -> None:
        self.lab = lab
        self.cast = cast
        self.audience = audience
        self.failing_versions: set[str] = set()
        self.job_id: str | None = None
        self.job_status: str | None = None
        self.slot_before: str | None = None
        self.device = lab.device(
            cast.table,
            firmware=cast.old,
            bootloader=cast.bootloader,
            node_id=_NODE_ID,
            ota_diag=self._self_test,
            console=audience.console,
            on_download=lambda done, total: audience.progress("download", done, total),
        )

    def _self_test(self, running: AppDesc, _phase: DiagState) -> bool:
        return running.version not in self.failing_versions

    def begin(self) -> None:
        """A new chapter: forget the last job."""
        self.slot_before = self.running_partition()
        self.job_id = self.job_status = None

    def note(self, text: str) -> None:
        """Tell the audience."""
        self.audience.note(text)

    def require(self, condition: bool, what: str) -> None:
        """Raise ``StoryError`` unless ``condition`` holds."""
        if not condition:
            raise StoryError(f"not so: {what}")

    # ---------------------------------------------------------------------------------------------------- the device

    def running_partition(self) -> str | None:
        """The label of the slot that runs; ``None`` without power."""
        partition: Partition | None = (
            self.device.report.partition if self.device.report and self.device.running else None
        )
        return partition.label if partition else None

    def running_version(self) -> str | None:
        """The version that runs; ``None`` without power."""
        return self.device.running.version if self.device.running else None

    def dark(self) -> bool:
        """Whether the device has lost its power."""
        return not self.device.flash.powered

    def faults(self, plan: str) -> None:
        """Let a fault plan happen to the device from now on; ``""`` mends everything."""
        self.lab.faults(self.device, plan)

    async def online(self) -> None:
        """Wait until the node is online and has asked for work after its boot."""
        await self.lab.settled(_NODE_ID, seconds=_PATIENCE)

    # ----------------------------------------------------------------------------------------------------- the cloud

    async def update(self, firmware: bytes, name: str, until: Callable[[], bool] | None = None) -> None:
        """Upload, start a force-pushed job for the device, wait until it is final (or ``until`` holds)."""
        await self.online()
        image_id = await self.lab.upload(
            firmware, name=name, on_progress=lambda done, total: self.audience.progress("upload", done, total)
        )
        self.job_id = await self.lab.start_job(name, image_id, nodes=[_NODE_ID], force_push=True)
        if until is None:
            await self.finished()
        else:
            await self.lab.until(until, seconds=_PATIENCE, what=f"the middle of {name}")
            await self._refresh()

    async def finished(self) -> None:
        """Wait for the device's last word on the job, and until it is back online."""
        await self.lab.until(self._final, seconds=_PATIENCE, what="the device's last word")
        await self._refresh()

    def failures(self, count: int) -> Callable[[], bool]:
        """A condition: so many ``failed`` reports have arrived."""
        return lambda: sum(report["status"] == "failed" for report in self.reports()) >= count

    async def cancel(self) -> None:
        """Cancel the job."""
        self.require(self.job_id is not None, "there is a job to cancel")
        await self.lab.cancel_job(self.job_id or "")
        await self._refresh()

    def reports(self) -> list[dict[str, str]]:
        """Every status of the job's node so far, oldest first."""
        if self.job_id is None:
            return []
        return self.lab.reports(self.job_id, _NODE_ID)

    def _final(self) -> bool:
        return any(report["status"] in _FINAL for report in self.reports())

    async def _refresh(self) -> None:
        if self.job_id is not None:
            self.job_status = await self.lab.job_status(self.job_id)
