"""What board a bootloader was built for, by its header, where that is another one than this."""

from __future__ import annotations

from py_esp_ota._core import ImageHeader, Target
from py_esp_ota.chip import Chip

_HEADER, _MAGIC, _MIB = 24, 0xE9, 0x100000
#: ``update_flash_config``: other codes mean 2 MB.
_SIZE_CODES = 8


def made_for_another(chip: Chip) -> list[str]:
    """A sentence for each thing that the header of the installed bootloader says and this board is not.

    A chip of another kind, a newer revision, a larger flash. What comes of it is the boot's business.
    """
    header = ImageHeader.from_bytes(chip.flash.mmap(chip.target.bootloader_offset, _HEADER))
    if header.magic != _MAGIC:
        return []
    found = []
    target = Target.from_chip_id(header.chip_id)
    if target is None or target.name != chip.target.name:
        name = f"a chip with the id {header.chip_id}" if target is None else target.name
        found.append(f"it is made for {name}, this chip is an {chip.target.name}")
    least, revision = header.min_chip_rev_full, chip.efuse.chip_revision
    if revision < least:
        found.append(f"it needs chip revision {_revision(least)}, this chip has {_revision(revision)}")
    size = _MIB << header.spi_size if header.spi_size < _SIZE_CODES else 2 * _MIB
    if size > chip.flash.size:
        found.append(f"it is made for {size // _MIB} MB of flash, this chip has {chip.flash.size // _MIB} MB")
    return [f"bootloader header: {text}" for text in found]


def _revision(full: int) -> str:
    return f"v{full // 100}.{full % 100}"
