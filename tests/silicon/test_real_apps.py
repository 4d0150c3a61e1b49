"""A real ESP-IDF app, booted by its own bootloader, up to its prompt; and what its compiled OTA functions do.

MicroPython hands ``esp_ota_ops`` to its users as ``esp32.Partition``: Espressif's compiled functions can be called by
name and held against ours, on the same flash.
"""

from __future__ import annotations

import micropython
import pytest
from board import ROLLBACK, entry, spell
from micropython import OTADATA, SLOTS, TABLE, ask, prompt, to_prompt, two_slots

from py_esp_ota._core import Flash, NvsPartition, Partition
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import OtaError, PowerLoss
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.silicon import Machine

OTA_0, OTA_1 = (TABLE.find(label=label) for label in ("ota_0", "ota_1"))
NEXT = "esp32.Partition(esp32.Partition.RUNNING).get_next_update()"


@pytest.fixture(scope="module")
def machine():
    return Machine("esp32c3")


def otadata(flash: Flash) -> tuple[str, ...]:
    return tuple(spell(flash.read(OTADATA + 0x1000 * index, 32)) for index in range(2))


def model(chip: Chip, running: Partition | None) -> OtaOps:
    """Our functions, on a copy of the chip."""
    assert running is not None
    return OtaOps(Chip("esp32c3", flash=chip.flash.fork()), running, ROLLBACK, Log(lambda: 0))


def test_micropython_comes_to_its_prompt_and_answers(machine):
    chip = Chip("esp32c3", flash=Flash.from_bytes(micropython.merged(), size=0x400000))
    session = prompt(machine, chip)
    assert session.boots[0].slot == 0x10000
    assert ask(session, "print(6 * 7, 2 ** 100, 1 / 3)") == "42 1267650600228229401496703205376 0.33333334"
    assert "release='1.28.0'" in ask(session, "import os; print(os.uname())")
    assert session.seconds < 1
    assert session.trap is None


def test_files_outlive_a_reset(machine):
    session = prompt(machine, two_slots("1/VALID"))
    assert ask(session, "f = open('kept.txt', 'w'); f.write('still here'); f.close()") == "10"
    session.type("import machine; machine.reset()\r")
    to_prompt(session)
    assert session.resets == [ResetReason.SW_CPU]
    assert ask(session, "print(open('kept.txt').read())") == "still here"


def test_floating_point_of_rom_is_ieee_754(machine):
    session = prompt(machine, two_slots("1/VALID"))
    cases = (
        "0.1 + 0.2, 1e38 * 1e38, -1e38 * 1e38, 2.5 // 1, -7.5 % 2, int(-3.9), float('nan') == float('nan'), 16777217.0"
    )
    assert ask(session, f"print({cases})") == "0.3 inf -inf 2.0 0.5 -3 False 16777216.0"


def test_time_passes_as_the_chips_own_timer_says(machine):
    session = prompt(machine, two_slots("1/VALID"))
    ask(session, "import time; t = time.ticks_ms(); time.sleep_ms(250)")
    assert 250 <= int(ask(session, "print(time.ticks_diff(time.ticks_ms(), t))")) < 320


def test_an_exception_that_nobody_handles_is_the_apps_own_panic_and_a_reset(machine):
    session = prompt(machine, two_slots("1/VALID"))
    session.type("import machine; machine.mem32[0x10]\r")
    assert session.run(3, until="Rebooting..."), session.take()
    assert "Guru Meditation Error: Core  0 panic'ed (Load access fault)" in session.take()
    to_prompt(session)
    assert len(session.boots) == 2


# ------------------------------------------------------------- esp_ota_ops: Espressif's compiled functions, and ours


