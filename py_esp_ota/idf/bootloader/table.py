"""The partition table as the bootloader takes it in: verified, printed, remembered by meaning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from py_esp_ota._core import BootTable, Fault, Partition, verify_partition_table
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.idf.bootloader.run import Run, reason
from py_esp_ota.idf.features import Features, features
from py_esp_ota.idf.log import Line

TABLE_MAX_LEN = 0xC00
_ROW, _LABEL_AT, _LABEL = 32, 12, 16
#: What is printed of a text that has no end.
_LONGEST_TEXT = 1024

#: What rows of the types ``PART_TYPE_BOOTLOADER`` and ``PART_TYPE_PARTITION_TABLE`` are called.
_LOADER_USAGES = frozenset(
    {"primary bootloader", "ota bootloader", "primary partition_table", "ota partition_table"},
)
_RECOVERY = frozenset({"recovery bootloader"})
_NAME = "bootloader_utility_load_partition_table"


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A table that passed: its rows, what they mean to the bootloader, and the lines they print."""

    rows: tuple[Partition, ...]
    meaning: BootTable
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class RefusedTable:
    """A table that did not pass, and what the verifier prints about it."""

    err: EspErr
    fault: Fault | None
    lines: tuple[Line, ...]


@lru_cache(maxsize=32)
def judge(
    data: bytes,
    flash_size: int,
    *,
    wraps: bool = False,
    empty: bool = False,
    unknown: frozenset[str] = frozenset(),
) -> LoadedTable | RefusedTable:
    """``esp_partition_table_verify`` and the walk over the rows. The same bytes are the same table, so it is kept.

    ``unknown`` are usages that the release has no word for.
    """
    verdict = verify_partition_table(data, flash_size, wraps=wraps, empty=empty)
    said = tuple((line.level, line.tag, line.text) for line in verdict.log)
    if verdict.err != EspErr.ESP_OK:
        return RefusedTable(verdict.err, verdict.fault, (*said, ("E", "boot", "Failed to verify partition table")))
    meaning = BootTable(verdict.rows)
    lines: list[Line] = [*said, ("I", "boot", "Partition Table:")]
    lines.append(("I", "boot", "## Label            Usage          Type ST Offset   Length"))
    for index, (row, usage) in enumerate(zip(verdict.rows, meaning.usages(), strict=True)):
        word = "unknown" if usage in unknown else usage
        place = f"{row.type:02x} {row.subtype:02x} {row.offset:08x} {row.size:08x}"
        lines.append(("I", "boot", f"{index:2d} {_printed_label(data, index)} {word:<16} {place}"))
    lines.append(("I", "boot", "End of partition table"))
    return LoadedTable(tuple(verdict.rows), meaning, tuple(lines))


def _printed_label(data: bytes, index: int) -> str:
    """The label of row ``index`` as ``%-16s`` prints it: where no zero ends it, on into the flags and the next row."""
    start = _ROW * index + _LABEL_AT
    text = data[start : start + _LONGEST_TEXT].split(b"\0", 1)[0]
    return text.ljust(_LABEL).decode("utf-8", "replace")


def _unknown(release: Features) -> frozenset[str]:
    """The usages that came after this release."""
    if not release.loader_types:
        return _LOADER_USAGES | _RECOVERY
    return frozenset() if release.recovery_type else _RECOVERY


def load_partition_table(run: Run, flash_size: int) -> LoadedTable | None:
    """``bootloader_utility_load_partition_table`` (components/bootloader_support/src/bootloader_utility.c)."""
    offset = run.config.partition_table_offset
    try:
        data = b"" if run.mapping_kept else run.chip.flash.mmap(offset, TABLE_MAX_LEN)
    except FlashError:
        data = b""
    if run.mapping_kept:
        run.log.error("bootloader_flash", "tried to bootloader_mmap twice")
    if not data:
        run.log.error("boot", f"bootloader_mmap(0x{offset:x}, 0x{TABLE_MAX_LEN:x}) failed")
        why = "is not seen: a look at an app left its mapping behind" if run.mapping_kept else "lies outside the flash"
        run.decide(_NAME, f"the table at 0x{offset:x} {why}")
        return None
    release = features(run.config.idf_version)
    table = judge(
        data,
        flash_size,
        wraps=release.table_bound_wraps,
        empty=release.takes_empty_table,
        unknown=_unknown(release),
    )
    run.log.block(table.lines)
    if isinstance(table, RefusedTable):
        run.decide(_NAME, f"the table at 0x{offset:x} is refused: {reason(table.err, table.fault)}")
        return None
    return table
