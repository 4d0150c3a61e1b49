"""Dumps that nothing can be told of, and the sentence that says why: for every verb that looks at a whole flash."""

from __future__ import annotations

from py_esp_ota._core import verify_partition_table
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.inputs import FlashInput
from py_esp_ota.errors import EspErr

_TABLE_LENGTH, _ROW_MAGIC = 0xC00, b"\xaa\x50"
READ_ALL = "read the whole flash: esptool read-flash 0 ALL flash.bin"


def refuse_illegible(given: FlashInput, still: str = "") -> None:
    """Raises ``Unusable`` for a flash without a legible partition table; ``still`` is what can be told all the same."""
    flash, offset = given.flash, given.config.partition_table_offset
    end = given.start + given.length
    if given.merged and end < offset + _TABLE_LENGTH:
        raise Unusable(f"{given.path} ends at 0x{end:x}, before the partition table at 0x{offset:x} does; {READ_ALL}")
    data = flash.mmap(offset, _TABLE_LENGTH)
    if _is_table(data):
        return
    raw = flash.read(offset, _TABLE_LENGTH)
    where = f"{given.path}: the partition table at 0x{offset:x}"
    if flash.encryption is None and _random(raw):
        raise Unusable(f"{where} looks as if it were encrypted, and --efuse gives no key for it{still}")
    if flash.encryption is not None and _is_table(raw):
        raise Unusable(f"{where} is not encrypted, and the eFuses say that the flash is{still}")
    if flash.encryption is not None:
        raise Unusable(f"{where} cannot be read with the key in the eFuses{still}")
    if not raw.strip(b"\xff"):
        raise Unusable(f"{where} is erased{still}")
    if raw[:2] != _ROW_MAGIC:
        raise Unusable(f"{where} is none: its first bytes are {raw[:2].hex(' ')}, expected aa 50{still}")


def _is_table(data: bytes) -> bool:
    return verify_partition_table(data, 0xFFFFFFFF).err == EspErr.ESP_OK


def _random(data: bytes) -> bool:
    """Whether nearly every value a byte can have is there, none of them often: ciphertext, or compressed."""
    counts = [data.count(value) for value in range(256)]
    return sum(count > 0 for count in counts) > 250 and max(counts) < len(data) // 64
