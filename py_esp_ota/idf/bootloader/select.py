"""``bootloader_utility_get_selected_boot_partition``: what otadata says, and what becomes of it on the way."""

from __future__ import annotations

from py_esp_ota._core import BootTable, OtaSelectEntry, active_otadata, ota_slot
from py_esp_ota._core import select_boot_partition as choose
from py_esp_ota.idf import rollback
from py_esp_ota.idf.bootloader.run import FACTORY_INDEX, INVALID_INDEX, Run
from py_esp_ota.idf.rollback import BLANK_SEQ, Entries, OtaImgState

_NAME = "bootloader_utility_get_selected_boot_partition"
_XTENSA = frozenset({"esp32", "esp32s2", "esp32s3"})


def get_selected_boot_partition(run: Run, table: BootTable) -> tuple[int, bool]:
    """The index to start from, and whether a successful boot heals otadata.

    ``INVALID_INDEX`` when there is no way to boot.
    """
    ota_info = table.ota_info
    if ota_info is None:
        run.decide(_NAME, "no otadata partition -> factory")
        return FACTORY_INDEX, False
    entries = run.read_otadata(ota_info, _NAME)
    if entries is None:
        return INVALID_INDEX, False
    if run.config.bootloader_app_rollback_enable:
        for rewrite in rollback.unconfirmed(entries):
            run.decide(_NAME, f"otadata[{rewrite.index}] PENDING_VERIFY -> ABORTED (nobody confirmed it)")
            entries = rollback.applied(entries, rewrite)
            run.write_otadata(ota_info, rewrite)
    if run.config.bootloader_app_anti_rollback:
        index, active, self_heal = _select_with_anti_rollback(run, table, entries)
    else:
        selection = choose(table, *entries)
        run.log.core(selection.log)
        index, active, self_heal = selection.index, selection.active, selection.self_heal
        run.decide(_NAME, _selected(table, entries, index, active))
    if run.config.bootloader_app_rollback_enable:
        trial = rollback.trial(entries, active)
        if trial is not None:
            run.decide(_NAME, f"otadata[{trial.index}] NEW -> PENDING_VERIFY (one boot to confirm itself)")
            run.write_otadata(ota_info, trial)
    if active >= 0 and entries[active].ota_state == OtaImgState.VALID:
        # Before the image is looked at: the fuse rises even if the image then fails.
        run.update_anti_rollback(table.partition(index))
    return index, self_heal


def _select_with_anti_rollback(run: Run, table: BootTable, entries: Entries) -> tuple[int, int, bool]:
    """The choice of a build with ``BOOTLOADER_APP_ANTI_ROLLBACK``: index, active entry, whether to heal."""
    run.log.info("boot", "Enabled a check secure version of app for anti rollback")
    run.log.info("boot", f"Secure version (from eFuse) = {run.burnt_secure_version}")
    if all(entry.ota_seq == BLANK_SEQ or not entry.crc_ok for entry in entries):
        run.log.info("boot", "otadata[0..1] in initial state")
        run.decide(_NAME, "both otadata entries are blank or corrupt -> every slot in turn")
        return FACTORY_INDEX, -1, True
    if table.app_count == 0 and any(entry.valid for entry in entries) and run.chip.target.name in _XTENSA:
        run.stop(_NAME, "division by zero: an otadata entry is valid and the table has no OTA slot")
        return INVALID_INDEX, -1, False
    active = active_otadata(*(_unless_too_old(run, table, index, entry) for index, entry in enumerate(entries)))
    if active < 0:
        lost = "falling back to factory" if table.factory else "and no factory, will try all partitions"
        comma = ", " if table.factory else " "
        run.log.error("boot", f"ota data partition invalid{comma}{lost}")
        run.decide(_NAME, "no otadata entry is valid and new enough -> " + ("factory" if table.factory else "all"))
        return FACTORY_INDEX, -1, False
    index = ota_slot(entries[active].ota_seq, table.app_count)
    run.decide(_NAME, _selected(table, entries, index, active))
    return index, active, False


def _unless_too_old(run: Run, table: BootTable, index: int, entry: OtaSelectEntry) -> OtaSelectEntry:
    """``get_active_otadata_with_check_anti_rollback``: an entry whose app is too old does not count."""
    if not entry.valid:
        return entry
    slot = table.partition(ota_slot(entry.ota_seq, table.app_count)) if table.app_count else None
    if run.check_anti_rollback(slot):
        return entry
    run.decide(_NAME, f"otadata[{index}] names an app older than the eFuse's secure version; it does not count")
    return entry.with_state(OtaImgState.ABORTED)


def _selected(table: BootTable, entries: Entries, index: int, active: int) -> str:
    """The reason for the start index in one sentence."""
    partition = table.partition(index)
    if active >= 0:
        entry = entries[active]
        goal = partition.label if partition else f"slot {index}, which the table does not have"
        return f"otadata[{active}] is active (seq {entry.ota_seq}, {rollback.state_name(entry.ota_state)}) -> {goal}"
    if table.app_count == 0:
        cause = "no OTA slot in the table"
    elif all(entry.invalid for entry in entries):
        cause = "both otadata entries are blank, INVALID or ABORTED"
    else:
        cause = "no otadata entry has a good CRC and a usable state"
    if table.factory is not None:
        return f"{cause} -> factory"
    return f"{cause}, no factory -> " + ("ota_0 first" if index >= 0 else "every slot in turn")