def test_an_update_that_confirms_itself_stays(machine):
    chip = two_slots("1/VALID", "2/NEW")
    session = prompt(machine, chip)
    assert (session.boots[0].slot, otadata(chip.flash)) == (SLOTS[1], ("1/VALID", "2/PENDING_VERIFY"))
    ours = model(chip, OTA_1)
    assert ask(session, "import esp32; esp32.Partition.mark_app_valid_cancel_rollback()") == ""
    ours.mark_app_valid_cancel_rollback()
    assert chip.flash.read(OTADATA, 0x2000) == ours.chip.flash.read(OTADATA, 0x2000)
    assert otadata(chip.flash) == ("1/VALID", "2/VALID")
    session.type("import machine; machine.reset()\r")
    to_prompt(session)
    assert session.boots[-1].slot == SLOTS[1]


def test_an_update_that_does_not_is_taken_back(machine):
    chip = two_slots("1/VALID", "2/NEW")
    session = prompt(machine, chip)
    session.type("import machine; machine.reset()\r")
    to_prompt(session)
    assert [boot.slot for boot in session.boots] == [SLOTS[1], SLOTS[0]]
    assert otadata(chip.flash) == ("1/VALID", "2/ABORTED")


@pytest.mark.parametrize(
    ("e0", "e1", "running"),
    [
        ("-", "-", OTA_0),
        ("1/VALID", "-", OTA_0),
        ("1/VALID", "2/VALID", OTA_1),
        ("3/VALID", "2/VALID", OTA_0),
        ("1/UNDEFINED", "2/ABORTED", OTA_0),
        ("3/VALID", "2/INVALID", OTA_0),
        ("1/VALID", "4/UNDEFINED", OTA_1),
        ("0x200001/VALID", "5/VALID!", OTA_0),  # the compiled search for the next number counts up to it
    ],
)
def test_choosing_the_next_app_writes_what_ours_writes(machine, e0, e1, running):
    chip = two_slots(e0, e1)
    session = prompt(machine, chip)
    assert session.boots[0].slot == running.offset
    before, ours = otadata(chip.flash), model(chip, running)
    following = OTA_1 if running == OTA_0 else OTA_0
    assert ask(session, f"import esp32; p = {NEXT}; print(p.info()[2:4])") == f"({following.offset}, {following.size})"
    assert ours.get_next_update_partition() == following
    assert ask(session, "p.set_boot()") == ""
    ours.set_boot_partition(following)
    assert chip.flash.read(OTADATA, 0x2000) == ours.chip.flash.read(OTADATA, 0x2000)
    assert otadata(chip.flash) != before
    session.type("import machine; machine.reset()\r")
    while len(session.boots) < 2 and session.seconds < 3:  # that it comes to its prompt from either slot is shown above
        session.run(0.01)
    assert len(session.boots) == 2
    assert session.boots[-1].slot == following.offset == boot(ours.chip, ROLLBACK).partition.offset


def test_a_damaged_app_is_not_chosen(machine):
    chip = two_slots("1/VALID")
    chip.flash.erase(SLOTS[1] + 0x80000, 0x1000)
    session = prompt(machine, chip)
    ours = model(chip, OTA_0)
    assert "OSError: (-5379, 'ESP_ERR_OTA_VALIDATE_FAILED')" in ask(session, f"import esp32; {NEXT}.set_boot()")
    with pytest.raises(OtaError, match="ESP_ERR_OTA_VALIDATE_FAILED"):
        ours.set_boot_partition(OTA_1)
    assert otadata(chip.flash) == otadata(ours.chip.flash) == ("1/VALID", "-")


def test_power_lost_while_an_app_confirms_itself(machine):
    """Between erasing and writing the entry: the app before it runs, as our functions leave it too."""
    chip = two_slots("1/VALID", "2/NEW")
    session = prompt(machine, chip)
    chip.flash.fault = "cut@1"
    session.type("import esp32; esp32.Partition.mark_app_valid_cancel_rollback()\r")
    with pytest.raises(PowerLoss):
        session.run(1)
    chip.flash.power_on()
    assert otadata(chip.flash) == ("1/VALID", "-")
    assert machine.run(chip).slot == SLOTS[0]


