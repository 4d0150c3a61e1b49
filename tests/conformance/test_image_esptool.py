"""esptool's own reader, run as a separate program, and ours agree on the sums of the same images."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from py_esp_ota._core import inspect_image
from py_esp_ota.firmware import Firmware, bootloader

# One process for all images: `esptool image-info FILE` for each, its console collected.
RUNNER = """
import contextlib, io, json, sys
import esptool
told = []
for path in sys.argv[1:]:
    console = io.StringIO()
    with contextlib.redirect_stdout(console), contextlib.redirect_stderr(console), contextlib.suppress(SystemExit):
        try:
            esptool.main(["image-info", path])
        except Exception as error:
            print(f"refused: {error}")
    told.append(console.getvalue())
print(json.dumps(told))
"""


def ask_esptool(files: list[Path]) -> list[str]:
    done = subprocess.run([sys.executable, "-c", RUNNER, *map(str, files)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def corpus() -> dict[str, bytes]:
    """Sound images of several chips, and each with one byte of data, checksum or hash changed."""
    draw = random.Random(5)
    images = {}
    for chip in ("esp32", "esp32s2", "esp32c3", "esp32s3", "esp32c6", "esp32h2", "esp32p4"):
        app = Firmware("lamp", "1.0.0", chip=chip).to_bytes()
        places = {"checksum": len(app) - 33, "hash": draw.randrange(len(app) - 32, len(app)), "data": 0x60}
        images[f"{chip} app"] = app
        for what, at in places.items():
            images[f"{chip} {what}"] = app[:at] + bytes([app[at] ^ 0x40]) + app[at + 1 :]
        images[f"{chip} bootloader"] = bootloader(chip=chip)
    return images


def verdict(console: str, line: str) -> bool | None:
    """What esptool says behind ``line``; ``None`` where it does not print that line."""
    for text in console.splitlines():
        if text.startswith(line):
            return "(valid)" in text
    return None


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, str]]:
    folder = tmp_path_factory.mktemp("images")
    images = corpus()
    files = []
    for index, data in enumerate(images.values()):
        files.append(folder / f"{index}.bin")
        files[-1].write_bytes(data)
    return {name: (data, console) for (name, data), console in zip(images.items(), ask_esptool(files), strict=True)}


@pytest.mark.parametrize("name", corpus())
def test_checksum_and_hash_are_judged_as_esptool_judges_them(name, told):
    data, console = told[name]
    info = inspect_image(data).to_dict()
    assert info["checksum"]["valid"] == verdict(console, "Checksum:"), console
    assert info["hash"]["valid"] == verdict(console, "Validation hash:"), console


@pytest.mark.parametrize("name", [name for name in corpus() if name.endswith(("app", "bootloader"))])
def test_segments_are_read_as_esptool_reads_them(name, told):
    data, console = told[name]
    rows = [line.split() for line in console.splitlines() if line.strip()[:1].isdigit() and line.count("0x") == 3]
    # esptool counts a segment from its header, ours from its data.
    expected = [(int(row[2], 16), int(row[1], 16), int(row[3], 16) + 8) for row in rows]
    info = inspect_image(data)
    assert info.valid
    assert [(row.load_addr, row.length, row.offset) for row in info.segments] == expected
