"""What each lesson shows in the page, and the task that it ends with there: ``page/tasks.js`` asks the engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """``look`` says what the linked state shows, ``within`` in which story the task is done: in any when ``""``.

    ``asks`` is what a text is asked for, where one is, and ``given`` what stands there.
    """

    look: str
    title: str
    text: str
    within: str = ""
    asks: str = ""
    given: str = ""


TASKS: Mapping[str, Task] = {
    "nor": Task(
        "The power went while a page of the new image was programmed: of the bits that were to fall, some have.",
        "Make it brick",
        "One byte, no erase, and nothing boots any more. Which one? The form to *touch the flash* is below the cells.",
    ),
    "image": Task(
        "The download came with a wrong bit. The console says that it was noticed, the map that the old app is whole.",
        "Break it, unseen",
        "Change an image so that its checksum still fits and the hash alone says no. Two bytes will do: what one "
        "loses, the other has to lose, too.",
    ),
    "partition-table": Task(
        "The first lines of the console are the table, row by row; the rows of the flash map are its partitions.",
        "Save it",
        "An app of 900 KiB, a flash of 2 MiB, and it must be updated over the air. With this table it cannot be.",
        asks="A partition table, as CSV",
        given="nvs,data,nvs,0x9000,16K\nfactory,app,factory,0x10000,1M\n",
    ),
    "otadata": Task(
        "The program that switches to the new slot, without its last four bytes. They are the CRC: the old app boots.",
        "Save it",
        "In the story `reject` the new version said no: at its end the entry is INVALID, which is 3. Let the "
        "bootloader begin with that slot once more. You have no erase, and you do not need one.",
        within="reject",
    ),
    "the-life-of-a-slot": Task(
        "The new app has just said yes, and the power went between erase and program. Its entry is blank: power it up.",
        "Save it, lose it",
        "In the story `confirm`, lead the update into each of four states: PENDING_VERIFY, VALID, INVALID, ABORTED.",
        within="confirm",
    ),
    "who-confirms": Task(
        "The version that will fail its self-test was chosen and has not booted. Power it up, and let it say no.",
        "Lose it",
        "In the story `confirm` the new version works and would say yes. Pull the plug so that it is lost.",
        within="confirm",
    ),
    "anti-rollback": Task(
        "The app has confirmed itself, and the fuse is not burnt yet. The next boot burns what is missing: go on.",
        "Lock yourself out",
        "Leave the flash as it is. Which secure version in the fuses, as small as can be, lets this chip boot nothing?",
        within="anti-rollback",
    ),
    "the-whole-job": Task(
        "A plug in the trial boot: nobody confirmed, the old version is up again, and its agent begins the job anew.",
        "Make it fail",
        "Pull the plug so that the new version runs in the end, confirmed, and the cloud is never told `success`.",
        within="agent-job",
    ),
}
