"""Every figure the README prints, beside a peer measured in the same run. Exit 1 when a goal is missed."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import (
    campaigns,
    cloud_share,
    clouds,
    crowd,
    downloads,
    searching,
    silicon,
    sockets,
    sweeps,
    watching,
)
from benchmarks.timing import Figure, interleaved, once, process
from py_esp_ota import Flash, PartitionTable, verify_image
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cli.demo.cast import Cast, real_releases
from py_esp_ota.cli.demo.show import Silence
from py_esp_ota.cli.demo.stage import Stage
from py_esp_ota.cli.demo.story import CHAPTERS, play
from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig

MIB = 1 << 20
WEEK_S = 0.05
PREFLIGHT_S = 0.15
BIN = Path(sys.executable).parent


def one_mib_image() -> bytes:
    """A forged app of just below 1 MiB."""
    return Firmware("bench", "1.0.0", chip="esp32s3", size=MIB - 4096).to_bytes()


def verify(image: bytes) -> Figure:
    """The whole verifier against SHA-256 alone, over the same bytes."""
    flash = Flash(4 * MIB)
    flash.program(0x10000, image)

    sizes = itertools.count(2 * MIB, -16)  # each look is another question: none is answered from memory

    def ours() -> None:
        assert verify_image(flash, 0x10000, next(sizes), chip="esp32s3", mode="verify_silent").err == 0

    mine, sha = interleaved(ours, lambda: hashlib.sha256(image).digest(), rounds=61)
    return Figure("verify_image of 1 MiB", mine, "OpenSSL SHA-256 alone", sha, 1.11)


def fork() -> Figure:
    """A copy-on-write fork of a full 4 MiB flash against copying its bytes."""
    flash = Flash.from_bytes(bytes(range(256)) * (4 * MIB // 256))
    raw = bytearray(flash.to_bytes())
    mine, copy = interleaved(flash.fork, lambda: bytearray(raw), rounds=501)
    return Figure("fork of a 4 MiB flash, nothing dirty", mine, "copying the bytes", copy, 1 / 50)


def boots(image: bytes) -> Figure:
    """1,000 boots of a verified, unchanged device; the peer is looking at the image's hash once per boot."""
    device = Device("two_ota_large", firmware=image)
    assert device.power_on().ok

    def ours() -> None:
        for _ in range(1000):
            boot(device.chip, device.config)

    mine, sha = interleaved(ours, lambda: [hashlib.sha256(image).digest() for _ in range(100)], rounds=7)
    name, peer = "1,000 boots of an unchanged device, 1 MiB", "1,000 times SHA-256 of the image"
    return Figure(name, mine, peer, 10 * sha, 0.2)


def image_info(image: bytes) -> Figure:
    """The command as a whole process, against esptool's."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "app.bin"
        file.write_bytes(image)
        mine, theirs = interleaved(
            process([str(BIN / "esp-ota"), "image-info", str(file)]),
            process([sys.executable, "-m", "esptool", "image-info", str(file)]),
            rounds=9,
        )
    name = "esp-ota image-info, 1 MiB, whole process"
    return Figure(name, mine, "esptool image-info", theirs, 0.2)


def preflight() -> Figure:
    """The command as a whole process, on a full dump of 4 MiB, against esptool's look at the image alone."""
    table = PartitionTable.builtin("two_ota_large")
    old, new = (Firmware("bench", version, size=0x1A0000).to_bytes() for version in ("1.0.0", "1.1.0"))
    at = {row.label: row.offset for row in table}
    parts = {0: bootloader(), 0x8000: table.to_bytes(), at["ota_0"]: old, at["ota_1"]: old}
    with tempfile.TemporaryDirectory() as folder:
        dump, image = (Path(folder) / name for name in ("flash.bin", "new.bin"))
        dump.write_bytes(merge(parts).ljust(4 * MIB, b"\xff"))
        image.write_bytes(new)
        mine, theirs = interleaved(
            process([str(BIN / "esp-ota"), "preflight", str(dump), str(image)]),
            process([sys.executable, "-m", "esptool", "image-info", str(image)]),
            rounds=9,
        )
    name = "esp-ota preflight, 4 MiB, whole process"
    return Figure(name, mine, "esptool image-info of the image", theirs, 0.8, also=mine < PREFLIGHT_S)


