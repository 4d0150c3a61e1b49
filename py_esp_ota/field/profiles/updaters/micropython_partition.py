"""MicroPython's ``esp32.Partition`` (ports/esp32/esp32_partition.c), and the few lines that make an update of it."""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, EspError
from py_esp_ota.field.profiles.profile import Answer
from py_esp_ota.field.profiles.updaters.answering import UpdaterError, refused
from py_esp_ota.idf.app_update.ota_ops import OtaOps

BLOCK = 4096
#: ``check_esp_err_``: the numbers of POSIX, where there is one (py/mperrno.h).
_POSIX = {
    EspErr.ESP_ERR_NO_MEM: (12, "ENOMEM"),
    EspErr.ESP_ERR_NOT_SUPPORTED: (95, "EOPNOTSUPP"),
}
_NO_ENTRY = Answer(2, "ENOENT", "OSError: [Errno 2] ENOENT")


class Esp32Partition:
    """``esp32.Partition`` with blocks of 4096 bytes. Raises ``UpdaterError`` where MicroPython raises ``OSError``."""

    def __init__(self, ops: OtaOps, row: Partition | None) -> None:
        if row is None:
            raise refused("esp32.Partition", _NO_ENTRY, "there is no such partition")
        self._ops = ops
        self.row = row

    def get_next_update(self) -> Esp32Partition:
        """``Partition.get_next_update()``."""
        return Esp32Partition(self._ops, self._ops.get_next_update_partition(self.row))

    def writeblocks(self, block: int, data: bytes) -> None:
        """``Partition.writeblocks(block_num, buf)``: erase what ``data`` covers, then write it."""
        try:
            self._ops.partitions.erase_range(self.row, block * BLOCK, len(data))
            self._ops.partitions.write(self.row, block * BLOCK, data)
        except EspError as error:
            raise _os_error("writeblocks", error) from error

    def set_boot(self) -> None:
        """``Partition.set_boot()``: the image is verified here, for the first time."""
        try:
            self._ops.set_boot_partition(self.row)
        except EspError as error:
            raise _os_error("set_boot", error) from error

    def mark_app_valid_cancel_rollback(self) -> None:
        """``Partition.mark_app_valid_cancel_rollback()``."""
        try:
            self._ops.mark_app_valid_cancel_rollback()
        except EspError as error:
            raise _os_error("mark_app_valid_cancel_rollback", error) from error


def _os_error(method: str, error: EspError) -> UpdaterError:
    code, name = _POSIX.get(error.err, (-int(error.err), error.err.name))
    return refused(f"Partition.{method}", Answer(code, name, f"OSError: ({code}, '{error.err.name}')"), error)


def update(ops: OtaOps, image: bytes) -> None:
    """Write ``image`` block by block, the last one filled up with FF, and choose it. Raises ``UpdaterError``."""
    target = Esp32Partition(ops, ops.get_running_partition()).get_next_update()
    for start in range(0, len(image), BLOCK):
        target.writeblocks(start // BLOCK, image[start : start + BLOCK].ljust(BLOCK, b"\xff"))
    target.set_boot()
