"""How fast compiled code runs: bootloaders from a snapshot, a real app, straight code; both engines in the same run."""

from __future__ import annotations

import statistics
import struct
import sys
from pathlib import Path

import pytest

from benchmarks.timing import Figure, interleaved, once, process
from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine, Session
from py_esp_ota.silicon.engines.choice import EngineName

_FLASHES, _BOOTS, _ROUNDS = 200, 1000, 5
_INSTRUCTIONS = 10_000_000
_ENGINES: tuple[EngineName, EngineName] = ("core", "unicorn")
_IRAM = 0x403CC000
#: addi, xor, add, sub, slli, xor, add, and back to the first.
_STRAIGHT = (0x00150513, 0x00A5C5B3, 0x00B50633, 0x40C586B3, 0x00269713, 0x00D747B3, 0x00F50533, 0xFE5FF06F)
_TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(_TESTS), str(_TESTS / "silicon")]

from builds import ESP32, rom_of  # noqa: E402 - of the tests, found by now
from flash_text import build  # noqa: E402 - of the tests, found by now
from micropython import ask, merged, prompt, to_prompt  # noqa: E402
from random_flashes import drawn  # noqa: E402
from side_by_side import BUILDS, Build, copied, sized  # noqa: E402

_ESPFLASH, _ROLLBACK, *_ = BUILDS


def _seconds(one: Build) -> tuple[float, float, float]:
    """Median seconds of 1,000 boots on random flashes of one chip: of the compiled bootloader on our core and on
    Unicorn, and of our model."""
    core, unicorn = (Machine("esp32c3", engine=engine) for engine in _ENGINES)
    chips = [build(("chip", *drawn(f"bench/{number}")[1:]), sized(one)) for number in range(_FLASHES)]

    def silicon(machine: Machine) -> float:
        copies = list(map(copied, chips))
        return once(lambda: [machine.run(chip) for chip in copies])

    def model() -> float:
        copies = list(map(copied, chips))
        return once(lambda: [boot(chip, one.config) for chip in copies])

    for machine in (core, unicorn):
        for chip in chips[:5]:
            machine.run(copied(chip))  # the snapshot is taken by the second boot
    rounds = [(silicon(core), silicon(unicorn), model()) for _ in range(_ROUNDS)]
    ours, theirs, peer = (statistics.median(side) * _BOOTS / _FLASHES for side in zip(*rounds, strict=True))
    return ours, theirs, peer


def _boots(name: str, one: Build, of_unicorn: float, of_model: float) -> list[Figure]:
    ours, theirs, peer = _seconds(one)
    return [
        Figure(name, ours, "Unicorn", theirs, of_unicorn),
        Figure(name, ours, "our model", peer, of_model),
    ]


def of_esp32() -> Figure:
    """The ESP32's, on its real ROM: everything that ROM does for it is code, too."""
    one = ESP32[0]
    machine = Machine("esp32", rom=rom_of("esp32"))
    chips = [build(drawn(f"bench/{number}", "esp32"), sized(one)) for number in range(_FLASHES // 2)]
    for chip in chips[:5]:
        machine.run(copied(chip))

    def silicon() -> float:
        copies = list(map(copied, chips))
        return once(lambda: [machine.run(chip) for chip in copies])

    def model() -> float:
        copies = list(map(copied, chips))
        return once(lambda: [boot(chip, one.config) for chip in copies])

    rounds = [(silicon(), model()) for _ in range(_ROUNDS)]
    ours, peer = (statistics.median(side) * _BOOTS / len(chips) for side in zip(*rounds, strict=True))
    return Figure("1,000 boots of the ESP32's, on its real ROM", ours, "our model", peer, 25)


def straight() -> Figure:
    """A loop of eight instructions that touch registers only, ten million times."""
    code = struct.pack("<8I", *_STRAIGHT)
    chip = Chip("esp32c3")
    chip.flash.program(0, image([(_IRAM, code)], entry_addr=_IRAM))
    core, unicorn = (Machine("esp32c3", engine=engine) for engine in _ENGINES)
    mine, theirs = interleaved(
        lambda: core.run(chip, budget=_INSTRUCTIONS), lambda: unicorn.run(chip, budget=_INSTRUCTIONS), _ROUNDS
    )
    note = f"; {_INSTRUCTIONS / mine / 1e6:.0f} MIPS"
    return Figure("10 million instructions, straight code", mine, "Unicorn", theirs, 1.5, note=note)


def real_app() -> Figure:
    """MicroPython at work on a sum: an interpreter that runs from flash."""
    chip = Chip("esp32c3", flash=Flash.from_bytes(merged(), size=0x400000))
    core, unicorn = (prompt(Machine("esp32c3", engine=engine), copied(chip)) for engine in _ENGINES)

    def work(session: Session) -> None:
        assert ask(session, "sum(i * i % 7 for i in range(20000))") == "39998"

    mine, theirs = interleaved(lambda: work(core), lambda: work(unicorn), _ROUNDS)
    return Figure("MicroPython adds 20,000 numbers", mine, "Unicorn", theirs, 0.6)


def to_its_prompt() -> list[Figure]:
    """A real app of 1.8 MB on its own bootloader, interrupted once to come to its prompt."""
    chip = Chip("esp32c3", flash=Flash.from_bytes(merged(), size=0x400000))

    def switch_on(machine: Machine) -> None:
        session = machine.session(Chip("esp32c3", flash=chip.flash.fork()))
        to_prompt(session)

    core, unicorn = (Machine("esp32c3", engine=engine) for engine in _ENGINES)
    name = "MicroPython, from power-on to its prompt"
    mine, theirs = interleaved(lambda: switch_on(core), lambda: switch_on(unicorn), _ROUNDS)
    again, python = interleaved(lambda: switch_on(core), process([sys.executable, "-c", "pass"]), _ROUNDS)
    return [
        Figure(name, mine, "Unicorn", theirs, 0.6),
        Figure(name, again, "this Python, from start to end", python, 20),
    ]


def figures() -> list[Figure]:
    """All; none where the bootloaders cannot be had."""
    try:
        return [
            straight(),
            *_boots("1,000 boots of a bootloader's machine code", _ESPFLASH, 0.6, 12),
            *_boots("1,000 boots of a silent one, with rollback", _ROLLBACK, 0.6, 4),
            of_esp32(),
            real_app(),
            *to_its_prompt(),
        ]
    except pytest.skip.Exception as error:
        print(f"none of machine code: {error}")
        return []
