"""Waking from deep sleep without looking at the app again (``bootloader_utility_load_boot_image_from_deep_sleep``)."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import Partition, RtcRetain, Verdict, active_otadata, ota_slot, read_otadata
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.idf.bootloader.run import FACTORY_INDEX, Run
from py_esp_ota.idf.bootloader.security import enable_security
from py_esp_ota.idf.bootloader.table import LoadedTable

_NAME = "bootloader_utility_load_boot_image_from_deep_sleep"


def fast_boot(run: Run, load_partition_table: Callable[[], LoadedTable | None]) -> tuple[Partition, Verdict] | None:
    """The app that ran before the sleep, loaded but not validated; ``None`` when the boot has to go the usual way.

    otadata is not written: a pending app stays pending, a new choice waits for the next real reset.
    """
    partition = _from_record(run) if run.has_rtc_fast_mem else _from_otadata(run, load_partition_table())
    if partition is not None and partition.size:
        verdict = run.chip.verify_image(partition, build="bootloader", mode="load_no_validate", config=run.config)
        run.log.core(verdict.log)
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
    """Where RTC memory says that the app is."""
    record = RtcRetain.from_bytes(run.chip.rtc)
    if record is None or not record.size:
        return None
    return Partition("", 0, 0x10, record.offset, record.size)


def _from_otadata(run: Run, loaded: LoadedTable | None) -> Partition | None:
    """Where otadata says that it is, on chips without RTC fast memory. Without otadata only factory is thought of."""
    if loaded is None:
        return None
    table = loaded.meaning
    index = FACTORY_INDEX
    if table.ota_info is not None:
        try:
            entries = read_otadata(run.chip.flash, table.ota_info.offset)
        except FlashError:
            return table.partition(index)
        active = active_otadata(*entries)
        if active >= 0 and table.app_count:
            index = ota_slot(entries[active].ota_seq, table.app_count)
    return table.partition(index)
