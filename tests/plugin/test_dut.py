"""A device under test speaks pytest-embedded's language: expect, expect_exact, hard_reset, serial."""

from __future__ import annotations

import re
import sys
import time
from types import ModuleType

import pytest

from py_esp_ota import Lab, PartitionTable
from py_esp_ota.dut import Dut, DutTimeoutError, DutUnexpectedError
from py_esp_ota.errors import FlashError
from py_esp_ota.firmware import Firmware

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def dut(lab):
    return Dut(lab, "two_ota", firmware=OLD, node_id="lamp1")


# --------------------------------------------------------------------------------------------------------------- expect


def test_a_suite_for_real_boards_reads_the_same(dut):
    """After pytest_native_ota.py: the offset that boots is logged, and is the other one after an update."""
    dut.expect("Loaded app from partition at offset", timeout=30)
    dut.push(NEW)
    found = dut.expect(r"Loaded app from partition at offset (0x[0-9a-f]+)\r\n", timeout=60)
    assert found.group(1) == b"0x110000"
    assert dut.device.running.version == "1.1.0"


@pytest.mark.parametrize(
    "pattern",
    [
        "boot: (Loaded) app",
        b"boot: (Loaded) app",
        re.compile(rb"boot: (Loaded) app"),
        re.compile("boot: (loaded) APP", re.IGNORECASE),
    ],
)
def test_patterns_are_text_bytes_or_compiled(dut, pattern):
    match = dut.expect(pattern)
    assert (match.group(), match.group(1)) == (b"boot: Loaded app", b"Loaded")


def test_what_was_read_is_gone_and_what_was_skipped_too(dut):
    dut.expect("End of partition table")
    with pytest.raises(DutTimeoutError):
        dut.expect("Partition Table:", timeout=1)
    dut.expect("Loaded app")


def test_a_dot_matches_a_line_end(dut):
    assert dut.expect("partition table.*Loaded").group().count(b"\r\n") > 2


def test_of_several_patterns_the_earliest_matches(dut):
    assert dut.expect(["Loaded app", "Partition Table", "nothing of the kind"]).group() == b"Partition Table"


def test_all_of_several_patterns_in_whatever_order(dut):
    found = dut.expect(["Loaded app", "Partition Table"], expect_all=True)
    assert [match.group() for match in found] == [b"Partition Table", b"Loaded app"]
    dut.hard_reset()
    assert dut.expect(["Loaded app"], expect_all=True).group() == b"Loaded app"
    with pytest.raises(DutTimeoutError, match="not found within 2 s: b'never'"):
        dut.expect(["mqtt", "never"], expect_all=True, timeout=2)


def test_exact_text_is_no_pattern_and_comes_back_as_bytes(dut):
    assert dut.expect_exact("I (24) boot:") == b"I (24) boot:"
    assert dut.expect_exact(["(nothing)", b"v6.1 2nd"]) == b"v6.1 2nd"
    assert dut.expect_exact(["Partition Table:", "Loaded"], expect_all=True) == [b"Partition Table:", b"Loaded"]
    with pytest.raises(DutTimeoutError):
        dut.expect_exact("b..t", timeout=1)


def test_what_stood_before_the_match(dut):
    dut.expect("End of partition table")
    skipped = dut.expect("Loaded app", return_what_before_match=True)
    assert skipped.startswith(b"\r\nI (")
    assert b"esp_image: segment 0" in skipped
    with pytest.raises(ValueError, match="exclude each other"):
        dut.expect("x", expect_all=True, return_what_before_match=True)


def test_what_must_not_appear_before(dut):
    with pytest.raises(DutUnexpectedError, match="b'Partition Table' appeared on the console"):
        dut.expect("Loaded app", not_matching=["rst:0x", "Partition Table"])
    dut.expect("Loaded app", not_matching="Disabling RNG")  # that comes after it
    with pytest.raises(ValueError, match="appeared on the console"):
        dut.expect_exact("never", not_matching="Dis[a]bling RNG", timeout=1)


def test_a_time_out_is_virtual_and_shows_the_console(dut):
    dut.expect("End of partition table")
    started = time.monotonic()
    with pytest.raises(DutTimeoutError) as error:
        dut.expect("blue smoke", timeout=86_400)
    assert time.monotonic() - started < 20
    text = str(error.value)
    assert text.startswith("not found within 86400 s: b'blue smoke'\n")
    before, _, after = text.partition("--- read up to here ---")
    assert "Partition Table:" in before
    assert "Loaded app from partition" in after
    assert isinstance(error.value, TimeoutError)


