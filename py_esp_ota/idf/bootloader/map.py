"""The end of a boot: the loaded app is shown to the CPU through the cache, or the chip stops at an assertion."""

from __future__ import annotations

from py_esp_ota._core import Partition, Segment, Target, Verdict
from py_esp_ota.idf.bootloader.run import Run
from py_esp_ota.idf.features import features

_NAME = "unpack_load_app"
_MAP = "mmu_hal_map_region"

#: Chips whose data and instructions share one window: the loader asserts exactly two mapped segments there.
_SHARED_WINDOW = frozenset(
    {"esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32p4", "esp32s31"},
)
#: ROM maps for this chip, and asserts nothing.
_MAPPED_BY_ROM = frozenset({"esp32"})
#: On the other chips all data windows lie below this address and all instruction windows above.
_IROM_ABOVE = 0x40000000
#: So much flash the MMU has numbers for, but for that of some chips.
_MMU_REACH = 0x1000000
_REACHES_FURTHER = frozenset({"esp32s3", "esp32c5", "esp32c61", "esp32h4", "esp32p4", "esp32s31"})
_WORD = 0xFFFFFFFF


def unpack_load_app(run: Run, partition: Partition, verdict: Verdict) -> bool:
    """``unpack_load_app``, ``set_cache_and_start_app``: false when an assertion fails, which the watchdog ends."""
    config, target = run.config, run.chip.target
    mapped = [segment for segment in verdict.segments if segment.kind == "map"]
    windows: dict[str, Segment | None]
    if target.name in _SHARED_WINDOW:
        if len(mapped) != 2 and config.compiler_optimization_assertion_level:
            run.decide(_NAME, f"assertion: {len(mapped)} mapped segments, this chip needs exactly 2")
            return False
        low, high = target.drom  # segments for external RAM are not mapped by the bootloader
        windows = {f"segment {segment.index}": segment for segment in mapped if low <= segment.load_addr < high}
    else:
        windows = _by_window(run, mapped)
    level = config.hal_default_assertion_level
    asserts = config.compiler_optimization_assertion_level if level is None else level
    if not asserts or target.name in _MAPPED_BY_ROM or not features(config.idf_version).maps_through_hal:
        return True
    for window, last in windows.items():
        why = cannot_be_mapped(target, partition.offset, last, verdict.mmu_page_size)
        if why is not None:
            run.decide(_MAP, f"assertion: {window}: {why}; abort, and the watchdog resets the chip")
            return False
    return True


def _by_window(run: Run, mapped: list[Segment]) -> dict[str, Segment | None]:
    """The last segment of each window."""
    windows: dict[str, Segment | None] = {"DROM": None, "IROM": None}
    for segment in mapped:
        window = "IROM" if segment.load_addr >= _IROM_ABOVE else "DROM"
        if windows[window] is not None:
            run.log.error("boot", f"Image contains multiple {window} segments. Only the last one will be mapped.")
        windows[window] = segment
    return windows


def cannot_be_mapped(target: Target, image: int, segment: Segment | None, page: int) -> str | None:
    """``mmu_hal_map_region`` (components/hal/mmu_hal.c): what it asserts of one segment, in 32 bits.

    ``image`` is where the image starts in flash, ``page`` the size of an MMU page; no segment is one of no bytes at
    address 0.
    """
    if segment is None:
        return "the image has no segment for it"
    offset = segment.load_addr % page
    first, length = segment.load_addr - offset, offset + segment.length
    last = (first + length - 1) & _WORD
    if not any(low <= first < high and low <= last < high for low, high in (target.drom, target.irom)):
        return f"0x{first:08x} and 0x{length:x} bytes on are not in one window"
    in_flash = image + segment.offset - (image + segment.offset) % page
    if target.name in _REACHES_FURTHER:
        return None
    if length >= _MMU_REACH or (in_flash + length - 1) & _WORD >= _MMU_REACH:
        return f"the flash at 0x{in_flash:x} and 0x{length:x} bytes on is out of the MMU's reach"
    return None
