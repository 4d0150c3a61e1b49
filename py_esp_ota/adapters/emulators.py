"""Emulators that are programs of others, behind the door of ``silicon.oracle``: Espressif's QEMU, and esp-emu.

Each gets the flash and the eFuses as files in a folder of its own, runs until its console says how the boot ended, and
is stopped. They begin every run with power-on.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from py_esp_ota._core import EFuse
from py_esp_ota.chip import Chip
from py_esp_ota.posix import lacks_posix
from py_esp_ota.silicon.console import ConsoleReader, changes
from py_esp_ota.silicon.report import SiliconReport, Trap

_MIB = 0x100000
#: How long a bootloader that has loaded an app may take to complain instead of jumping.
_MOMENT_S = 0.5
_GRACE_S = 5.0
_CHUNK = 0x10000


class _Program(ABC):
    """One run of a program: what its subclasses share."""

    name = ""
    chips: tuple[str, ...] = ()

    def __init__(self, *, timeout_s: float = 30.0) -> None:
        """``timeout_s``: of one run, in seconds of the real clock."""
        self._timeout_s = timeout_s

    @abstractmethod
    def _program(self, chip: str) -> tuple[str, str]:
        """The program for a chip, and where one gets it."""

    @abstractmethod
    def _command(self, program: str, chip: Chip, folder: Path) -> list[str]:
        """What to start; ``folder`` holds ``flash.bin``, and may get more. Raises ``ValueError``."""

    def unavailable(self, chip: str) -> str | None:
        """This is Windows, the chip is not emulated, or the program is not on PATH."""
        if reason := lacks_posix(f"{self.name} as a child process"):
            return reason
        if chip not in self.chips:
            return f"{self.name} has no {chip}, only {', '.join(self.chips)}"
        program, source = self._program(chip)
        found = shutil.which(program)
        return f"{self.name} needs {program} on PATH: {source}" if found is None else self._lacks(found, chip)

    def _lacks(self, program: str, chip: str) -> str | None:  # noqa: ARG002 (of most nothing is known)
        """Why the program that is there is not the one that is meant."""
        return None

    def boot(self, chip: Chip) -> SiliconReport:
        """One run of the program.

        Raises ``ValueError`` when it does not run this chip, or ends before it begins; ``PowerLoss`` as the flash does.
        """
        name, fuses = chip.target.name, chip.efuse
        for what, on in (("secure boot", fuses.secure_boot_en), ("flash encryption", fuses.flash_encryption_enabled)):
            if on:
                raise ValueError(f"{self.name} is run for chips without {what}; this one has it on in its eFuses")
        reason = lacks_posix(f"{self.name} as a child process")
        found = shutil.which(self._program(name)[0]) if name in self.chips and reason is None else None
        if found is None:
            raise ValueError(self.unavailable(name) or f"{self.name} has just been removed")
        before = chip.flash.to_bytes()
        with tempfile.TemporaryDirectory(prefix="esp-ota-") as place:
            folder = Path(place)
            flash = folder / "flash.bin"
            flash.write_bytes(before)
            command = self._command(found, chip, folder)
            console = _watch(command, folder, self._timeout_s)
            after = flash.read_bytes()
        if console.outcome is None:
            raise ValueError(f"{self.name} {console.reason}")
        writes = changes(before, after)
        for write in writes:
            if write.kind == "erase":
                chip.flash.erase(write.address, write.length)
            else:
                chip.flash.program(write.address, after[write.address : write.address + write.length])
        return SiliconReport(
            outcome=console.outcome,
            entry=None,
            slot=console.slot,
            log=tuple(console.lines),
            flash_writes=tuple(writes),
            instructions=0,
            trap=Trap(console.reason, 0, 0, ()) if console.reason else None,
        )


class Qemu(_Program):
    """Espressif's fork of QEMU, started as ``idf.py qemu`` starts it (tools/idf_py_actions/qemu_ext.py)."""

    name = "qemu"
    chips = ("esp32", "esp32c3", "esp32s3")

    _SIZES = (2 * _MIB, 4 * _MIB, 8 * _MIB, 16 * _MIB)

    def _program(self, chip: str) -> tuple[str, str]:
        cores = "riscv32" if chip == "esp32c3" else "xtensa"
        return f"qemu-system-{cores}", f"python $IDF_PATH/tools/idf_tools.py install qemu-{cores}"

    def _lacks(self, program: str, chip: str) -> str | None:
        """Distributions have a QEMU of the same name, without Espressif's chips."""
        try:
            told = subprocess.run(  # noqa: S603 (the program that the user has on PATH)
                [program, "-M", "help"], capture_output=True, text=True, check=False, timeout=_GRACE_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{program} cannot be run: {error}"
        if any(line.split()[:1] == [chip] for line in told.stdout.splitlines()):
            return None
        return f"{program} has no machine {chip}: it is not Espressif's QEMU"

    def _command(self, program: str, chip: Chip, folder: Path) -> list[str]:
        if chip.flash.size not in self._SIZES:
            raise ValueError(f"qemu has flashes of 2, 4, 8 and 16 MB, and this one has {chip.flash.size // _MIB} MB")
        name = chip.target.name
        (folder / "efuse.bin").write_bytes(efuse_file(chip.efuse))
        return [
            program,
            *("-nographic", "-monitor", "none", "-serial", "stdio", "-M", name),
            *("-drive", f"file={folder / 'flash.bin'},if=mtd,format=raw"),
            *("-drive", f"file={folder / 'efuse.bin'},if=none,format=raw,id=efuse"),
            *("-global", f"driver=nvram.{name}.efuse,property=drive,value=efuse"),
            *("-global", f"driver=timer.{name}.timg,property=wdt_disable,value=true"),
        ]


class EspEmu(_Program):
    """Espressif's esp-emu, started as pytest-embedded-espemu does it: its stdout is the console. It gets no eFuses."""

    name = "esp-emu"
    chips = ("esp32c3", "esp32c6", "esp32h2", "esp32p4", "esp32s31")

    def _program(self, chip: str) -> tuple[str, str]:  # noqa: ARG002 (one for all)
        return "esp-emu", "https://github.com/espressif/esp-emulator"

    def _command(self, program: str, chip: Chip, folder: Path) -> list[str]:
        return [program, "--chip", chip.target.name, "--firmware", str(folder / "flash.bin")]


# ------------------------------------------------------------------------------------------------------------- eFuses

#: Where a field lies in QEMU's file, which is the read registers from EFUSE_RD_WR_DIS_REG on: first bit, width.
_LIKE_C3: Mapping[str, tuple[int, int]] = {
    "disable_wafer_version_major": (160, 1),
    "disable_blk_version_major": (161, 1),
    "wafer_version_minor_lo": (306, 3),
    "blk_version_minor": (312, 3),
    "wafer_version_minor_hi": (375, 1),
    "wafer_version_major": (376, 2),
    "blk_version_major": (512, 2),
}
_C3_BYTES, _ESP32_BYTES = 1024, 124
#: ``CHIP_VER_REV1``, ``CHIP_VER_REV2``: the major revision as so many set bits; ``WAFER_VERSION_MINOR``.
_ESP32_MAJOR, _ESP32_MINOR = (111, 180), 184


def efuse_file(efuse: EFuse) -> bytes:
    """QEMU's eFuse file of a chip: its revisions, which is all that a bootloader without security looks at."""
    major, minor = divmod(efuse.chip_revision, 100)
    block_major, block_minor = divmod(efuse.block_revision, 100)
    bits = 0
    if efuse.chip == "esp32":
        bits = sum(1 << bit for bit in _ESP32_MAJOR[:major]) | (minor & 3) << _ESP32_MINOR
        return bits.to_bytes(_ESP32_BYTES, "little")
    values = {
        "disable_wafer_version_major": int(efuse.disable_wafer_version_major),
        "disable_blk_version_major": int(efuse.disable_blk_version_major),
        "wafer_version_minor_lo": minor & 7,
        "wafer_version_minor_hi": minor >> 3,
        "wafer_version_major": major,
        "blk_version_minor": block_minor,
        "blk_version_major": block_major,
    }
    for field, (bit, width) in _LIKE_C3.items():
        bits |= (values[field] & ((1 << width) - 1)) << bit
    return bits.to_bytes(_C3_BYTES, "little")


# ------------------------------------------------------------------------------------------------------------ a process


def _watch(command: list[str], folder: Path, timeout_s: float) -> ConsoleReader:
    """Run until the console says how it ended, or the time is over. Without an outcome: the program ended before."""
    reader = ConsoleReader()
    complaints = folder / "stderr.txt"
    with complaints.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 (a program that the user named, on files of ours)
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        )
    try:
        ended = _read(process, reader, time.monotonic() + timeout_s)
    finally:
        _stop(process)
    if ended and reader.outcome is None:
        if reader.slot is not None:
            reader.late()
        else:
            said = complaints.read_bytes()[-_CHUNK:].decode("utf-8", "replace").strip().splitlines()
            first = next((line for line in said if "warning" not in line), "and says nothing")
            reader.reason = f"ended by itself with status {process.returncode}: {first}"
    return reader


def _read(process: subprocess.Popen[bytes], reader: ConsoleReader, end: float) -> bool:
    """Feed the reader; whether the program closed its console before all was said."""
    stream: IO[bytes] | None = process.stdout
    if stream is None:
        return True
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while reader.outcome is None:
            left = end - time.monotonic()
            if left <= 0:
                reader.late()
            elif not selector.select(min(left, _MOMENT_S) if reader.leaving else left):
                reader.quiet()
            else:
                data = os.read(stream.fileno(), _CHUNK)
                if not data:
                    return True
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-_CHUNK:]
                any(reader.feed(line.decode("utf-8", "replace")) for line in lines)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started; politely first, so that it writes its files."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(_GRACE_S)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()
