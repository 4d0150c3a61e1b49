"""What Wi-Fi, PHY and the time zone keep in the ``nvs`` partition: written once, and how full that makes it."""

from __future__ import annotations

import asyncio

import pytest
from board import Board, slots, table

from py_esp_ota import Lab, PowerLoss, Sdkconfig
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.nvs_residents import CAL_DATA, PHY, TIME_ZONE, WIFI_STATION, write_residents

CONFIG = Sdkconfig()
OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


@pytest.fixture
def nvs():
    return FlashNvs(Board(slots(2)).chip, CONFIG)


def entries(nvs) -> dict[str, int]:
    partition = nvs.partition
    return {name: partition.open(name).used_entry_count() for name, _ in partition.namespaces()}


def test_the_first_boot_fills_the_partition_as_in_the_field(nvs):
    """66 entries of PHY is what devices were seen to have; a station has 59 of Wi-Fi.

    One more while the end of the first page splits ``sta.apinfo``, which lies there.
    """
    write_residents(nvs)
    assert entries(nvs) == {"misc": 0, "nvs.net80211": 60, "phy": 66, "rmaker_time": 6}
    assert nvs.partition.stats().used_entries == 4 + 60 + 66 + 6
    found = {(entry.namespace, entry.key): entry.type for entry in nvs.partition.entries()}
    assert found == {(it.namespace, it.key): it.type for it in (*PHY, *WIFI_STATION, *TIME_ZONE)}
    assert len(nvs.partition.open("phy").get("cal_data", "blob")) == 1904
    assert nvs.get("rmaker_time", "tz_posix") == b"CST-8"


@pytest.mark.parametrize(("release", "again"), [((5, 4, 0), 0), ((6, 2, 0), 16)])
def test_later_boots_write_nothing(release, again):
    """But since CRCs are compared first, a blob in two chunks is written again; then it lies in one page."""
    nvs = FlashNvs(Board(slots(2)).chip, Sdkconfig(idf_version=release))
    counts = []
    for _ in range(4):
        before = nvs._chip.flash.operations
        nvs.reset()
        write_residents(nvs)
        counts.append(nvs._chip.flash.operations - before)
    assert counts[0] > 100
    assert counts[1:] == [again, 0, 0]


@pytest.mark.parametrize(("key", "kind", "value"), [("cal_mac", "blob", b"others"), ("cal_version", "u32", 1)])
def test_calibration_data_of_another_chip_or_library_is_made_again(nvs, key, kind, value):
    write_residents(nvs)
    handle = nvs.partition.open("phy", "readwrite")
    handle.set("cal_data", "blob", bytes(CAL_DATA))
    handle.set(key, kind, value)
    write_residents(nvs)
    assert handle.get("cal_data", "blob") != bytes(CAL_DATA)
    assert handle.get(key, kind) != value


def test_calibration_data_is_not_looked_into(nvs):
    write_residents(nvs)
    nvs.partition.open("phy", "readwrite").set("cal_data", "blob", bytes(CAL_DATA))
    write_residents(nvs)
    assert nvs.partition.open("phy").get("cal_data", "blob") == bytes(CAL_DATA)


def test_what_does_not_fit_is_left_out():
    """Two pages, one of them kept for moving: the description of the access point is too much, the time zone is not."""
    rows = table(("nvs", 1, 2, 0x9000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x100000))
    nvs = FlashNvs(Board(rows).chip, CONFIG)
    write_residents(nvs)
    assert entries(nvs) == {"misc": 0, "nvs.net80211": 35, "phy": 66, "rmaker_time": 6}
    assert nvs.get("nvs.net80211", "sta.apinfo") is None


def test_a_table_without_nvs_is_nothing_to_them():
    chip = Board(table(("ota_0", 0, 0x10, 0x10000, 0x100000))).chip
    write_residents(FlashNvs(chip, CONFIG))
    assert chip.flash.operations == 0


def test_a_device_has_them_when_asked_for():
    with Lab() as lab:
        plain, full = (lab.device(firmware=OLD, nvs_residents=option) for option in (False, True))
        for device in (plain, full):
            device.power_on()
            lab.run(lab.settled(device.node_id, seconds=60))
        assert "phy" not in dict(plain.nvs.partition.namespaces())
        assert entries(full.nvs)["phy"] == 66
        lab.run(lab.update(NEW, name="new"))
        assert {(device.running.version, device.state) for device in (plain, full)} == {("1.1.0", "VALID")}
        assert entries(full.nvs)["phy"] == 66


def test_a_device_that_panics_at_once_writes_nothing():
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, nvs_residents=True)
        lamp._crashes = lambda _app: 0.0
        lamp.power_on()
        lab.run(asyncio.sleep(10))
        assert lamp.nvs.partition.namespaces() == []


def test_a_power_cut_in_the_calibration_data_is_mended_at_the_next_boot():
    operation = 0
    while True:
        fork = FlashNvs(Board(slots(2)).chip, CONFIG)
        flash = fork._chip.flash
        flash.fault = f"cut@{operation}"
        try:
            write_residents(fork)
            break
        except PowerLoss:
            flash.fault = ""
            flash.power_on()
        fork.reset()
        write_residents(fork)
        assert entries(fork)["phy"] == 66
        operation += 17
    assert operation > 100
