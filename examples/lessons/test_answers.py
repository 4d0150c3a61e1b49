"""The exercise sheet: what the engine says to your answers. ``pytest -k nor`` asks about one."""

from __future__ import annotations

import answers
import pytest

from py_esp_ota import Device, Firmware, Lab, PartitionTable, Sdkconfig, inspect_image
from py_esp_ota._core import EFuse
from py_esp_ota.firmware import flipped, ota_select_entry
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sweep import Life, Scene

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


def updated() -> Life:
    """A lamp whose app has just written and chosen an update."""
    life = Scene(OLD, NEW).life()
    life.power_on()

    def install(ops: OtaOps) -> None:
        slot = ops.get_next_update_partition()
        handle = ops.begin(slot, len(NEW))
        ops.write(handle, NEW)
        ops.end(handle)
        ops.set_boot_partition(slot)

    life.app(install)
    return life


def version(life: Life) -> str:
    desc = life.report.app_desc
    return desc.version if desc else ""


def test_nor() -> None:
    lamp = Device("two_ota_large", firmware=OLD)
    assert lamp.power_on().partition
    before = lamp.flash.stats
    programmed, erased = before.program_bytes, before.erases
    answers.nor(lamp.flash)
    assert lamp.flash.stats.program_bytes - programmed == 1
    assert lamp.flash.stats.erases == erased
    assert lamp.power_on().partition is None, "it still boots"


@pytest.mark.parametrize("place", [0x18, 0x1234, 0x3FF0])
def test_image(place: int) -> None:
    broken = flipped(NEW, place)
    assert not inspect_image(broken).valid
    assert answers.image(broken) == NEW


def test_table() -> None:
    table = PartitionTable.from_csv(answers.table())
    old, new = (Firmware("lamp", version, size=900 * 1024).to_bytes() for version in ("1.0.0", "1.1.0"))
    assert max(row.offset + row.size for row in table) <= 2 * 1024 * 1024
    with Lab() as lab:
        lamp = lab.device(table, firmware=old, node_id="lamp1")
        lamp.power_on()
        reports = lab.run(lab.update(new, name="1.1.0"))["lamp1"]
    assert reports[-1]["status"] == "success"
    assert lamp.running
    assert lamp.running.version == "1.1.0"


def test_otadata() -> None:
    life = updated()
    rows = life.flash
    start = 0xD000
    rows.erase(start, 0x2000)
    rows.program(start, ota_select_entry(1, OtaImgState.VALID))
    rows.program(start + 0x1000, ota_select_entry(2, OtaImgState.ABORTED))
    for offset in (0x110000, 0x210000):
        rows.erase(offset, len(NEW))
        rows.program(offset, NEW)
    report = life.restart()
    assert report.partition
    assert report.partition.label == "ota_0"
    erased = rows.stats.erases
    answers.otadata(rows)
    assert rows.stats.erases == erased
    report = life.restart()
    assert report.partition
    assert report.partition.label == "ota_1", "the bootloader does not try it"


@pytest.mark.parametrize("wanted", ["PENDING_VERIFY", "VALID", "INVALID", "ABORTED"])
def test_slot(wanted: str) -> None:
    life = updated()
    answers.slot(life, wanted)
    state = int.from_bytes(life.flash.read(0xD000 + 24, 4), "little")
    assert OtaImgState(state).name == wanted
    assert version(life) == ("1.1.0" if wanted in {"PENDING_VERIFY", "VALID"} else "1.0.0")


@pytest.mark.parametrize("sensor_works", [True, False])
def test_confirm(sensor_works: bool) -> None:
    life = updated()
    life.restart()
    assert version(life) == "1.1.0"
    life.app(lambda ops: answers.confirm(ops, sensor_works=sensor_works))
    assert version(life) == ("1.1.0" if sensor_works else "1.0.0"), "not at once"
    for _ in range(3):
        life.power_on()
    assert version(life) == ("1.1.0" if sensor_works else "1.0.0")


@pytest.mark.parametrize("secure_version", [1, 2, 5])
def test_anti_rollback(secure_version: int) -> None:
    fuses, build = EFuse(secure_version=secure_version), Sdkconfig(bootloader_app_anti_rollback=True)
    assert Device("two_ota_large", firmware=OLD, efuse=fuses.copy(), config=build).power_on().partition is None
    saved = Device("two_ota_large", firmware=answers.anti_rollback(secure_version), efuse=fuses.copy(), config=build)
    assert saved.power_on().partition
    assert saved.chip.efuse.secure_version == secure_version, "it burnt fuses: the next board is locked out"


def test_job() -> None:
    said = answers.job("lamp", "1.0.0")
    assert len(said) >= 2
    for reason, firmware in said.items():
        with Lab() as lab:
            lamp = lab.device("two_ota_large", firmware=OLD, node_id="lamp1")
            lamp.power_on()
            last = lab.run(lab.update(firmware, name="refused"))["lamp1"][-1]
        assert (last["status"], last["additional_info"]) == ("rejected", reason)
