"""What the cache can show: the slots that a bootloader looks at and the app that it starts, or the chip stops."""

from __future__ import annotations

from py_esp_ota._core import Partition, Segment, Target, Verdict
from py_esp_ota.idf.bootloader.run import Run
from py_esp_ota.idf.features import features
from py_esp_ota.sdkconfig import Sdkconfig

_NAME = "unpack_load_app"
_MAP, _BUS = "mmu_hal_map_region", "cache_ll_l1_get_bus"

#: Chips whose data and instructions share one window: the loader asserts exactly two mapped segments there.
_SHARED_WINDOW = frozenset(
    {"esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32p4", "esp32s31"},
)
#: On the other chips all data windows lie below this address and all instruction windows above.
_IROM_ABOVE = 0x40000000
#: ``SOC_MMU_MAX_PADDR_PAGE_NUM``: of so many pages of the flash the MMU has numbers; 16384 where it says nothing here.
_NUMBERED = {
    "esp32c2": 64,
    **dict.fromkeys(("esp32c3", "esp32c6", "esp32h2", "esp32h21"), 256),
    **dict.fromkeys(("esp32c5", "esp32c61", "esp32h4"), 512),
}
_MANY = 16384
#: ``SOC_MMU_ENTRY_NUM``, of chips whose windows are so many pages of the build's size.
_SHOWN = {
    "esp32c2": 64,
    **dict.fromkeys(("esp32c6", "esp32h2", "esp32h21"), 256),
    **dict.fromkeys(("esp32c61", "esp32h4"), 512),
    "esp32s31": 1024,
}
#: ``mmu_ll_set_page_size``: the sizes that the MMU's register has a number for, and what any other size becomes.
_PAGES = {
    "esp32c2": ((0x4000, 0x8000, 0x10000), 0x10000),
    **dict.fromkeys(
        ("esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4"), ((0x2000, 0x4000, 0x8000, 0x10000), 0x10000)
    ),
    "esp32s31": ((0x8000, 0x10000, 0x20000, 0x40000), 0x40000),
}
#: ``mmu_hal_pages_to_bytes``: the sizes that the driver above knows.
_KNOWN_PAGES = frozenset({0x4000, 0x8000, 0x10000})
#: Whose driver once asked for one byte too many.
_COUNTED = frozenset({"esp32c6", "esp32h2"})
_KIB = 1024
_MISSING = "the image has no segment for it"
_WORD = 0xFFFFFFFF

#: Why a window cannot be shown, and the function that says so; ``None`` when it can.
Refused = tuple[str, str] | None


def maps_at_all(run: Run) -> bool:
    """``bootloader_mmap``: false where the build's own pages are an assertion of the MMU's driver."""
    page = run.config.mmu_page_size
    if page is None or page in _KNOWN_PAGES or run.chip.target.name not in _PAGES or not _asserts(run.config):
        return True
    run.stop("bootloader_mmap", f"assertion: {_unknown(page)}; abort, and the watchdog resets the chip")
    return False


def reaches(run: Run, partition: Partition) -> bool:
    """``bootloader_flash_read``: false where a slot is beyond the build's pages, an assertion of the MMU's driver."""
    config, target = run.config, run.chip.target
    in_flash = partition.offset
    if not _asserts(config) or target.name == "esp32" or in_flash < _reach(target, _build_page(run)):
        return True
    label = partition.label or "app"
    why = f"{label}: the flash at 0x{in_flash:x} is out of the MMU's reach; abort, and the watchdog resets the chip"
    run.stop(_MAP, f"assertion: {why}")
    return False


def _build_page(run: Run) -> int:
    return run.config.mmu_page_size or run.chip.target.mmu_page_size(run.chip.flash.size)


def _reach(target: Target, page: int) -> int:
    """How much of the flash pages of this size show, bytes."""
    return page * _NUMBERED.get(target.name, _MANY)


def _unknown(page: int) -> str:
    return f"pages of {page // _KIB} KB are none that the driver knows"


def _asserts(config: Sdkconfig) -> bool:
    """``HAL_ASSERT``, in builds that have it: since v5.0."""
    level = config.hal_default_assertion_level
    on = config.compiler_optimization_assertion_level if level is None else level
    return bool(on) and features(config.idf_version).maps_through_hal


def unpack_load_app(run: Run, partition: Partition, verdict: Verdict) -> bool:
    """``unpack_load_app``, ``set_cache_and_start_app``: false when an assertion fails, which the watchdog ends."""
    config, target = run.config, run.chip.target
    mapped = [segment for segment in verdict.segments if segment.kind == "map"]
    windows: dict[str, Segment | None]
    if target.name in _SHARED_WINDOW:
        if len(mapped) != 2 and config.compiler_optimization_assertion_level:
            run.stop(_NAME, f"assertion: {len(mapped)} mapped segments, this chip needs exactly 2")
            return False
        low, high = target.drom  # segments for external RAM are not mapped by the bootloader
        windows = {f"segment {segment.index}": segment for segment in mapped if low <= segment.load_addr < high}
    else:
        windows = _by_window(run, mapped)
    if not features(config.idf_version).maps_through_hal:
        return True
    build_page = _build_page(run)
    for window, last in windows.items():
        refused = _refused(run, partition.offset, last, (build_page, verdict.mmu_page_size))
        if refused is not None:
            run.stop(refused[0], f"assertion: {window}: {refused[1]}; abort, and the watchdog resets the chip")
            return False
    return True


