"""How fast compiled bootloaders boot from a snapshot, and our model beside them on the same flashes."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

from benchmarks.timing import Figure, interleaved, once, process
from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine

_FLASHES, _BOOTS, _ROUNDS = 200, 1000, 5
_TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(_TESTS), str(_TESTS / "silicon")]

from flash_text import build  # noqa: E402 - of the tests, found by now
from micropython import merged, to_prompt  # noqa: E402
from random_flashes import drawn  # noqa: E402
from side_by_side import BUILDS, Build, copied, sized  # noqa: E402

_ESPFLASH, _ROLLBACK, *_ = BUILDS


def _seconds(one: Build) -> tuple[float, float]:
    """Median seconds of 1,000 boots on random flashes of one chip: of the compiled bootloader, and of our model."""
    machine = Machine("esp32c3")
    chips = [build(("chip", *drawn(f"bench/{number}")[1:]), sized(one)) for number in range(_FLASHES)]

    def silicon(chips: list[Chip]) -> float:
        return once(lambda: [machine.run(chip) for chip in chips])

    def model(chips: list[Chip]) -> float:
        return once(lambda: [boot(chip, one.config) for chip in chips])

    silicon([copied(chip) for chip in chips[:5]])  # the snapshot is taken by the second boot
    rounds = [(silicon(list(map(copied, chips))), model(list(map(copied, chips)))) for _ in range(_ROUNDS)]
    ours, peer = (statistics.median(side) * _BOOTS / _FLASHES for side in zip(*rounds, strict=True))
    return ours, peer


def that_logs() -> Figure:
    """The bootloader of espflash, which prints what it does."""
    ours, peer = _seconds(_ESPFLASH)
    return Figure("1,000 boots of a bootloader's machine code", ours, "our model", peer, 25)


def with_rollback() -> Figure:
    """MicroPython's, which prints nothing."""
    ours, peer = _seconds(_ROLLBACK)
    return Figure("1,000 boots of a silent one, with rollback", ours, "our model", peer, 8)


def prompt() -> Figure:
    """A real app of 1.8 MB on its own bootloader, interrupted once to come to its prompt."""
    chip = Chip("esp32c3", flash=Flash.from_bytes(merged(), size=0x400000))
    machine = Machine("esp32c3")

    def switch_on() -> None:
        session = machine.session(Chip("esp32c3", flash=chip.flash.fork()))
        to_prompt(session)

    mine, theirs = interleaved(switch_on, process([sys.executable, "-c", "pass"]), _ROUNDS)
    return Figure("MicroPython, from power-on to its prompt", mine, "this Python, from start to end", theirs, 60)


def figures() -> list[Figure]:
    """All; none where the bootloaders cannot be had."""
    try:
        return [that_logs(), with_rollback(), prompt()]
    except pytest.skip.Exception as error:
        print(f"none of machine code: {error}")
        return []
