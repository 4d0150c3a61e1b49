"""Tasmota's update with one OTA slot: the app notes it and steps aside, safeboot in the factory partition writes."""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.field.profiles.updaters import arduino_update
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.nvs import FlashNvs

_APP, _FACTORY, _DATA, _OTADATA = 0, 0, 1, 0
_SECTOR = 0x1000
#: ``OtaFactoryRead``/``OtaFactoryWrite``: a number of 32 bits in NVS.
_PLACE = ("otal", "otal")
_YES, _NO = b"\1\0\0\0", bytes(4)


def single_ota_partition(ops: OtaOps) -> bool:
    """``EspSingleOtaPartition``."""
    return sum(row.ota_slot is not None for row in ops.table) == 1


def running_factory(ops: OtaOps) -> bool:
    """``EspRunningFactoryPartition``."""
    running = ops.get_running_partition()
    return (running.type, running.subtype) == (_APP, _FACTORY)


def to_safeboot(ops: OtaOps) -> bool:
    """``EspPrepSwitchPartition(0)``: both otadata sectors are erased. Whether that was done."""
    if not single_ota_partition(ops) or running_factory(ops):
        return False
    erase_otadata(ops)
    return True


def erase_otadata(ops: OtaOps) -> None:
    """``EspPrepRestartToSafeBoot``."""
    otadata = ops.partitions.find_first(_DATA, _OTADATA)
    if otadata is not None:
        ops.partitions.erase_range(otadata, 0, 2 * _SECTOR)


def note(nvs: FlashNvs, *, wanted: bool) -> None:
    """``OtaFactoryWrite``."""
    nvs.set(*_PLACE, _YES if wanted else _NO)


def noted(nvs: FlashNvs) -> bool:
    """``OtaFactoryRead``."""
    return nvs.get(*_PLACE) == _YES


def update(ops: OtaOps, image: bytes) -> None:
    """``httpUpdateLight``: write the next slot and choose it, as ``TasUpdate`` does. Raises ``UpdaterError``."""
    arduino_update.update(ops, image, updater="TasUpdate", blocks=False)


def safeboot_of(ops: OtaOps) -> Partition | None:
    """The factory partition."""
    return ops.partitions.find_first(_APP, _FACTORY)
