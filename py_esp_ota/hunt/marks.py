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

MEANS: Final[Mapping[str, str]] = {
    "again-and-again": "a board has booted ten times since its job began or ended",
    "already-there": "the cloud closes the job of a board that asks and runs its version",
    "anti-rollback-boot": "a bootloader has looked at the secure version in the eFuses",
    "app-panicked": "an app has panicked, its image's fault or a planned one",
    "approval-given": "a job that asks its users has come to a board, with its user's approval",
    "approval-withheld": "one has not, for nobody approved it in time",
    "both-entries-lost": "a power cut has left no entry of otadata that counts",
    "broker-down-at-work": "the broker went away while a board was about its job",
    "budget-spent": "a report or a question is dropped, for the budget of MQTT is spent",
    "campaign-aborted": "a job that comes in phases has aborted itself, for a board failed or rolled back",
    "cap-reached": "a board's job has failed three times",
    "cloud-restarted-at-work": "the cloud was killed while a board was about its job",
    "confirmation-too-late": "an app on trial was not confirmed in time, and goes back by itself",
    "cut": "a planned power cut has fallen into an operation of the flash",
    "cut-in-boot": "it fell into otadata once a new slot was chosen: the bootloader was writing",
    "cut-in-download": "it fell into an app slot",
    "cut-in-nvs": "it fell into NVS",
    "cut-in-otadata": "it fell into otadata before a new slot was chosen, or after its confirmation",
    "cut-twice": "two of them have fallen on one board",
    "download-resumed": "a download has gone on from where it broke off",
    "encrypted-boot": "a bootloader has found its flash encrypted",
    "entry-torn": "a power cut has left an entry of otadata that is neither whole nor blank",
    "factory-again": "the factory app has booted",
    "fetch-unanswered": "a board's question for jobs had no PUBACK within a minute",
    "fuse-raised": "a secure version was burnt",
    "image-refused": "the cloud takes no job for an image, a damaged one mostly",
    "job-cancelled": "a job was cancelled",
    "job-delayed": "a board waits for the time from which its job is valid",
    "job-failed": "an attempt has failed",
    "late-success": "a board that had failed has the update in the end",
    "mqtt-lost": "a connection was lost",
    "neighbour-waited": "a job that comes to one board of a network at a time has come to another one",
    "offered-twice": "a board was handed jobs twice between two boots",
    "offered-while-busy": "a board was handed a job in the middle of another",
    "otadata-healed": "the bootloader has written a VALID entry for what it booted with a blank otadata",
    "phase-begun": "a job has come to the boards of its second phase",
    "plug-pulled-at-work": "a board lost its power while it was about its job",
    "reason-kept-over-rollback": "an app that was rolled back to tells why, from NVS",
    "report-lost": "a board is done, and the cloud has not heard of it when faults stop",
    "report-without-job": "a board has something to report, and no job under which to do it",
    "rescue-needed": "a board was not at its target by itself, and is offered it once more",
    "reset-needed": "that was not enough, and its reset button is pressed",
    "rollback-reported": "a board has reported that it was rolled back",
    "rollback-taken": "a bootloader has given up an app that nobody confirmed",
    "same-version-rejected": "a board rejects the version that it runs",
    "second-attempt": "a board has begun a second attempt",
    "secure-version-rejected": "a board rejects an image that is older than its eFuses allow",
    "self-test-failed": "a self-test has said no",
    "self-test-silent": "a self-test has said nothing",
    "setting-written": "a user has changed a setting",
    "several-boards": "there is more than one board",
    "slot-skipped": "a slot was not bootable, and another one was tried",
    "target-by-itself": "every board was at its target within half an hour of fair weather",
    "third-slot": "an app has booted in a third slot",
    "trial-begun": "a new app has booted on trial",
}
"""What each says: those of the tables above, and those that the stage and its desk see themselves."""

MARKS: Final[tuple[str, ...]] = tuple(MEANS)
"""All of them, in the order of the alphabet."""


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
