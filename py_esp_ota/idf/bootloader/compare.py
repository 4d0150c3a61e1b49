"""Does a compiled bootloader do what our model of it says? The options it shows, and the first difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import zip_longest

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import (
    DESC_OFFSET,
    MMU_PAGE,
    Firmware,
    app_desc,
    flipped,
    image,
    layout_of,
    merge,
    ota_select_entry,
)
from py_esp_ota.idf.bootloader.build_release import release_of_build
from py_esp_ota.idf.bootloader.lines import lines_of, rom_lines_of
from py_esp_ota.idf.bootloader.machine_code import SiliconBoot, trap_text
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.build import CompiledBuild, compiled_build
from py_esp_ota.silicon.oracle import BootOracle
from py_esp_ota.silicon.report import SiliconReport

_ROOM = 0x8000
_SECTOR = 0x1000
_SHOWN = 16
_IN_DATA = 0x200
_SEGMENT_HEADER = 8
_SMALLEST_FLASH, _SMALLEST_PAGE = 0x100000, 0x4000
_PAGE_SIZE = re.compile(r"MMU page size mismatch, configured: 0x(?P<bytes>\w+)|MMU Page Size  : (?P<kib>\d+)K")
#: The first release that looks at the page size in an app's descriptor.
_COMPARES_PAGES = (5, 4, 0)
_CSV = "otadata,data,ota,,0x2000\nfactory,app,factory,,0x10000\nota_0,app,ota_0,,0x10000\n"

#: Options of ``Sdkconfig`` by name.
Options = dict[str, bool | int]


def read_build(chip: Chip) -> CompiledBuild:
    """How the bootloader in the flash of ``chip`` was built, as far as its bytes tell."""
    return compiled_build(chip.flash.mmap(chip.target.bootloader_offset, _ROOM))


def compiled_options(chip: Chip, oracle: BootOracle, config: Sdkconfig) -> Options:
    """Options of the bootloader in the flash of ``chip`` that can be told: by its texts, and by what it does.

    Flashes are made up around it, and booted by a chip that every app accepts: one with an update that nobody
    confirmed, one with a damaged app, one with an app that leaves a mapping out. An option is absent when it cannot be
    told. Raises ``ValueError`` when ``oracle`` cannot run this chip.
    """
    build = read_build(chip)
    options: Options = dict(build.options)
    table = PartitionTable.from_csv(_CSV, table_offset=config.partition_table_offset)
    otadata, factory, ota_0 = (row.offset for row in table)
    app = Firmware("probe", "1", chip=chip.target.name).to_bytes()
    start = chip.target.bootloader_offset
    parts = {
        start: chip.flash.mmap(start, min(_ROOM, config.partition_table_offset - start)),
        config.partition_table_offset: table.to_bytes(),
        factory: app,
    }

    def tried(state: OtaImgState, what: bytes, reason: ResetReason = ResetReason.POWERON) -> SiliconReport:
        made = merge({**parts, otadata: ota_select_entry(1, state), ota_0: what})
        probe = Chip(chip.target.name, flash=Flash.from_bytes(made, size=chip.flash.size))
        probe.reset_reason = reason
        return oracle.boot(probe)

    fresh = tried(OtaImgState.NEW, app)
    if fresh.slot == ota_0:
        options["bootloader_app_rollback_enable"] = bool(fresh.flash_writes)
        damaged = flipped(app, _IN_DATA)
        slots = [tried(OtaImgState.VALID, damaged, reason).slot for reason in (ResetReason.POWERON, ResetReason.SW)]
        if None not in slots:
            options["bootloader_skip_validate_always"] = slots[1] == ota_0
            options["bootloader_skip_validate_on_power_on"] = slots == [ota_0, factory]
        # An ESP32-S2 that lacks a window aborts by itself, assertions or not.
        asked, otherwise = (_at_the_sign, factory) if chip.target.name == "esp32s2" else (_without_a_window, ota_0)
        stopped = tried(OtaImgState.VALID, asked(chip.target.name))
        if stopped.trap is None and (stopped.outcome == "ABORT" or stopped.slot == otherwise):
            asserts = stopped.outcome == "ABORT"
            options["compiler_optimization_assertion_level"] = (1 + build.asserts_aloud) * asserts
        page = _page_size(fresh, build)
        if page is None and chip.target.mmu_page_size(_SMALLEST_FLASH) < MMU_PAGE:
            page = _smallest(chip.target.name, lambda what: tried(OtaImgState.VALID, what).slot, ota_0, factory)
        if page is not None:
            options["mmu_page_size"] = page
    return options


def _without_a_window(chip: str) -> bytes:
    """An app of one mapped segment: sound, and an assertion of the bootloader that loads it.

    ``unpack_load_app`` counts them where there is one window; elsewhere ``mmu_hal_map_region`` is given nothing to map.
    """
    layout = layout_of(chip)
    return image([(layout.drom + DESC_OFFSET, app_desc("probe", "1")), (layout.iram, bytes(16))], chip=chip)


def _at_the_sign(chip: str) -> bytes:
    """An app with a segment up to 0x80000000.

    That is less than its beginning to ``verify_load_addresses``: an assertion there, and without it no address of RAM.
    """
    layout = layout_of(chip)
    desc, code = (layout.drom + DESC_OFFSET, app_desc("probe", "1")), (layout.iram, bytes(16))
    return image([desc, code, (0x7FFFFFFC, bytes(4))], chip=chip)


def _smallest(chip: str, starts: Callable[[bytes], int | None], taken: int, passed: int) -> int | None:
    """The MMU's page size of a build that prints nothing about it: by which apps it takes.

    ``starts`` says where the app lies that starts when there is another one at ``taken``, before that at ``passed``.
    """
    page = MMU_PAGE
    while page > _SMALLEST_PAGE:
        slot = starts(_for_pages(chip, page // 2))
        if slot != taken:
            return page if slot == passed else None
        page //= 2
    return page


def _for_pages(chip: str, size: int) -> bytes:
    """A sound app whose addresses fit pages of ``size`` and no larger ones, and that does not say so."""
    layout, at, segments = layout_of(chip), DESC_OFFSET, []
    for number, window in enumerate((layout.drom, layout.irom)):
        data = app_desc("probe", "1", mmu_page_size=0) if number == 0 else bytes(16)
        segments.append((window + number * MMU_PAGE + size + at, data))
        at += len(data) + _SEGMENT_HEADER
    return image(segments, chip=chip)


def _page_size(run: SiliconReport, build: CompiledBuild) -> int | None:
    """The MMU's page size of a build, by what it prints about an app that was built for the largest."""
    told = next((found for line in run.log if (found := _PAGE_SIZE.search(line))), None)
    if told is not None:
        return int(told["bytes"], 16) if told["bytes"] else int(told["kib"]) << 10
    compares = build.idf_version is not None and build.idf_version >= _COMPARES_PAGES and "I" in build.prints
    return MMU_PAGE if compares else None


