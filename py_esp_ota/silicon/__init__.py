"""Machine code: Espressif's own RISC-V bootloader, as compiled, on a ``Chip`` of this package.

::

    machine = Machine("esp32c3")
    ended = machine.run(chip)       # from the first instruction of the bootloader in flash to its jump into an app
    ended.outcome, ended.slot, ended.log

    on = machine.session(chip)      # the same chip kept on: bootloader, app, and again after each reset
    on.run(2.0, until="app_main()")
    on.take()

Read ``machine.py`` first, then ``boot.py`` and ``app.py``; ``snapshot.py`` makes later boots short. ``hardware.py``
puts one chip together: ``cpu.py`` is what executes, by one of the ``engines``, ``memory.py`` and ``peripherals``
answer, ``rom`` is called, and ``chips`` says at which addresses. ``oracle.py`` is the door through which any emulator,
this one or another, gives its second opinion.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from py_esp_ota.silicon.report import FlashWrite, Outcome, SiliconReport, Trap

if TYPE_CHECKING:
    from py_esp_ota.silicon.machine import Machine
    from py_esp_ota.silicon.session import Session

__all__ = ["FlashWrite", "Machine", "Outcome", "Session", "SiliconReport", "Trap"]


def __getattr__(name: str) -> object:
    # Lazy: what another emulator did can be told without our own machine.
    if name in {"Machine", "Session"}:
        return getattr(import_module(f"{__name__}.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
