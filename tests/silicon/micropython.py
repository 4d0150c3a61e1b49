"""MicroPython's image for the ESP32-C3 as other projects ship it: two slots of it, otadata, and its prompt."""

from __future__ import annotations

from board import entry
from builds import fetched_release

from py_esp_ota import PartitionTable, inspect_image
from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.cli.corpus import MICROPYTHON
from py_esp_ota.firmware import merge
from py_esp_ota.silicon import Machine, Session

TABLE = PartitionTable.from_csv(
    """
nvs,      data, nvs,     0x9000,   0x4000,
otadata,  data, ota,     0xd000,   0x2000,
phy_init, data, phy,     0xf000,   0x1000,
ota_0,    app,  ota_0,   0x10000,  0x1c0000,
ota_1,    app,  ota_1,   0x1d0000, 0x1c0000,
vfs,      data, fat,     0x390000, 0x70000,
"""
)
SLOTS = (0x10000, 0x1D0000)
OTADATA = 0xD000
PROMPT = ">>> "
#: When its own program can be interrupted, and the prompt comes.
STARTED = "[loader][main mode]"


def merged() -> bytes:
    """The file as it is shipped."""
    return fetched_release(MICROPYTHON)


def two_slots(*otadata: str) -> Chip:
    """A chip with the same app in both slots, and its own bootloader, which was built with rollback."""
    data = merged()
    bootloader = data[: inspect_image(data[:0x8000]).length]
    app = data[0x10000:]
    app = app[: inspect_image(app).length]
    parts = {0: bootloader, 0x8000: TABLE.to_bytes(), SLOTS[0]: app, SLOTS[1]: app}
    parts |= {OTADATA + 0x1000 * index: entry(text) for index, text in enumerate(otadata)}
    return Chip("esp32c3", flash=Flash.from_bytes(merge(parts), size=0x400000))


def prompt(machine: Machine, chip: Chip) -> Session:
    """The chip switched on, up to the prompt."""
    session = machine.session(chip)
    to_prompt(session)
    return session


def to_prompt(session: Session) -> None:
    """From a reset to the prompt."""
    assert session.run(3, until=STARTED), session.take()
    session.type("\x03")
    assert session.run(1, until=PROMPT), session.take()
    session.take()


def ask(session: Session, line: str) -> str:
    """What the prompt answers to one line."""
    session.type(line + "\r")
    assert session.run(2, until="\n" + PROMPT), session.take()
    return "\n".join(session.take().splitlines()[1:-1])