def as_compiled(config: Sdkconfig, build: CompiledBuild, options: Options) -> Sdkconfig:
    """``config`` with what the compiled bootloader shows of its own."""
    release = release_of_build(build, config.idf_version)
    return replace(config, idf_version=release, **options)  # type: ignore[arg-type]


def engine_difference(one: SiliconBoot, other: SiliconBoot, flashes: tuple[Flash, Flash]) -> str | None:
    """The first thing in which two engines differ on one flash, in one line; ``None`` when they agree.

    ``flashes`` are what each of them left. How many instructions it were is not asked: not every engine counts.
    """
    for number, (first, second) in enumerate(zip(one.runs, other.runs, strict=False), 1):
        for name in ("outcome", "entry", "slot", "trap", "flash_writes", "log"):
            ours, theirs = getattr(first, name), getattr(second, name)
            if ours != theirs:
                return f"run {number}, {name}: {ours!r} and {theirs!r}"
    if len(one.runs) != len(other.runs):
        return f"{len(one.runs)} runs and {len(other.runs)}"
    return _flash_difference(*flashes)


def difference(silicon: SiliconBoot, model: BootReport, flashes: tuple[Flash, Flash], prints: str) -> str | None:
    """The first thing in which machine code and model differ, in one line; ``None`` when they agree.

    Args:
        silicon: what machine code did.
        model: what the model did with the same flash.
        flashes: what each of them left, machine code first.
        prints: the levels of the lines that this build can print; others of the model's lines are passed over.
    """
    if not _ends_alike(silicon.last, model):
        return f"machine code {_end(silicon)}; the model {_end_of_model(model)}"
    return (
        _flash_difference(*flashes)
        or _rom_difference(silicon.report.console, model.console)
        or _log_difference(silicon.report.log, model.log, prints)
    )


def _ends_alike(run: SiliconReport, model: BootReport) -> bool:
    """An app that both jump into, wherever its entry is, or none on both sides.

    A bootloader that aborts by itself starts none, and the watchdog resets the chip; one that left the known proves
    nothing.
    """
    if run.outcome == "APP" and run.slot is None:
        return model.ok
    if run.trap is not None or run.outcome == "HANG":
        return False
    return run.slot == (model.partition.offset if model.partition else None)


def _end(silicon: SiliconBoot) -> str:
    run, partition = silicon.last, silicon.report.partition
    if run.outcome == "APP" and run.slot is None:
        return "starts an app"
    if run.slot is None:
        ends = {"RESET": "starts no app", "ABORT": "stops for good", "HANG": "is still running when its time is over"}
        return ends.get(run.outcome, run.outcome) + (f" ({trap_text(run.trap)})" if run.trap else "")
    return f"jumps into {partition.label if partition else 'an app'} at 0x{run.slot:x}"


def _end_of_model(model: BootReport) -> str:
    if model.partition is None:
        return "starts no app"
    return f"jumps into {model.partition.label} at 0x{model.partition.offset:x}"


def _flash_difference(machine: Flash, model: Flash) -> str | None:
    one, two = machine.to_bytes(), model.to_bytes()
    if one == two:
        return None
    for start in range(0, len(one), _SECTOR):
        if one[start : start + _SECTOR] != two[start : start + _SECTOR]:
            at = next(at for at in range(start, start + _SECTOR) if one[at] != two[at])
            left = (data[at : at + _SHOWN].hex(" ") for data in (one, two))
            return "flash at 0x{:x}: machine code left {}, the model {}".format(at, *left)
    return None


def _rom_difference(printed: Iterable[str], expected: Iterable[str]) -> str | None:
    """ROM's lines; some emulators have no ROM that speaks."""
    one, two = rom_lines_of(printed), rom_lines_of(expected)
    if not one:
        return None
    for mine, theirs in zip_longest(one, two, fillvalue="no line"):
        if mine != theirs:
            return f"console, ROM: machine code prints {mine!r}, the model {theirs!r}"
    return None


def _log_difference(printed: Iterable[str], expected: Iterable[str], prints: str) -> str | None:
    """Line by line, without the time: nothing on either side measures it."""
    one, two = lines_of(printed), [line for line in lines_of(expected) if line[0] in prints]
    for number in range(max(len(one), len(two))):
        mine, theirs = (lines[number] if number < len(lines) else "no line" for lines in (one, two))
        if mine != theirs:
            return f"console line {number + 1}: machine code prints {mine!r}, the model {theirs!r}"
    return None
