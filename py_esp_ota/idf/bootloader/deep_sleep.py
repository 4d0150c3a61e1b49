"""Waking from deep sleep without looking at the app again (``bootloader_utility_load_boot_image_from_deep_sleep``)."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import Partition, RtcRetain, Verdict, active_otadata, ota_slot
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.bootloader.map import reaches
from py_esp_ota.idf.bootloader.run import FACTORY_INDEX, INVALID_INDEX, RESET, Reset, Run
from py_esp_ota.idf.bootloader.security import enable_security
from py_esp_ota.idf.bootloader.table import LoadedTable

_NAME = "bootloader_utility_load_boot_image_from_deep_sleep"


def fast_boot(
    run: Run, load_partition_table: Callable[[], LoadedTable | None]
) -> tuple[Partition, Verdict] | Reset | None:
    """The app that ran before the sleep, loaded but not validated; ``None`` when the boot has to go the usual way.

    otadata is not written: a pending app stays pending, a new choice waits for the next real reset.
    """
    partition = _from_record(run) if run.has_rtc_fast_mem else _from_otadata(run, load_partition_table())
    if partition is not None:
        if not reaches(run, partition):
            return RESET
        verdict = run.load(partition, "load_no_validate")
        if verdict == RESET:
            return RESET
        if verdict.err == EspErr.ESP_OK:
            run.log.info("boot", f"Fast booting app from partition at offset 0x{partition.offset:x}")
            run.decide(_NAME, f"woken: the app at 0x{partition.offset:x} again, not validated")
            if run.has_rtc_fast_mem:
                run.update_rtc_retain_mem(None)
            if enable_security(run, partition):
                return partition, verdict
    run.log.error("boot", "Fast booting is not successful")
    run.log.info("boot", "Try to load an app as usual with all validations")
    run.decide(_NAME, "no app to wake")
    return None


def _from_record(run: Run) -> Partition | None:
    """Where RTC memory says that the app is. A place without a size is tried as well, and nothing fits there."""
    record = RtcRetain.from_bytes(run.chip.rtc)
    return None if record is None else Partition("", 0, 0x10, record.offset, record.size)


def _from_otadata(run: Run, loaded: LoadedTable | None) -> Partition | None:
    """Where otadata says that it is, on chips without RTC fast memory. Without otadata only factory is thought of."""
    if loaded is None:
        return None
    table, index = loaded.meaning, FACTORY_INDEX
    entries = run.read_otadata(table.ota_info, _NAME) if table.ota_info is not None and table.ota_info.size else None
    active = -1 if entries is None else active_otadata(*entries)
    if entries is not None and active >= 0:
        index = _slot(entries[active].ota_seq, table.app_count)
    partition = table.partition(index)
    return partition if partition is not None and partition.size else None


def _slot(ota_seq: int, app_count: int) -> int:
    """The slot that a sequence number names.

    These chips are RISC-V: what remains after division by no slots is the number itself, and no slot has it. Below the
    first number stands factory's.
    """
    if app_count:
        return ota_slot(ota_seq, app_count)
    return INVALID_INDEX if ota_seq else FACTORY_INDEX