def _refused(run: Run, image: int, segment: Segment | None, pages: tuple[int, int]) -> Refused:
    """What stops ``set_cache_and_start_app`` at one window; ``pages`` are the build's size and the app's."""
    config, target = run.config, run.chip.target
    asserts = _asserts(config)
    if asserts and target.name == "esp32":
        name, why = _BUS, cannot_have_a_bus(target, segment, pages[1])
    elif asserts:
        behind = target.name in _COUNTED and features(config.idf_version).counts_the_end
        name, why = _MAP, cannot_be_mapped(target, image, segment, *pages, behind=behind)
    else:
        # What this chip has no bus for is an abort() of its own.
        name, why = _BUS, _MISSING if target.name == "esp32s2" and segment is None else None
    return None if why is None else (name, why)


def _by_window(run: Run, mapped: list[Segment]) -> dict[str, Segment | None]:
    """The last segment of each window."""
    windows: dict[str, Segment | None] = {"DROM": None, "IROM": None}
    for segment in mapped:
        window = "IROM" if segment.load_addr >= _IROM_ABOVE else "DROM"
        if windows[window] is not None:
            run.log.error("boot", f"Image contains multiple {window} segments. Only the last one will be mapped.")
        windows[window] = segment
    return windows


def cannot_have_a_bus(target: Target, segment: Segment | None, page: int) -> str | None:
    """``cache_ll_l1_get_bus`` (components/hal/esp32/include/hal/cache_ll.h): what it asserts, in 32 bits.

    ROM maps on this chip, whatever it is given; which bus to switch on is asked for after that. Of code only the
    beginning is looked at, which made it code.
    """
    if segment is None:
        return _MISSING
    first = segment.load_addr - segment.load_addr % page
    low, high = target.drom
    if low <= first < high <= (segment.load_addr + segment.length - 1) & _WORD:
        return f"0x{first:08x} and 0x{segment.load_addr + segment.length - first:x} bytes on end behind 0x{high:08x}"
    return None


def cannot_be_mapped(
    target: Target, image: int, segment: Segment | None, build_page: int, app_page: int, *, behind: bool = False
) -> str | None:
    """``mmu_hal_map_region`` (components/hal/mmu_hal.c): what it asserts of one segment, in 32 bits.

    ``image`` is where the image starts in flash. ``build_page`` is the size of the MMU pages that the windows are made
    of, ``app_page`` the one that the app asks for; no segment is one of no bytes at address 0. ``behind``: the byte
    behind it counts, too.
    """
    if segment is None:
        return _MISSING
    sizes, otherwise = _PAGES.get(target.name, ((), build_page))
    page = app_page if app_page in sizes else otherwise
    if page not in _KNOWN_PAGES:
        return _unknown(page)
    shown = build_page * _SHOWN[target.name] if target.name in _SHOWN else _WORD
    windows = [(low, min(high, low + shown)) for low, high in (target.drom, target.irom)]
    offset = segment.load_addr % app_page
    first, length = segment.load_addr - offset, offset + segment.length
    in_flash = image + segment.offset - (image + segment.offset) % app_page
    reach = _reach(target, page)
    why = _cannot_show(windows, (first, in_flash, length), page, reach, behind=behind)
    if why is None and app_page != build_page:
        # Where the app looks for its own slot: a page of its size at the end of the data window.
        last = (windows[0][1] - app_page) & _WORD, in_flash, app_page
        why = _cannot_show(windows, last, page, reach, behind=False)
    return why


def _cannot_show(
    windows: list[tuple[int, int]], region: tuple[int, int, int], page: int, reach: int, *, behind: bool
) -> str | None:
    """A region, by address, place in flash and length, in pages of ``page`` bytes and with flash up to ``reach``."""
    first, in_flash, length = region
    if first % page or in_flash % page:
        return (
            f"0x{first:08x} and the flash at 0x{in_flash:x} are not both the beginning of a page of {page // _KIB} KB"
        )
    if in_flash >= reach or length >= reach or (in_flash + length - 1) & _WORD >= reach:
        return f"the flash at 0x{in_flash:x} and 0x{length:x} bytes on is out of the MMU's reach"
    last = (first + length - (not behind)) & _WORD
    if any(low <= first < end and low <= last < end for low, end in windows):
        return None
    return f"0x{first:08x} and 0x{length:x} bytes on are not in one window"
