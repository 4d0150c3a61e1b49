"""The seven chapters: what is done to one device, and how each must end.

A chapter is a short coroutine that acts on the stage. How it ended is read off the device and the cloud and compared in
one place, so that a chapter cannot pass by accident.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from py_esp_ota.cli.demo.stage import Stage


@dataclass(frozen=True)
class Ending:
    """How a chapter ends: the slot that runs, and the last words the cloud heard about the job."""

    version: str
    state: str
    slot: str  # "same" or "other", compared with the slot before the chapter; "first" for the factory-new device
    job: str | None = None
    last_status: str | None = None
    last_info: str | None = None

    def __str__(self) -> str:
        words = f"{self.version} {self.state} in the {self.slot} slot"
        return words if self.job is None else f"{words}; {self.last_status}: {self.last_info}; job {self.job}"


@dataclass(frozen=True)
class Chapter:
    """One chapter: its name, what a reader should know, what is done, how it must end."""

    name: str
    tells: str
    act: Callable[[Stage], Awaitable[None]]
    expected: Callable[[Stage], Ending]


@dataclass
class Outcome:
    """One chapter, played."""

    name: str
    ok: bool
    expected: str
    got: str
    job_status: str | None
    node_status: list[dict[str, str]]
    running: dict[str, str | None]
    problem: str | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, object]:
        """The chapter as ``esp-ota demo --json`` prints it."""
        return {
            "name": self.name,
            "ok": self.ok,
            "expected": self.expected,
            "got": self.got,
            "job_status": self.job_status,
            "node_status": self.node_status,
            "running": self.running,
        }


REJECTED, SUCCESS, FAILED = "rejected", "success", "failed"
CONFIRMED = "OTA Upgrade finished and verified successfully"
CORRUPT_BYTE = 100_000
ATTEMPTS = 3


async def boot_the_old_one(stage: Stage) -> None:
    """A factory-new device boots the first release."""
    stage.device.power_on()
    await stage.online()


async def update(stage: Stage) -> None:
    """Upload the second release and push it."""
    await stage.update(stage.cast.new, "second-release")


async def self_test_fails(stage: Stage) -> None:
    """Push an image whose self-test says no."""
    stage.failing_versions.add(stage.cast.failing_version)
    await stage.update(stage.cast.failing, "self-test-fails")


async def same_version(stage: Stage) -> None:
    """Push what already runs. Other bytes, same version: the device decides."""
    await stage.update(stage.cast.new, "same-version")


async def other_project(stage: Stage) -> None:
    """Push somebody else's firmware."""
    await stage.update(stage.cast.other, "other-project")


async def corrupted(stage: Stage) -> None:
    """One bit flips on the way, each time; the job is cancelled after the third attempt."""
    stage.faults(f"flip@{CORRUPT_BYTE}")
    await stage.update(stage.cast.next, "corrupted-on-the-way", until=stage.failures(ATTEMPTS))
    stage.faults("")
    await stage.cancel()


async def power_cut(stage: Stage) -> None:
    """The plug is pulled in the middle of the download; power comes back; the device asks again."""
    stage.faults(f"cut@{stage.cast.cut_operation}:torn")
    await stage.update(stage.cast.next, "power-cut", until=stage.dark)
    stage.note(f"power lost; flash operations done: {stage.device.flash.operations}")
    stage.device.power_on()
    stage.require(stage.running_version() == stage.cast.new_version, "the old firmware boots after the cut")
    await stage.finished()


CHAPTERS = (
    Chapter(
        "boot",
        "A factory-new device boots the first release.",
        boot_the_old_one,
        lambda s: Ending(s.cast.old_version, "VALID", "first"),
    ),
    Chapter(
        "update",
        "The second release is uploaded, a job pushes it, the device takes it and confirms itself.",
        update,
        lambda s: Ending(s.cast.new_version, "VALID", "other", "completed", SUCCESS, CONFIRMED),
    ),
    Chapter(
        "self-test fails",
        "A build whose self-test says no on its first boot: it is rolled back, and the cloud says why.",
        self_test_fails,
        lambda s: Ending(s.cast.new_version, "VALID", "same", "completed", REJECTED, "Firmware rolled back"),
    ),
    Chapter(
        "same version",
        "The version that already runs is pushed again.",
        same_version,
        lambda s: Ending(s.cast.new_version, "VALID", "same", "completed", REJECTED, "Same version received"),
    ),
    Chapter(
        "another project",
        "An image of another project is pushed.",
        other_project,
        lambda s: Ending(s.cast.new_version, "VALID", "same", "completed", REJECTED, "Project Name mismatch"),
    ),
    Chapter(
        "corrupted image",
        "One bit flips on the way, in each of three attempts. Then the job is cancelled.",
        corrupted,
        lambda s: Ending(
            s.cast.new_version,
            "VALID",
            "same",
            "cancelled",
            FAILED,
            f"OTA Attempt {ATTEMPTS}/{ATTEMPTS} failed: Image validation failed",
        ),
    ),
    Chapter(
        "power cut",
        "The plug is pulled in the middle of the download. Afterwards the device starts over and finishes.",
        power_cut,
        lambda s: Ending(s.cast.next_version, "VALID", "other", "completed", SUCCESS, CONFIRMED),
    ),
)


async def play(chapter: Chapter, stage: Stage) -> Outcome:
    """Act one chapter and compare its end with what was expected."""
    stage.begin()
    problem = None
    try:
        await chapter.act(stage)
    except TimeoutError as error:
        problem = str(error) or "it took too long"
    except AssertionError as error:
        problem = str(error)
    expected = chapter.expected(stage)
    got = _ending(stage)
    return Outcome(
        name=chapter.name,
        ok=problem is None and got == expected,
        expected=str(expected),
        got=str(got) if problem is None else f"{got} ({problem})",
        job_status=got.job,
        node_status=stage.reports(),
        running={
            "partition": stage.running_partition(),
            "version": stage.running_version(),
            "state": stage.device.state,
        },
        problem=problem,
    )


def _ending(stage: Stage) -> Ending:
    before, now = stage.slot_before, stage.running_partition()
    said = stage.reports()
    return Ending(
        version=stage.running_version() or "nothing",
        state=stage.device.state,
        slot="first" if before is None and now is not None else "same" if before == now else "other",
        job=stage.job_status,
        last_status=said[-1]["status"] if said else None,
        last_info=said[-1]["additional_info"] if said else None,
    )
