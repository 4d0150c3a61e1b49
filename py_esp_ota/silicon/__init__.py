"""Machine code: Espressif's own RISC-V bootloader, as compiled, on a ``Chip`` of this package. Needs ``[silicon]``.

::

    machine = Machine("esp32c3")
    ended = machine.run(chip)       # from the first instruction of the bootloader in flash to its jump into an app
    ended.outcome, ended.slot, ended.log

Read ``machine.py`` first, then ``boot.py``; ``snapshot.py`` makes later boots short. ``hardware.py`` puts one chip
together: ``cpu.py`` executes, ``memory.py`` and ``registers.py`` answer, ``rom.py`` is called, and ``soc.py`` says at
which addresses.
"""

from __future__ import annotations

from py_esp_ota.silicon.machine import Machine
from py_esp_ota.silicon.report import FlashWrite, Outcome, SiliconReport, Trap

__all__ = ["FlashWrite", "Machine", "Outcome", "SiliconReport", "Trap"]
