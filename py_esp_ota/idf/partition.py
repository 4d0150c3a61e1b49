"""``esp_partition`` as far as updates need it: the table a running app sees, and which row a partition is."""

from __future__ import annotations

from py_esp_ota._core import Flash, Partition, PartitionTable
from py_esp_ota.errors import PartitionTableError
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig


def load_partitions(flash: Flash, config: Sdkconfig, log: Log) -> PartitionTable:
    """``ensure_partitions_loaded`` (components/esp_partition/partition.c): a table that is refused has no rows.

    An app is stricter than the bootloader that started it: by default it wants an MD5 row.
    """
    try:
        return PartitionTable.load(flash, config.partition_table_offset, md5=config.partition_table_md5)
    except PartitionTableError as error:
        log.error("partition", f"load_partitions returned 0x{error.err:x}")
        return PartitionTable([])


def verify(table: PartitionTable, partition: Partition) -> Partition | None:
    """``esp_partition_verify`` (components/esp_partition/partition.c): the row that is ``partition``, if there is one.

    An empty label matches any. Flags are not compared: upstream leaves out read-only, and without flash encryption no
    partition is encrypted, whatever its row says.
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


def _place(partition: Partition) -> tuple[int, int, int, int]:
    return partition.type, partition.subtype, partition.offset, partition.size
