"""What happens sometimes: if a campaign never saw one of these, it did not look where it should have.

A promise that holds because nothing ever tried it is worth nothing. Each mark is seen in one of four ways: in a line of
a console, in a boot report, in what the cloud heard, or by the stage itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.hunt.desk import ALREADY, Word
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.rollback import OtaImgState

#: By what a line of a console has in it.
_LINES: Final[Mapping[str, str]] = {
    "Could not verify firmware even after": "confirmation-too-late",
    "Diagnostics failed!": "self-test-failed",
    "Guru Meditation": "app-panicked",
    "OTA already in progress": "offered-while-busy",
    "Out of MQTT Budget": "budget-spent",
    "OTA fetch timeout": "fetch-unanswered",
    "Rollback failure reason found": "reason-kept-over-rollback",
    "Not reporting any status": "report-without-job",
    "Will try reconnecting": "mqtt-lost",
    "Waiting for application to validate": "self-test-silent",
    "Secure version (from eFuse)": "anti-rollback-boot",
    "flash encryption": "encrypted-boot",
}

#: By what a node says of a job.
_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("rejected", "Firmware rolled back"): "rollback-reported",
    ("failed", ""): "job-failed",
    ("success", ALREADY): "already-there",
    ("rejected", "ame version"): "same-version-rejected",
    ("rejected", "ecure version"): "secure-version-rejected",
    ("in-progress", "attempt 2"): "second-attempt",
    ("in-progress", "Attempt 2"): "second-attempt",
    ("delayed", ""): "job-delayed",
}

_BOOTS: Final[Mapping[str, Callable[[BootReport], bool]]] = {
    "rollback-taken": lambda report: any(
        write.entry.ota_state == OtaImgState.ABORTED for write in report.otadata_writes
    ),
    "trial-begun": lambda report: report.state == OtaImgState.PENDING_VERIFY.name,
    "otadata-healed": lambda report: any(line.startswith("set_actual_ota_seq") for line in report.why),
    "slot-skipped": lambda report: any("is not bootable" in line for line in report.why),
    "third-slot": lambda report: report.partition is not None and report.partition.ota_slot == 2,
    "factory-again": lambda report: report.partition is not None and report.partition.subtype == 0,
}

#: Those that the stage and its desk see themselves.
_OTHERS: Final = (
    "cut", "cut-in-boot", "cut-in-download", "cut-in-otadata", "cut-in-nvs", "cut-twice", "both-entries-lost",
    "entry-torn", "late-success", "cap-reached", "job-cancelled", "cloud-restarted-at-work", "broker-down-at-work",
    "plug-pulled-at-work", "offered-twice", "report-lost", "rescue-needed", "reset-needed", "setting-written",
    "image-refused", "target-by-itself", "several-boards", "again-and-again", "download-resumed", "fuse-raised",
)  # fmt: skip

MARKS: Final[tuple[str, ...]] = tuple(sorted({*_LINES.values(), *_WORDS.values(), *_BOOTS, *_OTHERS}))
"""All of them."""


@lru_cache(1 << 14)
def marks_of_line(line: str) -> tuple[str, ...]:
    """What a line of a console shows."""
    return tuple(mark for text, mark in _LINES.items() if text in line)


def marks_of_boot(report: BootReport) -> Iterator[str]:
    """What a boot shows."""
    return (mark for mark, shows in _BOOTS.items() if shows(report))


def marks_of_left(left: Sequence[OtaSelectEntry]) -> Iterator[str]:
    """What a power cut left in otadata."""
    blank = [entry.to_bytes() == b"\xff" * 32 for entry in left]
    if any(not entry.crc_ok and not empty for entry, empty in zip(left, blank, strict=True)):
        yield "entry-torn"
    if left and not any(entry.valid for entry in left):
        yield "both-entries-lost"


def marks_of_words(words: Sequence[Word]) -> Iterator[str]:
    """What a node said of one job, from the first word to the last."""
    for word in words:
        yield from (
            mark for (status, info), mark in _WORDS.items() if word.status == status and info in word.additional_info
        )
    said = [word.status for word in words]
    if "failed" in said and "success" in said[said.index("failed") :]:
        yield "late-success"
    if said.count("failed") >= 3:
        yield "cap-reached"
