"""Machine code: Espressif's own RISC-V bootloader, as compiled, on a ``Chip`` of this package. Needs ``[silicon]``.

::

    machine = Machine("esp32c3")
    ended = machine.run(chip)       # from the first instruction of the bootloader in flash to its jump into an app
    ended.outcome, ended.slot, ended.log

Read ``machine.py`` first, then ``boot.py``. ``hardware.py`` puts one chip together: ``cpu.py`` executes, ``memory.py``
and ``registers.py`` answer, ``rom.py`` is called, and ``soc.py`` says at which addresses. ``oracle.py`` is the door
through which any emulator, this one or another, gives its second opinion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.silicon.report import FlashWrite, Outcome, SiliconReport, Trap

if TYPE_CHECKING:
    from py_esp_ota.silicon.machine import Machine

__all__ = ["FlashWrite", "Machine", "Outcome", "SiliconReport", "Trap"]


def __getattr__(name: str) -> object:
    # Lazy, so that what another emulator did can be told where Unicorn is not installed.
    if name == "Machine":
        from py_esp_ota.silicon.machine import Machine  # noqa: PLC0415

        return Machine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
