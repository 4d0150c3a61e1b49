"""Your answers, one function for each lesson. None of them is right as it stands; ``pytest`` here asks the engine."""

from __future__ import annotations

from py_esp_ota import Firmware, Flash
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.sweep import Life


def nor(flash: Flash) -> None:
    """1. Make it brick: program one byte, erase nothing, and this device boots nothing any more."""


def image(broken: bytes) -> bytes:
    """2. Save it: one bit of this image was wrong when it arrived. Give it back whole."""
    return broken


def table() -> str:
    """3. Save it: a table, as CSV, for a flash of 2 MiB on which an app of 900 KiB can be updated over the air."""
    return "factory,app,factory,0x10000,1M\n"


def otadata(flash: Flash) -> None:
    """4. Save it: ota_1 was given up (entry 1 is ABORTED). Let the bootloader try it once more; nothing is erased."""


def slot(life: Life, wanted: str) -> None:
    """5. An update was just chosen, its entry is NEW. Lead it to PENDING_VERIFY, VALID, INVALID or ABORTED."""


def confirm(ops: OtaOps, *, sensor_works: bool) -> None:
    """6. Save it: the first run of an update. It stays when its sensor works, else the old version comes back."""


def anti_rollback(secure_version: int) -> bytes:
    """7. Save it: the eFuses say ``secure_version``, and nothing on this board boots. Which lamp brings it back?"""
    return Firmware("lamp", "1.0.1", secure_version=secure_version - 1).to_bytes()


def job(project: str, version: str) -> dict[str, bytes]:
    """8. Images that this node refuses, each by what it says then: two different reasons at least."""
    return {"No thanks": Firmware(project, version).to_bytes()}
