"""``esp_partition``: the table a running app sees, which row a partition is, and access to what lies in it."""

from __future__ import annotations

from py_esp_ota._core import Flash, Partition, PartitionTable, flash_sha256
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, FlashError, ImageError, PartitionTableError
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.spi_flash import SpiFlash
from py_esp_ota.sdkconfig import Sdkconfig

TYPE_APP = 0x00
TYPE_DATA = 0x01
TYPE_BOOTLOADER = 0x02
TYPE_PARTITION_TABLE = 0x03

_ANY = 0xFF
_SECTOR = 0x1000
_HASH_LEN = 32
#: What ``load_partitions`` says of the MD5 row, by the code it then returns.
_MD5_REFUSALS = {
    EspErr.ESP_ERR_NOT_FOUND: "No MD5 found in partition table",
    EspErr.ESP_ERR_INVALID_STATE: "Partition table MD5 mismatch",
}


def load_partitions(flash: Flash, config: Sdkconfig, log: Log) -> PartitionTable:
    """``ensure_partitions_loaded`` (components/esp_partition/partition.c): a table that is refused has no rows.

    An app is stricter than the bootloader that started it: by default it wants an MD5 row.
    """
    try:
        return PartitionTable.load(flash, config.partition_table_offset, md5=config.partition_table_md5)
    except PartitionTableError as error:
        if error.err in _MD5_REFUSALS:
            log.error("partition", _MD5_REFUSALS[error.err])
        log.error("partition", f"load_partitions returned 0x{error.err:x}")
        return PartitionTable([])


def verify(table: PartitionTable, partition: Partition) -> Partition | None:
    """``esp_partition_verify`` (components/esp_partition/partition.c): the row that is ``partition``, if there is one.

    An empty label matches any. Flags are not compared: upstream leaves out read-only, and a row from elsewhere does not
    know whether encryption is on.
    """
    for row in table:
        if _place(row) == _place(partition) and partition.label in ("", row.label):
            return row
    return None


def same(one: Partition, other: Partition) -> bool:
    """Whether two rows are one. Upstream compares pointers into its list; here rows are values."""
    return _place(one) == _place(other) and one.label == other.label


def holding(table: PartitionTable, partition_type: int, address: int) -> Partition | None:
    """The first row of a type that contains a flash address."""
    for row in table:
        if row.type == partition_type and row.offset <= address < row.offset + row.size:
            return row
    return None


