"""An endless loop, found out: CPU and memory are as they were before, and nothing else was looked at in between.

Such code does for ever what it has done, until an interrupt or a watchdog comes. It need not be executed up to there:
nine seconds of it are more than a thousand million instructions.
"""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota.silicon.cpu import Cpu

#: A look costs as much as half a slice of instructions.
_SLICES_PER_LOOK = 50


class Standstill:
    """Told of each slice of instructions; remembers one earlier state, and a later one after twice as long (Brent)."""

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self.forget()

    def forget(self) -> None:
        """Something happened."""
        self._slices = self._looks = 0
        self._every = _SLICES_PER_LOOK
        self._until = 1
        self._earlier: Sequence[int] | None = None
        self._memory: list[bytes] = []

    def found(self) -> bool:
        """After a slice in which only CPU and memory took part: whether it has all been there before."""
        self._slices += 1
        if self._slices % self._every:
            return False
        cpu = self._cpu
        now = cpu.engine.state()
        if now == self._earlier and [block.save() for block in cpu.ram] == self._memory:
            self._every = 1  # it will be there again soon
            return True
        self._looks += 1
        if self._looks == self._until:
            self._until *= 2
            self._earlier, self._memory = now, [block.save() for block in cpu.ram]
        return False