def update(cast: Cast) -> Figure:
    """Chapter 2 of the demo in the lab, after imports: from the upload to the last report.

    No tool does this elsewhere; beside it stands what it takes to look at that image with esptool.
    """

    async def chapters() -> float:
        async with Lab() as lab:
            stage = Stage(lab, cast, Silence())
            assert (await play(CHAPTERS[0], stage)).ok
            start = _now()
            outcome = await play(CHAPTERS[1], stage)
            seconds = _now() - start
            assert outcome.ok, outcome.got
            return seconds

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.bin"
        file.write_bytes(cast.new)
        look = process([sys.executable, "-m", "esptool", "image-info", str(file)])
        run_virtual(chapters())
        rounds = [(run_virtual(chapters()), once(look)) for _ in range(9)]
    mine, theirs = map(statistics.median, zip(*rounds, strict=True))
    return Figure("one whole OTA in the lab (demo, chapter 2)", mine, "esptool image-info of its image", theirs, 0.6)


def hundred() -> Figure:
    """A hundred devices and their cloud, updated in one room; beside it, one look at one of the images."""
    old, new = (Firmware("lamp", version, size=64 << 10).to_bytes() for version in ("1.0.0", "1.1.0"))

    def ours() -> None:
        with Lab() as lab:
            for _ in range(100):
                lab.device("two_ota", firmware=old).power_on()
            reports = lab.run(lab.update(new, name="1.1.0"))
            assert all(lines[-1]["status"] == "success" for lines in reports.values())

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.bin"
        file.write_bytes(new)
        look = process([sys.executable, "-m", "esptool", "image-info", str(file)])
        mine, theirs = interleaved(ours, look, rounds=5)
    return Figure("100 devices updated in the lab", mine, "one esptool image-info", theirs, 8.0)


def week() -> Figure:
    """Seven days of a node in the lab that asks for an update every 24 hours; beside it, one look at its image.

    Nobody looks at a clock in between: the goal is the fifty milliseconds that a person does not notice.
    """
    old = Firmware("lamp", "1.0.0", size=64 << 10).to_bytes()
    with Lab() as lab, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "old.bin"
        file.write_bytes(old)
        lab.device(firmware=old, node_id="n1", config=Sdkconfig(esp_rmaker_ota_autofetch_period=24)).power_on()
        lab.run(lab.settled("n1", seconds=60))
        look = process([sys.executable, "-m", "esptool", "image-info", str(file)])
        mine, theirs = interleaved(lambda: lab.run(asyncio.sleep(7 * 24 * 3600)), look, rounds=5)
        assert lab.is_online("n1")
    return Figure("a node's week in the lab, asking daily", mine, "esptool image-info", theirs, 0.4, also=mine < WEEK_S)


def _now() -> float:
    return time.perf_counter()


def main() -> int:
    """Print every figure; 1 when one misses its goal."""
    image = one_mib_image()
    figures = [verify(image), fork(), boots(image), image_info(image), preflight(), update(real_releases())]
    figures += [sweeps.clean(), sweeps.torn(), sweeps.second_cuts(), sweeps.migration(), sweeps.shared()]
    figures += [searching.drawn_images(), searching.machine_steps()]
    figures += [hundred(), week(), *clouds.figures()]
    figures += silicon.figures()
    figures += downloads.figures(image)
    figures += watching.figures()
    figures += crowd.figures()
    figures += sockets.figures()
    figures += campaigns.figures()
    figures += cloud_share.figures()
    for figure in figures:
        print(figure.row())
    return int(not all(figure.ok for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
