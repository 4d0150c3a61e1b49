"""What one step of a migration does to the flash, and how the app sees after a reset that it is done already.

A step can be begun again after any power cut. What is longer than a sector is an image, and its first byte is the first
that goes and the last that comes: ROM's checksum has eight bits, and takes one half-written bootloader of 256 for a
whole one, while an image without its magic byte is none to anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from py_esp_ota.field.migrate.board import Board

SECTOR = 0x1000
#: Bytes that flash encryption writes at once.
CIPHER = 16

#: Cells that lost power while they were programmed may read otherwise the next time, so that is looked at so often.
LOOKS = 4

Kind = Literal["copy", "write", "blank", "burn", "reboot", "register"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it does in words, and the calls of ESP-IDF that do it.

    ``at`` and ``length`` are where it writes, in bytes; ``source`` is where a copy is from, ``data`` what is written.
    ``encrypted``: the flash encrypts what is written there. ``name``, ``type`` and ``subtype`` are a partition that is
    registered.
    """

    kind: Kind
    text: str
    calls: str
    at: int = 0
    length: int = 0
    source: int = 0
    data: bytes = b""
    encrypted: bool = False
    name: str = ""
    type: int = 0
    subtype: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that follow each other, until ``passed`` says of the flash that they are behind; ``until`` says it in C."""

    text: str
    steps: tuple[Step, ...]
    passed: Callable[[Board], bool]
    until: str = ""


class Stuck(Exception):
    """The app on board does not get on; the sentence says where."""


def carry_on(board: Board, stages: tuple[Stage, ...]) -> None:
    """Power comes, and the app does what is left to do: the story of a migration. Raises ``PowerLoss``, ``Stuck``."""
    board.power_on()
    for _ in range(2 * len(stages) + 2):
        if board.report.partition is None:
            raise Stuck(f"nothing boots: {board.report.why[-1]}")
        board.confirm()
        stage = next((stage for stage in stages if not stage.passed(board)), None)
        if stage is None:
            return
        for step in stage.steps:
            if step.kind == "reboot":
                if not stage.passed(board):
                    board.restart()
                break
            if not is_done(board, step):
                do(board, step)
    raise Stuck(f"{stage.text} does not come to its end" if stage else "")


def is_done(board: Board, step: Step) -> bool:
    """Whether the flash, or the eFuse, shows that a step is behind."""
    flash, efuse = board.flash, board.chip.efuse
    if step.kind == "burn":
        return efuse.recovery_bootloader_address == step.at
    if step.kind == "blank":
        return flash.is_erased(step.at, step.length)
    if step.kind == "register":
        return True
    looks = LOOKS if step.kind == "write" else 1
    return all(
        read(board, step.at + at, size, step) == _wanted(board, step, at, size)
        for _ in range(looks)
        for at, size in _pieces(step.length)
    )


def holds(board: Board, at: int, data: bytes) -> bool:
    """Whether the flash has these bytes, at each of several looks."""
    mapped, pieces = board.flash.mmap, [data[at : at + SECTOR] for at in range(0, len(data), SECTOR)]
    return all(
        mapped(at + SECTOR * number, len(piece)) == piece for _ in range(LOOKS) for number, piece in enumerate(pieces)
    )


def do(board: Board, step: Step) -> None:
    """Carry a step out. Raises ``PowerLoss``, ``FlashError``."""
    if step.kind == "burn":
        board.chip.efuse.burn_recovery_bootloader_sector(step.at // SECTOR)
    elif step.kind == "blank":
        board.ops.flash.erase_region(step.at, step.length)
    else:
        _put(board, step, b"".join(_wanted(board, step, at, size) for at, size in _pieces(step.length)))


def read(board: Board, address: int, length: int, step: Step) -> bytes:
    """As the cache shows it, or as it stands in flash."""
    return board.flash.mmap(address, length) if step.encrypted else board.ops.flash.read(address, length)


def _wanted(board: Board, step: Step, at: int, size: int) -> bytes:
    return step.data[at : at + size] if step.kind == "write" else read(board, step.source + at, size, step)


def _pieces(length: int) -> list[tuple[int, int]]:
    return [(at, min(SECTOR, length - at)) for at in range(0, length, SECTOR)]


def _put(board: Board, step: Step, data: bytes) -> None:
    """Program what only clears bits; otherwise erase, then program, of an image the first byte last."""
    at, flash = step.at, board.ops.flash
    size = -(-len(data) // SECTOR) * SECTOR
    if len(data) > SECTOR:
        first = CIPHER if step.encrypted else 1
        flash.write(at, b"\0")
        flash.erase_region(at, size)
        _program(board, step, at + SECTOR, data[SECTOR:])
        _program(board, step, at + first, data[first:SECTOR])
        _program(board, step, at, data[:first])
    elif step.encrypted or not _cleared(board, at, data):
        flash.erase_region(at, size)
        _program(board, step, at, data)


def _cleared(board: Board, at: int, data: bytes) -> bool:
    """Without an erase: program from the first byte that differs to the last. Whether all is there then."""
    found = board.ops.flash.read(at, len(data))
    if any(old & new != new for old, new in zip(found, data, strict=True)):
        return False
    places = [place for place, (old, new) in enumerate(zip(found, data, strict=True)) if old != new]
    if places:
        board.ops.flash.write(at + places[0], data[places[0] : places[-1] + 1])
    return holds(board, at, data)


def _program(board: Board, step: Step, address: int, data: bytes) -> None:
    if step.encrypted:
        if data:
            board.ops.flash.check_region(address, len(data))
            board.flash.program_encrypted(address, data)
        return
    data = data.rstrip(b"\xff")
    if data:
        board.ops.flash.write(address, data)
