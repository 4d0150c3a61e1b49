"""How a boot ended, read off a console: all that an emulator which is somebody else's program tells."""

from __future__ import annotations

import re
from typing import Final

from py_esp_ota.silicon.report import FlashWrite, Outcome

_SECTOR = 0x1000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RESET = re.compile(r"rst:0x[0-9a-f]+")
_LOADED = re.compile(r"boot: Loaded app from partition at offset 0x([0-9a-f]+)")
_LAST_WORDS = re.compile(
    r"abort\(\) was called at PC|[Aa]ssert failed|ASSERT failed|Guru Meditation Error|Exception was unhandled"
)
_NO_BOOTLOADER = re.compile(r"^(invalid header: 0x|flash read err|ets_main\.c)")
#: Tags of ESP-IDF's start-up code, which runs in the app.
_APP_STARTS = re.compile(r"[IWE] \(\d+\) (cpu_start|app_init|heap_init|main_task):")
#: The last line of a bootloader that jumps. What it still may say is that it cannot.
_LEAVES = re.compile(r"boot: Disabling RNG early entropy source")


class ConsoleReader:
    """Takes lines as they come, and knows when they have said how the run ended.

    ``outcome`` is ``None`` until then. ``leaving`` says that the bootloader is done unless it complains at once: its
    reader waits a moment and calls ``quiet``.
    """

    #: What is kept of a console that does not end, in lines and in letters of one.
    MOST_LINES: Final = 4000
    MOST_LETTERS: Final = 500

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.outcome: Outcome | None = None
        self.slot: int | None = None
        self.reason = ""
        self.leaving = False
        self._resets = 0

    def feed(self, raw: str) -> bool:
        """One line more; whether all is said."""
        line = _COLOUR.sub("", raw.rstrip("\r\n"))[: self.MOST_LETTERS]
        if self.outcome is not None:
            return True
        if _RESET.search(line):
            self._resets += 1
            if self._resets > 1:
                self.outcome = "APP" if self.slot is not None else "RESET"
                return True
        if self.leaving and _APP_STARTS.search(line):
            self.quiet()
            return True
        self.lines.append(line)
        self._read(line)
        if self.outcome is None and len(self.lines) >= self.MOST_LINES:
            self.outcome, self.reason = "HANG", f"{self.MOST_LINES} lines do not tell how it ends"
        return self.outcome is not None

    def _read(self, line: str) -> None:
        loaded = _LOADED.search(line)
        if loaded:
            self.slot = int(loaded[1], 16)
        elif _LAST_WORDS.search(line):
            self.outcome, self.slot = "ABORT", None
        elif _NO_BOOTLOADER.search(line):
            self.outcome, self.reason = "RESET", f"no bootloader that ROM would start: {line}"
        elif self.slot is not None and _LEAVES.search(line):
            self.leaving = True
        elif _APP_STARTS.search(line):
            self.lines.pop()
            self.outcome = "APP"

    def quiet(self) -> None:
        """No line came for a moment."""
        if self.leaving and self.outcome is None:
            self.outcome = "APP"

    def late(self) -> None:
        """The time is over."""
        if self.outcome is None:
            self.outcome = "APP" if self.slot is not None else "HANG"


def changes(before: bytes, after: bytes) -> list[FlashWrite]:
    """The erases and programs that make one content of a flash out of another, sector by sector.

    What really happened may have been more: an erase of what was erased shows nowhere.
    """
    found = []
    for start in range(0, min(len(before), len(after)), _SECTOR):
        old, new = before[start : start + _SECTOR], after[start : start + _SECTOR]
        if old == new:
            continue
        if any(byte & ~was for byte, was in zip(new, old, strict=True)):
            found.append(FlashWrite("erase", start, len(new)))
            old = b"\xff" * len(new)
        places = [at for at in range(len(new)) if new[at] != old[at]]
        if places:
            found.append(FlashWrite("program", start + places[0], places[-1] - places[0] + 1))
    return found