def test_what_is_written_to_a_partition_lands_in_the_flash(machine):
    chip = two_slots("1/VALID")
    session = prompt(machine, chip)
    ask(session, f"import esp32; {NEXT}.writeblocks(3, bytes(i * 7 & 255 for i in range(4096)))")
    assert chip.flash.read(SLOTS[1] + 0x3000, 0x1000) == bytes(i * 7 & 255 for i in range(4096))
    assert ask(session, f"b = bytearray(16); {NEXT}.readblocks(3, b); print(b[:3])") == "bytearray(b'\\x00\\x07\\x0e')"


def test_otadata_can_be_rewritten_by_hand_and_the_bootloader_obeys(machine):
    chip = two_slots("1/VALID")
    session = prompt(machine, chip)
    find = "import esp32; o = esp32.Partition.find(esp32.Partition.TYPE_DATA, subtype=0)[0]"
    ask(session, f"{find}; o.writeblocks(1, {entry('2/VALID')!r} + b'\\xff' * 4064)")
    session.type("import machine; machine.reset()\r")
    to_prompt(session)
    assert session.boots[-1].slot == SLOTS[1]


# ----------------------------------------------------------------------------- NVS: Espressif's compiled code, and ours


def test_compiled_nvs_writes_what_ours_writes_byte_for_byte(machine):
    """Two pages full of values of every kind that the prompt knows, rewritten and erased, and a reset in between."""
    chip = two_slots("1/VALID")
    session = prompt(machine, chip)
    nvs = TABLE.find(label="nvs")
    copy = chip.flash.fork()
    ours = NvsPartition(copy, nvs).open("lamp", "readwrite")
    calls = ["import esp32; n = esp32.NVS('lamp')"]
    for index in range(60):
        # Short to type: the prompt echoes each character.
        key, byte, size = f"k{index % 7}", bytes((index * 3 & 255,)), index * 5
        calls += [f"n.set_i32('{key}', {index - 30}); n.set_blob('b{index % 5}', {byte!r} * {size})"]
        ours.set(key, "i32", index - 30)
        ours.set(f"b{index % 5}", "blob", byte * size)
        if index % 11 == 10:
            calls += [f"n.erase_key('{key}')"]
            ours.erase_key(key)
    for call in [*calls, "n.commit()"]:
        assert ask(session, call) == "", call
    assert chip.flash.read(nvs.offset, nvs.size) == copy.read(nvs.offset, nvs.size)
    session.type("import machine; machine.reset()\r")
    to_prompt(session)
    kept = ask(session, "import esp32; n = esp32.NVS('lamp'); print(n.get_i32('k0'), n.get_i32('k6'))")
    assert kept == f"{ours.get('k0', 'i32')} {ours.get('k6', 'i32')}"
    assert chip.flash.read(nvs.offset, nvs.size) == copy.read(nvs.offset, nvs.size)


# ------------------------------------------------------------------------------------------------- where it ends today


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import network; network.WLAN(network.STA_IF).active(True)", "ROM function 0x4000"),
        ("import bluetooth; bluetooth.BLE().active(True)", "ROM function 0x4000"),
    ],
)
def test_what_is_not_here_ends_in_a_report_that_names_it(machine, line, reason):
    session = prompt(machine, two_slots("1/VALID"))
    session.type(line + "\r")
    assert session.run(3, until="\n>>> ") is None
    assert session.trap is not None
    assert session.trap.ours
    assert session.trap.reason.startswith(reason)


@pytest.mark.parametrize("line", ["import machine; machine.WDT(timeout=1000); import time; time.sleep(3)"])
def test_a_task_that_feeds_no_watchdog_is_reset_by_its_own_handler(machine, line):
    session = prompt(machine, two_slots("1/VALID"))
    session.type(line + "\r")
    assert session.run(4, until="Task watchdog got triggered"), session.take()
    to_prompt(session)
    assert len(session.boots) == 2
