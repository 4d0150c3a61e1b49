"""Stands for Espressif's emulators: takes their arguments, prints a console, changes the flash file, goes on for ever.

What it boots with is our model. ``FAKE_EMULATOR`` makes it one of the ways in which a real one fails.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig

BANNER = ["ESP-ROM:esp32c3-api1-20210207", "Build:Feb  7 2021", "rst:{:#x} ({}),boot:0x8 (SPI_FAST_FLASH_BOOT)"]


def say(*lines: str) -> None:
    sys.stdout.write("".join(line + "\r\n" for line in lines))
    sys.stdout.flush()


def arguments(words: list[str]) -> tuple[str, Path, Path | None]:
    """The chip, the flash file, the eFuse file."""
    if "--firmware" in words:
        return words[words.index("--chip") + 1], Path(words[words.index("--firmware") + 1]), None
    drives = [
        dict(part.split("=", 1) for part in words[at + 1].split(",")) for at, w in enumerate(words) if w == "-drive"
    ]
    flash = next(drive for drive in drives if drive["if"] == "mtd")
    fuses = next(drive for drive in drives if drive.get("id") == "efuse")
    assert flash["format"] == fuses["format"] == "raw"
    assert {"-nographic", "-serial", "-M"} <= set(words)
    return words[words.index("-M") + 1], Path(flash["file"]), Path(fuses["file"])


def loading(console: Sequence[str]) -> Sequence[str]:
    """What a ROM says between its banner and the bootloader's first line."""
    entry = next((number for number, line in enumerate(console) if line.startswith("entry 0x")), -1)
    return console[len(BANNER) : entry + 1]


def main() -> None:
    mode = os.environ.get("FAKE_EMULATOR", "")
    if sys.argv[1:] == ["-M", "help"]:
        machines = [] if mode == "stock" else ["esp32", "esp32c3", "esp32s3"]
        say("Supported machines are:", *(f"{name:20} a board" for name in [*machines, "none"]))
        return
    if mode == "unsupported":
        sys.stderr.write("warning: something\nqemu: unsupported machine type\nUse -machine help\n")
        sys.exit(1)
    chip_name, path, fuses = arguments(sys.argv[1:])
    if fuses is not None:
        Path(os.environ["FAKE_EFUSES"]).write_bytes(fuses.read_bytes())
    chip = Chip(chip_name, flash=Flash.from_bytes(path.read_bytes()))
    report = boot(chip, Sdkconfig(idf_version=(5, 5, 1)))
    say(*BANNER[:2], BANNER[2].format(1, "POWERON"), *loading(report.console))
    if mode == "hang":
        say("I (20) boot: ESP-IDF v5.5.1 2nd stage bootloader")
    elif mode == "endless":
        while True:
            say("I (20) boot: again")
    elif mode == "no newline":
        while True:
            sys.stdout.write("x" * 10_000)
    elif mode == "rom":
        while True:
            say("invalid header: 0xffffffff")
    elif mode == "quits":
        say("I (20) boot: ESP-IDF v5.5.1 2nd stage bootloader")
        sys.exit(3)
    else:
        last = report.log[-1:] if report.ok else ()
        say(*("\033[0;32m" + line + "\033[0m" for line in report.log if line not in last))
        path.write_bytes(chip.flash.to_bytes())
        say(*last)
        if mode == "abort":
            say("", "abort() was called at PC 0x403ce01d")
        elif mode == "silent app":
            pass
        elif report.ok:
            say("I (200) cpu_start: Unicore app", "I (210) app_init: Application information:")
            path.write_bytes(b"\0" * 16 + path.read_bytes()[16:]) if mode == "app writes" else None
        else:
            say(*BANNER[:2], BANNER[2].format(3, "RTC_SW_SYS_RST"))
    time.sleep(600)


if __name__ == "__main__":
    main()
