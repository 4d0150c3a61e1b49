"""What a dump tells of the device that is to be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from py_esp_ota._core import (
    EFuse,
    Flash,
    OtaSelectEntry,
    Partition,
    Target,
    inspect_image,
    read_otadata,
    verify_partition_table,
)
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr
from py_esp_ota.field.migrate.board import TABLE_MAX_LEN, Board
from py_esp_ota.field.migrate.steps import SECTOR
from py_esp_ota.sdkconfig import Sdkconfig

_ROOM = 0x40000
_MAGIC = 0xE9
_MIB = 0x100000
_DATA, _OTADATA = 1, 0


class Refusal(Exception):
    """What cannot be done, in one sentence."""


@dataclass(frozen=True, slots=True)
class Dump:
    """What a user has: a flash, and how bootloader and app in it were built; ``start``: where its file begins."""

    flash: Flash
    target: Target
    efuse: EFuse
    config: Sdkconfig
    start: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """A device before the change.

    Attributes:
        dump: where all this is from.
        rows: the table, as the bootloader walks it.
        table: its bytes.
        running: the partition that boots.
        entries: otadata once that app has confirmed itself; ``None`` without an otadata partition.
        image: how many bytes of ``running`` are the app, a signature included, in whole sectors.
        version: what the app calls itself.
        loader: the bootloader's image, ``b""`` when there is none in the dump.
        encrypted: whether flash encryption is on.
    """

    dump: Dump
    rows: tuple[Partition, ...]
    table: bytes
    running: Partition
    entries: tuple[OtaSelectEntry, OtaSelectEntry] | None
    image: int
    version: str
    loader: bytes
    encrypted: bool
    loaders: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def table_offset(self) -> int:
        """Where the table lies."""
        return self.dump.config.partition_table_offset

    @property
    def has_recovery(self) -> bool:
        """Whether ROM starts another bootloader when the primary one is none."""
        return self.dump.efuse.has_recovery_bootloader and bool(self.loader)

    @property
    def otadata(self) -> Partition | None:
        """The otadata partition."""
        return next((row for row in self.rows if (row.type, row.subtype) == (_DATA, _OTADATA)), None)


def facts_of(dump: Dump) -> Facts:
    """Boot the dump and look at it. Raises ``Refusal``: no table, nothing boots."""
    flash, config = dump.flash, dump.config
    table = flash.mmap(config.partition_table_offset, TABLE_MAX_LEN)
    verdict = verify_partition_table(table, flash.size)
    if verdict.err != EspErr.ESP_OK:
        raise Refusal(f"the partition table at 0x{config.partition_table_offset:x} is none: {verdict.fault}")
    fork = flash.fork()
    fork.power_off()
    loader = _loader(dump)
    loaders = {loader: config} if loader else {}
    board = Board(Chip(dump.target.name, flash=fork, efuse=dump.efuse.copy()), config, loaders, config)
    board.power_on()
    board.confirm()
    running = board.report.partition
    if running is None:
        raise Refusal(f"nothing boots from the dump: {board.report.why[-1]}")
    otadata = next((row for row in verdict.rows if (row.type, row.subtype) == (_DATA, _OTADATA)), None)
    desc = board.report.app_desc
    return Facts(
        dump=dump,
        rows=tuple(verdict.rows),
        table=table,
        running=running,
        entries=None if otadata is None else read_otadata(fork, otadata.offset),
        image=_image_size(board, running, config),
        version=desc.version if desc else "",
        loader=loader,
        encrypted=flash.encryption is not None,
        loaders={loader: config.partition_table_offset} if loader else {},
    )


def _loader(dump: Dump) -> bytes:
    """The bootloader's image where ROM looks for it, as the cache shows it."""
    start = dump.target.bootloader_offset
    room = dump.flash.mmap(start, min(_ROOM, dump.config.partition_table_offset - start))
    info = inspect_image(room, chip=dump.target.name, kind="bootloader")
    if info.header is None or info.header.magic != _MAGIC:
        return b""
    signed = _signed_end(info.length) if info.signature else info.length
    return room[: min(signed, len(room))]


def _signed_end(length: int) -> int:
    """The first address behind the sector of signatures that follows an image."""
    return -(-length // SECTOR) * SECTOR + SECTOR


def _image_size(board: Board, running: Partition, config: Sdkconfig) -> int:
    found = board.chip.verify_image(running, build="bootloader", mode="verify_silent", config=config)
    length = -(-found.image_len // SECTOR) * SECTOR
    signed = config.signature_scheme is not None and length + SECTOR <= running.size
    return min(length + SECTOR if signed else length, running.size)


def size_in_header(loader: bytes) -> int | None:
    """The size of the flash that a bootloader's header says, bytes; it believes no table that goes beyond it."""
    info = inspect_image(loader, kind="bootloader") if loader else None
    return None if info is None or info.header is None else _MIB << min(info.header.spi_size, 7)