class Partitions:
    """``esp_partition_*`` of one running app: every access goes through the guard of its flash driver.

    Offsets are bytes from the start of the partition. Where C takes ``NULL`` and asserts, a type checker objects.
    """

    def __init__(self, chip: Chip, config: Sdkconfig, table: PartitionTable, flash: SpiFlash, log: Log) -> None:
        self.table = table
        self._chip = chip
        self._config = config
        self._flash = flash
        self._log = log

    def find(
        self,
        partition_type: int | None = None,
        subtype: int | None = None,
        label: str | None = None,
    ) -> list[Partition]:
        """``esp_partition_find``: every row that matches, in table order. A subtype without a type matches nothing."""
        any_type, any_subtype = partition_type in (None, _ANY), subtype in (None, _ANY)
        if any_type and not any_subtype:
            return []
        return [
            row
            for row in self.table
            if (any_type or row.type == partition_type)
            and (any_subtype or row.subtype == subtype)
            and (label is None or row.label == label)
        ]

    def find_first(
        self,
        partition_type: int | None = None,
        subtype: int | None = None,
        label: str | None = None,
    ) -> Partition | None:
        """``esp_partition_find_first``."""
        return self.table.find(type=partition_type, subtype=subtype, label=label)

    def verify(self, partition: Partition) -> Partition | None:
        """``esp_partition_verify``."""
        return verify(self.table, partition)

    def read(self, partition: Partition, offset: int, length: int) -> bytes:
        """``esp_partition_read``. Raises ``FlashError``: ESP_ERR_INVALID_ARG, ESP_ERR_INVALID_SIZE."""
        return partition.read(self._chip.flash, offset, length)

    def write(self, partition: Partition, offset: int, data: bytes) -> None:
        """``esp_partition_write``. Raises ``FlashError``, and ``Restart`` where an app must not write."""
        self.check_write(partition, offset, len(data))
        partition.write(self._chip.flash, offset, data)

    def erase_range(self, partition: Partition, offset: int, length: int) -> None:
        """``esp_partition_erase_range``. Raises ``FlashError``, and ``Restart`` where an app must not write."""
        self.check_erase(partition, offset, length)
        partition.erase_range(self._chip.flash, offset, length)

    def mmap(self, partition: Partition, offset: int, length: int) -> bytes:
        """``esp_partition_mmap``: what the cache shows. Raises ``FlashError``."""
        if offset > partition.size:
            raise _out_of_range(EspErr.ESP_ERR_INVALID_ARG, partition, offset, length)
        if length > partition.size - offset:
            raise _out_of_range(EspErr.ESP_ERR_INVALID_SIZE, partition, offset, length)
        return self._chip.flash.mmap(partition.offset + offset, length)

    def copy(
        self,
        destination: Partition | None,
        destination_offset: int,
        source: Partition | None,
        source_offset: int,
        length: int | None,
    ) -> None:
        """``esp_partition_copy``: erase the destination, rounded up to sectors, then copy in ascending order.

        ``length`` ``None`` is ``SIZE_MAX``: the rest of the source, after erasing the rest of the destination. Raises
        ``FlashError``: ESP_ERR_INVALID_ARG without two different partitions, ESP_ERR_INVALID_SIZE beyond either's end.
        """
        if source is None or destination is None or same(source, destination):
            raise FlashError(EspErr.ESP_ERR_INVALID_ARG, "a copy needs two different partitions")
        for partition, offset in ((source, source_offset), (destination, destination_offset)):
            if offset > partition.size:
                raise _out_of_range(EspErr.ESP_ERR_INVALID_SIZE, partition, offset, length or 0)
        erase = length
        if length is None or erase is None:
            length, erase = source.size - source_offset, destination.size - destination_offset
        for partition, offset in ((source, source_offset), (destination, destination_offset)):
            if offset + length > partition.size:
                raise _out_of_range(EspErr.ESP_ERR_INVALID_SIZE, partition, offset, length)
        try:
            self.erase_range(destination, destination_offset, erase + _SECTOR - 1 & ~(_SECTOR - 1))
        except FlashError as error:
            self._log.error("partition", f"Erasing destination partition range failed (err=0x{error.err:x})")
            raise
        for done in range(0, length, _SECTOR):
            piece = self.mmap(source, source_offset + done, min(_SECTOR, length - done))
            try:
                self.write(destination, destination_offset + done, piece)
            except FlashError as error:
                self._log.error("partition", f"Writing to destination partition failed (err=0x{error.err:x})")
                raise

    def get_sha256(self, partition: Partition) -> bytes:
        """``esp_partition_get_sha256``: of an app or bootloader its image's own hash, recomputed; else of every byte.

        An image without an appended hash is hashed as a whole. Raises ``ImageError``: ESP_ERR_IMAGE_INVALID for no
        image and for a hash that does not fit. Raises ``FlashError``: ESP_ERR_INVALID_ARG for a size of 0.
        """
        if partition.size == 0:
            raise FlashError(EspErr.ESP_ERR_INVALID_ARG, "{label} has a size of 0", label=partition.label)
        flash = self._chip.flash
        if partition.type not in (TYPE_APP, TYPE_BOOTLOADER):
            return flash_sha256(flash, partition.offset, partition.size)
        image = self._chip.verify_image(partition, build="app", mode="metadata", config=self._config)
        self._log.core(image.log)
        if image.err != EspErr.ESP_OK:
            raise ImageError(EspErr.ESP_ERR_IMAGE_INVALID, "{label} holds no image", label=partition.label)
        if not image.digest:
            return flash_sha256(flash, partition.offset, image.image_len)
        digest = flash_sha256(flash, partition.offset, image.image_len - _HASH_LEN)
        if digest != image.digest:
            raise ImageError(
                EspErr.ESP_ERR_IMAGE_INVALID,
                "{field} of the image in {label} is {found}, expected {expected}",
                field="hash",
                offset=image.image_len - _HASH_LEN,
                found=image.digest.hex(),
                expected=digest.hex(),
                label=partition.label,
            )
        return digest

    def check_identity(self, one: Partition, other: Partition) -> bool:
        """``esp_partition_check_identity``: both have a hash, and it is the same."""
        try:
            return self.get_sha256(one) == self.get_sha256(other)
        except (FlashError, ImageError):
            return False

    def check_write(self, partition: Partition, offset: int, length: int) -> None:
        """The guard of ``esp_flash_write`` for a write whose arguments ``esp_partition_write`` accepts."""
        if not partition.readonly and 0 <= offset <= partition.size and length <= partition.size - offset:
            self._flash.check_region(partition.offset + offset, length)

    def check_erase(self, partition: Partition, offset: int, length: int) -> None:
        """The guard of ``esp_flash_erase_region`` for an erase whose arguments are accepted."""
        if offset % _SECTOR == 0 and length % _SECTOR == 0:
            self.check_write(partition, offset, length)


def _out_of_range(err: EspErr, partition: Partition, offset: int, length: int) -> FlashError:
    return FlashError(
        err,
        "{field} of partition {label}: found offset {offset:#x}, length {found}, expected {expected}",
        field="range",
        label=partition.label,
        offset=offset,
        found=f"0x{length:x}",
        expected=f"inside its 0x{partition.size:x} bytes",
    )


def _place(partition: Partition) -> tuple[int, int, int, int]:
    return partition.type, partition.subtype, partition.offset, partition.size
