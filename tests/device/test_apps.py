"""Apps that are functions of Python: what a device does as they end, without a network and in the lab."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from py_esp_ota import Device, Lab, PowerLoss, Sdkconfig
from py_esp_ota.apps import AppRun
from py_esp_ota.chip import ResetReason
from py_esp_ota.errors import Restart
from py_esp_ota.firmware import Firmware

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


def confirms(booted):
    booted.ops.mark_app_valid_cancel_rollback()


def rejects(booted):
    booted.ops.mark_app_invalid_rollback_and_reboot()


def panics(booted):
    raise Restart("panic")


def hangs(booted):
    return AppRun(ResetReason.RTCWDT_RTC, "nobody fed the watchdog", 9.0)


def installs(booted):
    """The old app: fetches nothing, for the new image is in its pocket."""
    ops = booted.ops
    if ops.get_last_invalid_partition() is not None:
        return
    slot = ops.get_next_update_partition()
    handle = ops.begin(slot, len(NEW))
    ops.write(handle, NEW)
    ops.end(handle)
    ops.set_boot_partition(slot)
    raise Restart("update")


def device(new_app, **options):
    apps = {"1.0.0": installs, "1.1.0": new_app}
    return Device("two_ota", firmware=OLD, apps=lambda app: apps.get(app.version), config=Sdkconfig(), **options)


def played(lamp):
    return [report.app_desc.version for report in lamp.boots], [run.reset for run in lamp.runs]


def test_an_app_that_confirms_itself_stays():
    lamp = device(confirms)
    lamp.power_on()
    assert lamp.run() == AppRun()
    assert played(lamp) == (["1.0.0", "1.1.0"], [ResetReason.SW, None])
    assert lamp.state == "VALID"


@pytest.mark.parametrize(
    ("app", "reset"), [(rejects, ResetReason.SW), (panics, ResetReason.SW), (hangs, ResetReason.RTCWDT_RTC)]
)
def test_an_app_that_does_not_is_taken_back(app, reset):
    lamp = device(app)
    lamp.power_on()
    lamp.run()
    assert played(lamp) == (["1.0.0", "1.1.0", "1.0.0"], [ResetReason.SW, reset, None])
    assert lamp.chip.reset_reason == reset
    assert lamp.running.version == "1.0.0"


def test_an_app_that_neither_confirms_nor_ends_is_taken_back_at_the_next_reset():
    lamp = device(lambda booted: None)
    lamp.power_on()
    lamp.run()
    assert lamp.state == "PENDING_VERIFY"
    assert lamp.power_on().app_desc.version == "1.0.0"


def test_a_chip_that_boots_for_ever_is_left_alone():
    lamp = Device("two_ota", firmware=OLD, apps=lambda app: panics)
    lamp.power_on()
    assert lamp.run().why == "panic"
    assert len(lamp.boots) == 2


def test_nothing_to_run_is_nothing():
    for apps in (None, lambda app: None):
        lamp = Device("two_ota", firmware=OLD, apps=apps)
        assert lamp.run() is None
        lamp.power_on()
        assert lamp.run() is None


def test_a_cut_in_an_app_is_a_power_loss_and_what_it_wrote_before_is_there():
    lamp = device(confirms)
    lamp.power_on()
    lamp.flash.fault = "cut@2"
    with pytest.raises(PowerLoss):
        lamp.run()
    assert lamp.power_on().app_desc.version == "1.0.0"


def test_a_mistake_in_an_app_is_not_hidden():
    lamp = device(lambda booted: 1 // 0)
    lamp.power_on()
    with pytest.raises(ZeroDivisionError):
        lamp.run()


@pytest.mark.parametrize(("app", "last"), [(rejects, "1.0.0"), (hangs, "1.0.0"), (confirms, "1.1.0")])
def test_in_the_lab_the_new_app_decides_and_the_old_one_tells_the_cloud(app, last):
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp1", apps=lambda desc: app if desc.version == "1.1.0" else None)
        lamp.power_on()
        lab.run(lab.settled("lamp1", seconds=100))
        image = lab.run(lab.upload(NEW, name="1.1.0"))
        job = lab.run(lab.start_job("update", image, nodes=["lamp1"]))
        lab.run(asyncio.sleep(60))
        assert lamp.running.version == last
        assert lamp.state == "VALID"
        assert lab.is_online("lamp1") == (last == "1.0.0")
        told = [report["status"] for report in lab.reports(job, "lamp1")]
        assert told[-1] == ("rejected" if last == "1.0.0" else "in-progress")


def test_power_pulled_while_an_app_of_python_stays():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp1", apps=lambda desc: confirms)
        lamp.power_on()
        lab.run(asyncio.sleep(5))
        lamp.power_off()
        lab.run(asyncio.sleep(5))
        lamp.power_on()
        lab.run(asyncio.sleep(5))
        assert len(lamp.runs) == 2


def test_without_the_extra_everything_works_but_names_of_functions():
    program = (
        "import sys; sys.modules.update(unicorn=None, elftools=None)\n"
        "from py_esp_ota import Device; from py_esp_ota.apps import MachineCode\n"
        "from py_esp_ota.firmware import Firmware\n"
        "lamp = Device('two_ota', firmware=Firmware('lamp', '1').to_bytes(), apps=lambda app: lambda booted: None)\n"
        "lamp.power_on(); print(lamp.run().why)\n"
        "MachineCode()\n"
        "try: MachineCode(elfs=[b''])\n"
        "except ModuleNotFoundError as missing: print(missing)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "it runs",
        "a linked program needs elftools, which comes with an extra: pip install 'py_esp_ota[silicon]'",
    ]
