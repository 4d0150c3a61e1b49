"""Time on a chip: CPU cycles, which pass with the instructions executed and jump while the CPU waits.

Event driven, not cycle accurate: an instruction is one cycle, a look at a clock some. The same code on the same
flash sees the same times, whatever the host does.
"""

from __future__ import annotations

CYCLES_PER_US = 160
#: What one look at a clock costs, so that a loop that waits for a time comes to an end.
_LOOK = 40


class Clock:
    """Cycles since the reset of a CPU at 160 MHz."""

    def __init__(self) -> None:
        self.cycles = 0

    def look(self) -> int:
        """The time, read by the code."""
        self.cycles += _LOOK
        return self.cycles

    def pass_us(self, microseconds: int) -> None:
        """So long has passed."""
        self.cycles += microseconds * CYCLES_PER_US
