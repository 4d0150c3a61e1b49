"""Boards that are like those below the nodes, as far as anything is known of them; what is not is assumed, and said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from py_esp_ota._core import EFuse, Flash, ImageHeader, Partition, PartitionTable, Target
from py_esp_ota.cloud.boards import NOTHING_KNOWN, BoardFacts, OtadataFact
from py_esp_ota.cloud.rehearsals import Copy, Rehearsal
from py_esp_ota.firmware import CHIPS, LARGEST_FLASH, Firmware, bootloader, merge, ota_select_entry
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.releases import release_of, release_text
from py_esp_ota.sdkconfig import Sdkconfig

USUAL_TABLE = "two_ota_large"
_FORGED = 0x10000  # bytes of an image that the cloud has not
_TABLE_AT = 0x8000
_APP, _DATA, _FACTORY, _OTA_0, _OTADATA = 0, 1, 0x00, 0x10, 0x00
_SECTOR, _SLOT = 0x1000, 0x10000
_FIRST_SLOT = 0x20000
_SENTENCE = 250
_SMALLEST, _LARGEST = 1 << 20, LARGEST_FLASH


@dataclass(frozen=True, slots=True)
class Likeness:
    """What boards of one kind have in common."""

    table: PartitionTable
    image: bytes  # what runs
    config: Sdkconfig
    efuse: EFuse | None
    flash: Flash  # to fork
    assumed: tuple[str, ...]  # one sentence for each thing that is not known


def flashed(
    table: PartitionTable, parts: Mapping[int, bytes], *, chip: str, release: str, size: int | None = None
) -> Flash:
    """A flash as it comes out of a factory: a bootloader of that release, the table, and ``parts`` by their offsets.

    ``size`` is the smallest that holds the table when it is not given. Raises ``ValueError``: no flash has that size,
    or it is too small.
    """
    size = size or _size(table)
    if size < _SMALLEST or size & (size - 1):
        raise ValueError(f"no flash has {size} bytes")
    loader = bootloader(chip=chip, idf_ver=release, flash_size=size)
    placed = {_TABLE_AT: table.to_bytes(), Target(chip).bootloader_offset: loader, **parts}
    return Flash.from_bytes(merge(placed, size=size), size=size)


class Likenesses:
    """Makes one likeness for each kind of board there is; its copies share what they do not change."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._new = rehearsal.images[rehearsal.job.image]
        chip = Target.from_chip_id(ImageHeader.from_bytes(self._new).chip_id)
        self._chip = chip.name if chip else ""
        self._made: dict[Copy, Likeness] = {}
        self._forged: dict[tuple[str, str, str], bytes] = {}

    def of(self, copy: Copy) -> Likeness:
        """The likeness of one; where no board can be as the facts say, a usual one stands in for it and says so."""
        kind = replace(copy, node_id="", online=False)
        if kind not in self._made:
            try:
                self._made[kind] = self._make(kind)
            except ValueError as error:
                usual = self._make(replace(kind, board=BoardFacts(chip=kind.board.chip), image=""))
                why = f"what was noted of the board fits no board, and a usual one stands in for it: {error}"[
                    :_SENTENCE
                ]
                self._made[kind] = replace(usual, assumed=(why, *usual.assumed))
        return self._made[kind]

    def _make(self, copy: Copy) -> Likeness:
        board, assumed = copy.board, list(_assumed(copy, self._chip))
        chip = copy.chip or board.chip or self._chip
        if chip not in CHIPS:
            assumed.append(f"nobody knows a chip {chip!r}: the image's, {self._chip}")
            chip = self._chip
        image = self._running(copy, chip)
        if not (copy.image or not copy.version):
            assumed.append(f"the image of {copy.project} {copy.version} is not in the cloud: a forged one runs")
        table = self._table(board, len(image))
        config = _config(board)
        slot = app_slot(table, board)
        parts = {slot.offset: image, **_otadata(table, board, slot)}
        for row in table:
            app = next((app for app in board.apps if app.slot == row.label and app.version), None)
            if app is not None and row.type == _APP and row.offset != slot.offset:
                parts[row.offset] = self._forge(app.project or copy.project, app.version, chip)
        release = board.bootloader_idf or release_text(config.idf_version)
        flash = flashed(table, parts, chip=chip, release=release, size=board.flash_size)
        return Likeness(table, image, config, _efuse(chip, board), flash, tuple(assumed))

    def _running(self, copy: Copy, chip: str) -> bytes:
        if copy.image in self._rehearsal.images:
            return self._rehearsal.images[copy.image]
        return self._forge(copy.project or self._rehearsal.job.model, copy.version or "0", chip)

    def _forge(self, project: str, version: str, chip: str) -> bytes:
        key = project, version, chip
        if key not in self._forged:
            self._forged[key] = Firmware(project, version, chip=chip, size=_FORGED).to_bytes()
        return self._forged[key]

    def _table(self, board: BoardFacts, size: int) -> PartitionTable:
        if board.table:
            return PartitionTable(
                [
                    Partition(
                        row.label, row.type, row.subtype, row.offset, row.size,
                        encrypted=row.encrypted, readonly=row.readonly,
                    )
                    for row in board.table
                ]
            )  # fmt: skip
        if board.partitions:
            return PartitionTable.builtin(board.partitions)
        usual = PartitionTable.builtin(USUAL_TABLE)
        largest = max(size, len(self._new))
        return usual if largest <= min(row.size for row in usual if row.type == _APP) else _roomier(usual, largest)


