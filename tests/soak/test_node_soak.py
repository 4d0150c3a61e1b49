"""``kill -9`` of ``esp-ota node`` in the middle of updates, again and again: it always comes to a truthful end.

``make soak-node`` does it 100 times (KILLS), at other moments with another SEED; here it is six times.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from node_process import Cloud, serving, told
from ready import Process

from py_esp_ota._core import Flash
from py_esp_ota.adapters.mosquitto import find_mosquitto
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.sdkconfig import Sdkconfig

KILLS = int(os.environ.get("ESP_OTA_KILLS", "6"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))
NODES = 6
IN_ONE_UPDATE = 3  # kills at most, then it is left alone
LONGEST_S = 17.0  # from the boot over the fetch and a slow download to the reboot and the first boot of the new one
LINES = 90  # that it says from one boot to the next, and a little more
SLOW = "slow@20000"  # bytes a second: the download takes some seconds
VERSIONS = ("1.0.0", "1.1.0")

#: What a node may say last, and whether it then runs the new version. The last is what a real node tells that lost its
#: power between the mark in otadata and its report: the mark is made, the job is served again, the version is there.
ENDS = {
    ("success", "OTA Upgrade finished and verified successfully"): True,
    ("rejected", "Firmware rolled back"): False,
    ("rejected", "Same version received"): True,
}
#: What upstream tells when the power went between that mark and the end of its flag in NVS.
FLAG_LEFT = ("rejected", "Firmware rolled back")

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(240 + 20 * KILLS),
]


@dataclass
class Story:
    """One node's life: updates to and fro, killed at any moment."""

    cloud: Cloud
    images: dict[str, str]
    folder: Path
    node_id: str
    kills: int
    wrong: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    flag_left: bool = False
    said_at: Counter[str] = field(default_factory=Counter)  # the last thing before a kill

    @property
    def flash(self) -> Path:
        return self.folder / f"{self.node_id}.flash"

    def tell(self) -> Story:
        """All of it."""
        chance = random.Random(f"{SEED} {self.node_id}")
        self.run("--firmware", self.folder / "1.0.0.bin", "--until", "connected")
        while self.kills:
            self.update(chance)
        return self

    def update(self, chance: random.Random) -> None:
        """One job, some kills, and the end of it."""
        old, _ = self.running()
        (new,) = set(VERSIONS) - {old}
        job = self.cloud.job(f"{self.node_id} to {new}", self.images[new], self.node_id)
        for _ in range(min(self.kills, chance.randint(1, IN_ONE_UPDATE))):
            self.kill(chance, new)
        if self.cloud.status(job, self.node_id)[0] not in {"success", "rejected"}:
            code, said = self.run("--until", "update", "--timeout", "90")
            if code not in {0, 1}:
                self.wrong.append(f"{self.node_id}: exit {code}: {said[-500:]}")
        status = self.cloud.status(job, self.node_id)
        self.run("--until", "connected")  # what is not confirmed yet is now, or taken back
        now, state = self.running()
        self.ends[": ".join(status)] += 1
        truth = ENDS.get(status) if not (self.flag_left and status == FLAG_LEFT) else True
        self.flag_left = False
        if truth is None or now != (new if truth else old) or state != "VALID":
            self.wrong.append(f"{self.node_id}, {old} to {new}: says {status}, runs {now} {state}")

    def kill(self, chance: random.Random, new: str) -> None:
        """Let it live so long, or until it has said so much: at a boot much happens in no time."""
        process = self.start("--json")
        output = process.stdout.readline()  # it is awake
        bell = threading.Timer(chance.uniform(0.0, LONGEST_S), process.kill)
        bell.start()
        if chance.random() < 0.5:
            lines = chance.randrange(20, LINES)
            while output.count("\n") < lines and (line := process.stdout.readline()):
                output += line
            process.kill()
        output += process.communicate()[0]
        bell.cancel()
        lines = told(self.whole_lines(output))
        up = [json.loads(each["payload"]) for each in lines if each["kind"] == "up" and "otastatus" in each["topic"]]
        self.said_at[up[-1]["additional_info"] if up else "nothing of an update"] += 1
        self.kills -= 1
        version, state = self.running()
        self.flag_left |= (version, state) == (new, "VALID") and self.flagged()
        if version not in VERSIONS:
            self.wrong.append(f"{self.node_id}: nothing boots")

    def flagged(self) -> bool:
        """Whether NVS says that an update waits for its confirmation."""
        chip = Chip(flash=Flash.from_bytes(self.flash.read_bytes(), size=4 << 20))
        return FlashNvs(chip, Sdkconfig()).get("rmaker_ota", "ota_update") is not None

    @staticmethod
    def whole_lines(output: str) -> str:
        return output[: output.rfind("\n") + 1]

    def start(self, *words: object):
        where = ("--serve", self.cloud.data, "--node-id", self.node_id, "--fault", SLOW)
        return Process("node", self.flash, *where, *words)

    def run(self, *words: object) -> tuple[int, str]:
        process = self.start(*words)
        try:
            said = process.communicate(timeout=120)[0]
            return process.returncode, said
        finally:
            process.kill()
            process.wait()

    def running(self) -> tuple[str, str]:
        """The version that a bootloader would start now, and its state; the file is not touched."""
        report = boot(Chip(flash=Flash.from_bytes(self.flash.read_bytes(), size=4 << 20)), Sdkconfig())
        return (report.app_desc.version if report.app_desc else "", report.state)


def test_a_node_that_is_killed_at_any_moment_comes_to_a_truthful_end(tmp_path, capsys):
    images = {version: Firmware("lamp", version, size=0x14000).to_bytes() for version in VERSIONS}
    for version, image in images.items():
        (tmp_path / f"{version}.bin").write_bytes(image)
    with serving(tmp_path / "data") as cloud:
        kept = {version: cloud.upload(version, image) for version, image in images.items()}
        shares = [len(range(number, KILLS, NODES)) for number in range(NODES)]
        stories = [Story(cloud, kept, tmp_path, f"n{number}", share) for number, share in enumerate(shares)]
        with ThreadPoolExecutor(NODES) as together:
            stories = list(together.map(Story.tell, stories))
    with capsys.disabled():
        print(f"\n{KILLS} kills, seed {SEED}")  # noqa: T201 - for who runs it by hand
        for name in ("said_at", "ends"):
            counted = sum((getattr(story, name) for story in stories), Counter())
            print(f"{name}: " + ", ".join(f"{count} {text!r}" for text, count in counted.most_common()))  # noqa: T201
    assert [wrong for story in stories for wrong in story.wrong] == []
