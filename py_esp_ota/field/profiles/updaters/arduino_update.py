"""Arduino's ``Update`` (libraries/Update/src/Updater.cpp): a sector in RAM, the first 16 bytes kept back to the end."""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspError, FlashError, OtaError
from py_esp_ota.field.profiles.data.arduino import ANSWERS
from py_esp_ota.field.profiles.updaters.answering import UpdaterError, refused
from py_esp_ota.idf.app_update.ota_ops import OtaOps

UPDATE_SIZE_UNKNOWN = 0xFFFFFFFF

_SECTOR, _BLOCK, _KEPT_BACK, _WORD = 0x1000, 0x10000, 16, 4
_MAGIC = 0xE9
#: What a TCP segment brings, where it matters: nothing here depends on it.
_PIECE = 1436


class Update:
    """``UpdateClass`` for apps. Every method says whether it went well; ``error`` is what ``getError()`` says.

    ``blocks`` erases 64 KiB at a time where the slot allows it, as the core does; Tasmota's copy does not. Raises
    ``PowerLoss``, and ``Restart`` where an app must not write.
    """

    def __init__(self, ops: OtaOps, *, blocks: bool = True) -> None:
        self.error = 0
        #: What ESP-IDF said when it said no.
        self.cause: EspError | str = ""
        self._ops = ops
        self._blocks = blocks
        self._partition: Partition | None = None
        self._size = self._progress = 0
        self._buffer = bytearray()
        self._kept_back = b""

    @property
    def error_string(self) -> str:
        """``errorString()``."""
        return ANSWERS.known[self.error].text

    def begin(self, size: int = UPDATE_SIZE_UNKNOWN) -> bool:
        """``begin``: the slot, and whether ``size`` fits into it. Nothing is erased."""
        if self._size:
            return False
        self._reset()
        self.error, self.cause = 0, ""
        if size == 0:
            return self._fail("UPDATE_ERROR_SIZE", "a size of 0")
        partition = self._ops.get_next_update_partition()
        if partition is None:
            return self._fail("UPDATE_ERROR_NO_PARTITION", "the partition table has no OTA slot")
        if size == UPDATE_SIZE_UNKNOWN:
            size = partition.size
        elif size > partition.size:
            return self._fail("UPDATE_ERROR_SIZE", f"{size} bytes for {partition.label}, which has {partition.size}")
        self._partition, self._size = partition, size
        return True

    def write(self, data: bytes) -> int:
        """``write``: how many bytes were taken. A sector is written when it is full and more comes, or at the end."""
        if self.error or self._partition is None:
            return 0
        if len(data) > self._size - self._progress:
            self._abort("UPDATE_ERROR_SPACE", f"{len(data)} bytes where {self._size - self._progress} are to come")
            return 0
        left = len(data)
        while len(self._buffer) + left > _SECTOR:
            taken = _SECTOR - len(self._buffer)
            self._buffer += data[len(data) - left :][:taken]
            if not self._write_buffer(self._partition):
                return len(data) - left
            left -= taken
        self._buffer += data[len(data) - left :]
        if len(self._buffer) == self._size - self._progress and not self._write_buffer(self._partition):
            return len(data) - left
        return len(data)

    def end(self, *, even_if_remaining: bool = False) -> bool:
        """``end``: what was kept back is written, and the slot chosen, which is when the image is verified."""
        partition = self._partition
        if self.error or partition is None:
            return False
        if self._progress != self._size and not even_if_remaining:
            return self._abort("UPDATE_ERROR_ABORT", f"{self._progress} of {self._size} bytes were written")
        if even_if_remaining and self._buffer and not self._write_buffer(partition):
            return False
        try:
            self._ops.partitions.write(partition, 0, self._kept_back)
            first = self._ops.partitions.read(partition, 0, _KEPT_BACK)
        except FlashError as error:
            return self._abort("UPDATE_ERROR_READ", error)
        if first[0] != _MAGIC:
            return self._abort("UPDATE_ERROR_READ", f"{partition.label} begins with 0x{first[0]:02x}")
        try:
            self._ops.set_boot_partition(partition)
        except (OtaError, FlashError) as error:
            return self._abort("UPDATE_ERROR_ACTIVATE", error)
        self._reset()
        return True

    def abort(self) -> None:
        """``abort``: the slot stays as it is, and does not boot."""
        self._abort("UPDATE_ERROR_ABORT", "the app gave it up")

    def can_roll_back(self) -> bool:
        """``canRollBack``: whether the other slot begins as an image does."""
        other = self._ops.get_next_update_partition()
        return other is not None and self._ops.partitions.read(other, 0, _KEPT_BACK)[0] == _MAGIC

    def roll_back(self) -> bool:
        """``rollBack``: choose the other slot."""
        other = self._ops.get_next_update_partition()
        if other is None or not self.can_roll_back():
            return False
        try:
            self._ops.set_boot_partition(other)
        except (OtaError, FlashError) as error:
            self.cause = error
            return False
        return True

    def _write_buffer(self, partition: Partition) -> bool:
        """``_writeBuffer``: erase where a block or a sector begins, then program."""
        data, at, kept = bytes(self._buffer), self._progress, 0
        if at == 0:
            if data[0] != _MAGIC:
                return self._abort("UPDATE_ERROR_MAGIC_BYTE", f"the first byte is 0x{data[0]:02x}")
            kept, self._kept_back = _KEPT_BACK, data[:_KEPT_BACK]
        erase = self._erases(partition, at)
        try:
            if erase:
                self._ops.partitions.erase_range(partition, at, erase)
        except FlashError as error:
            return self._abort("UPDATE_ERROR_ERASE", error)
        rest = data[kept:]
        try:
            if not self._blocks or partition.encrypted or len(rest) % _WORD or rest.strip(b"\xff"):
                self._ops.partitions.write(partition, at + kept, rest)
        except FlashError as error:
            return self._abort("UPDATE_ERROR_WRITE", error)
        self._progress += len(data)
        self._buffer.clear()
        return True

    def _erases(self, partition: Partition, at: int) -> int:
        """How many bytes are erased before ``at`` is written."""
        if not self._blocks:
            return _SECTOR
        where, end = partition.offset + at, partition.offset + self._size
        if self._size - at >= _BLOCK and where % _BLOCK == 0:
            return _BLOCK
        head = partition.offset % _BLOCK != 0 and where < (partition.offset // _BLOCK + 1) * _BLOCK
        return _SECTOR if head or where >= end // _BLOCK * _BLOCK else 0

    def _reset(self) -> None:
        self._partition, self._kept_back = None, b""
        self._size = self._progress = 0
        self._buffer.clear()

    def _abort(self, name: str, cause: EspError | str) -> bool:
        self._reset()
        return self._fail(name, cause)

    def _fail(self, name: str, cause: EspError | str) -> bool:
        self.error, self.cause = ANSWERS.of(name).code, cause
        return False


def update(ops: OtaOps, image: bytes, *, updater: str = "Update", blocks: bool = True) -> None:
    """Write ``image`` as a sketch does: ``begin``, ``write`` until all is there, ``end``. Raises ``UpdaterError``."""
    writer = Update(ops, blocks=blocks)
    if writer.begin(len(image)):
        for start in range(0, len(image), _PIECE):
            piece = image[start : start + _PIECE]
            if writer.write(piece) != len(piece):
                break
        else:
            writer.end()
    if writer.error:
        raise _refused(writer, updater)


def _refused(writer: Update, updater: str) -> UpdaterError:
    return refused(updater, ANSWERS.known[writer.error], writer.cause)