def _roomier(usual: PartitionTable, largest: int) -> PartitionTable:
    """The usual table, with slots as large as needed."""
    size = -(-largest // _SLOT) * _SLOT
    rows = [row for row in usual if row.type != _APP]
    slots = [Partition(f"ota_{at}", _APP, _OTA_0 + at, _FIRST_SLOT + at * size, size) for at in range(2)]
    return PartitionTable([*rows, *slots])


def _assumed(copy: Copy, chip: str) -> Iterator[str]:
    """What is not known of a node, and what its copy has instead."""
    board = copy.board
    guesses: tuple[tuple[bool, str], ...] = (
        (not (copy.chip or board.chip), f"the chip is not known: the image's, {chip or 'which no one knows'}"),
        (not copy.version, "what runs is not known: an older version of the same project"),
        (not (board.table or board.partitions), f"the partition table is not known: {USUAL_TABLE}, larger if need be"),
        (not board.bootloader_idf, f"the bootloader's release is not known: {release_text(Sdkconfig().idf_version)}"),
        (board.rollback is None, "whether the bootloader rolls back is not known: it does"),
        (not (board.otadata or board.runs), "otadata is not known: as flashed by cable"),
        (board.secure_version is None, "the secure version in the eFuses is not known: 0"),
        (board.secure_boot is True, "secure boot is on, and its keys are not here: the copy has none"),
        (board.flash_encryption is True, "flash encryption is on, and its key is not here: the copy has none"),
    )
    return (sentence for unknown, sentence in guesses if unknown)


def _config(board: BoardFacts) -> Sdkconfig:
    usual = Sdkconfig()
    rolls_back = board.rollback is not False
    return replace(
        usual,
        idf_version=release_of(board.bootloader_idf) or usual.idf_version,
        bootloader_app_rollback_enable=rolls_back,
        bootloader_app_anti_rollback=rolls_back and bool(board.secure_version),
    )


def _efuse(chip: str, board: BoardFacts) -> EFuse | None:
    if board.chip_revision is None and not board.secure_version:
        return None
    return EFuse(chip, chip_revision=board.chip_revision, secure_version=board.secure_version or 0)


def app_slot(table: PartitionTable, board: BoardFacts = NOTHING_KNOWN) -> Partition:
    """Where the running app is: as noted, else as otadata has it, else where a programmer puts it."""
    ota = sorted((row for row in table if row.ota_slot is not None), key=lambda row: row.subtype)
    newest = max((fact.sequence or 0 for fact in board.otadata), default=0)
    wanted: tuple[Callable[[Partition], bool], ...] = (
        lambda row: bool(board.runs) and row.label == board.runs,
        lambda row: newest > 0 and bool(ota) and row.offset == ota[(newest - 1) % len(ota)].offset,
        lambda row: row.subtype == _FACTORY,
        lambda row: row.subtype == _OTA_0,
    )
    rows = [row for row in table if row.type == _APP]
    found = next((row for is_it in wanted for row in rows if is_it(row)), None)
    if found is None:
        raise ValueError("its partition table has no app partition")
    return found


def _otadata(table: PartitionTable, board: BoardFacts, slot: Partition) -> dict[int, bytes]:
    place = table.find(type=_DATA, subtype=_OTADATA)
    if place is None:
        return {}
    facts = board.otadata
    if not facts and slot.ota_slot is not None and board.runs:
        facts = (OtadataFact(sequence=slot.ota_slot + 1, state=OtaImgState.VALID.name),)
    states = {state.name: state.value for state in OtaImgState}
    return {
        place.offset + at * _SECTOR: ota_select_entry(fact.sequence, states.get(fact.state, OtaImgState.UNDEFINED))
        for at, fact in enumerate(facts)
        if fact.sequence is not None
    }


def _size(table: PartitionTable) -> int:
    end = max((row.offset + row.size for row in table), default=0)
    size = _SMALLEST
    while size < end and size < _LARGEST:
        size *= 2
    return size