def test_a_match_is_seen_at_the_moment_it_is_printed(dut):
    dut.push(NEW)
    dut.expect("Downloading Firmware|Starting OTA|OTA Upgrade", timeout=60)
    assert dut.device.running.version == "1.0.0"


def test_where_pexpect_is_loaded_its_time_out_is_meant(dut, monkeypatch):
    pexpect = ModuleType("pexpect")
    pexpect.TIMEOUT = type("TIMEOUT", (Exception,), {})
    pexpect.EOF = type("EOF", (Exception,), {})
    monkeypatch.setitem(sys.modules, "pexpect", pexpect)
    with pytest.raises(pexpect.TIMEOUT):
        dut.expect("blue smoke", timeout=1)
    dut.expect("Loaded app")
    rest = dut.expect(["blue smoke", pexpect.TIMEOUT], timeout=0.5)
    assert rest.startswith(b" from partition at offset 0x10000")
    assert dut.expect_exact([pexpect.TIMEOUT, "blue smoke"], timeout=0) == rest
    with pytest.raises(TypeError, match="EOF is no pattern"):
        dut.expect(pexpect.EOF)


def test_what_is_no_pattern(dut):
    with pytest.raises(TypeError, match="7 is no pattern: expected str or bytes"):
        dut.expect([7])


def test_a_mistake_in_the_self_test_is_shown_and_not_a_time_out(lab):
    def diag(_app, _phase):
        raise ZeroDivisionError("a mistake of the test's own")

    dut = Dut(lab, "two_ota", firmware=OLD, ota_diag=diag)
    dut.push(NEW)
    with pytest.raises(ZeroDivisionError, match="a mistake of the test's own"):
        dut.expect("never", timeout=120)


def test_the_console_can_be_listened_to_as_well(lab):
    heard = []
    dut = Dut(lab, "two_ota", firmware=OLD, console=heard.append)
    assert heard == dut.device.console
    assert (dut.target, dut.device.node_id) == ("esp32c3", "node000001")


# --------------------------------------------------------------------------------------------------------------- acting


def test_a_hard_reset_starts_the_bootloader_and_ends_the_app(dut):
    dut.push(NEW)
    dut.hard_reset()
    dut.expect_exact("2nd stage bootloader")
    dut.expect_exact("2nd stage bootloader")
    dut.expect("Loaded app from partition at offset 0x10000")
    dut.expect("Loaded app from partition at offset 0x110000", timeout=120)  # the job was still there


def test_a_device_without_power_gets_it_back(dut):
    dut.device.flash.fault = "cut@3"
    dut.push(NEW)
    with pytest.raises(DutTimeoutError):
        dut.expect("0x110000", timeout=60)
    assert not dut.device.flash.powered
    assert dut.serial.dump_flash("factory")[: len(OLD)] == OLD
    dut.expect("Loaded app from partition at offset 0x110000", timeout=120)


def test_what_a_simulated_console_cannot_do_is_refused(dut):
    with pytest.raises(NotImplementedError, match="reads nothing from its console"):
        dut.write("https://example.com/lamp.bin")
    with pytest.raises(NotImplementedError, match="runs no Unity tests"):
        dut.expect_unity_test_output(timeout=10)


def test_the_flash_is_served_while_the_chip_stands_still(dut):
    dut.expect("Loaded app from partition at offset 0x10000")
    assert dut.serial.dump_flash(partition="factory")[: len(OLD)] == OLD
    assert dut.serial.dump_flash(address=0x8000, size=2) == b"\xaa\x50"
    dut.serial.write_flash(0x110000, NEW)
    assert dut.serial.dump_flash("ota_0")[: len(NEW)] == NEW
    dut.serial.erase_partition("factory")
    dut.expect("factory")
    dut.expect("Loaded app from partition at offset 0x110000")
    dut.serial.erase_flash()
    dut.expect("load partition table error!")
    assert dut.device.flash.is_erased(0, dut.device.flash.size)
    dut.serial.hard_reset()


def test_parts_of_the_flash_that_are_not_there(dut):
    with pytest.raises(ValueError, match="no partition is called 'storage': there are nvs, otadata, phy_init, factory"):
        dut.serial.erase_partition("storage")
    with pytest.raises(ValueError, match='needs "partition", or "address" and "size"'):
        dut.serial.dump_flash(address=0)
    with pytest.raises(FlashError, match="0x400000"):
        dut.serial.write_flash(0x400000, b"x")


def test_a_table_of_ones_own(lab):
    table = PartitionTable.builtin("two_ota_large")
    Dut(lab, table, firmware=OLD).expect("Loaded app from partition at offset 0x20000")
