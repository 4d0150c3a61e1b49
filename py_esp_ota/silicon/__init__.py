"""Machine code: Espressif's own RISC-V bootloader, as compiled, on a ``Chip`` of this package. Needs ``[silicon]``.

::

    machine = Machine("esp32c3")
    ended = machine.run(chip)       # from the first instruction of the bootloader in flash to its jump into an app
    ended.outcome, ended.slot, ended.log

Read ``machine.py`` first. ``soc.py`` says what a chip is, ``rom.py`` what its ROM does, ``registers.py`` what answers
on the bus.
"""

from __future__ import annotations

from py_esp_ota.silicon.machine import Machine
from py_esp_ota.silicon.report import FlashWrite, Outcome, SiliconReport, Trap

__all__ = ["FlashWrite", "Machine", "Outcome", "SiliconReport", "Trap"]
