"""The apps of examples/firmware, compiled once in a test run, and images of them."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "examples/firmware"
APPS = ("confirm", "crash", "factory", "hang", "reject", "selftest")


@cache
def _built(chip: str, options: str) -> Path:
    out = Path(tempfile.mkdtemp(prefix="own-firmware-"))
    call = ["make", "-s", "-C", str(SOURCES), f"OUT={out}", f"CHIP={chip}", f"LDFLAGS={options}"]
    subprocess.run(call, check=True, capture_output=True)
    return out


def elf(app: str, *, chip: str = "esp32c3", options: str = "") -> bytes:
    """A linked program. Skips the test where there is no compiler."""
    pytest.importorskip("elftools", reason="pyelftools comes with the extra [silicon]")
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        pytest.skip("riscv64-unknown-elf-gcc is not installed: make system, or apt-get install gcc-riscv64-unknown-elf")
    return (_built(chip, options) / f"{app}.elf").read_bytes()


def firmware(app: str, version: str = "1.0.0", *, chip: str = "esp32c3", options: str = "") -> bytes:
    """An image of it."""
    from py_esp_ota.elf import from_elf

    return from_elf(elf(app, chip=chip, options=options), chip=chip, project_name=app, version=version)


def program(*segments, entry=0x40380000, machine=0xF3, kind=2):
    """An ELF of nothing but program headers, and the sections that esptool wants to see."""
    at = 52 + 32 * len(segments)
    headers, body = b"", b""
    for address, data in segments:
        offset = at + len(body)
        headers += struct.pack("<8I", 1, offset, address, address, len(data), len(data), 7, 4)
        body += data
    names = b"\0.shstrtab\0"
    sections = struct.pack("<10I", *[0] * 10)
    sections += struct.pack("<10I", 1, 3, 0, 0, at + len(body), len(names), 0, 0, 1, 0)
    ident = b"\x7fELF\1\1\1".ljust(16, b"\0")
    counts = (0, 52, 32, len(segments), 40, 2, 1)
    head = struct.pack("<16sHHIIIIIHHHHHH", ident, kind, machine, 1, entry, 52, at + len(body) + len(names), *counts)
    return head + headers + body + names + sections
