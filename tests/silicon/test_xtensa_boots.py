"""ESP32, ESP32-S2 and ESP32-S3 from the first instruction of their real ROMs to the jump into an app."""

from __future__ import annotations

import pytest
from board import Board
from builds import ESP32, XTENSA, XTENSA_MORE, bootloader, machine_of, new_machine, rom_of
from flash_text import build as built
from random_flashes import drawn
from real_roms import real_rom
from side_by_side import both, copied, sized

from py_esp_ota.adapters.roms import fetch_rom
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import resealed
from py_esp_ota.rom_lines import loading_lines, reset_lines
from py_esp_ota.silicon import Machine, boot
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.rom.real import rom_image

CHIPS = ("esp32", "esp32s2", "esp32s3")
OTA_1 = 0x210000
#: What the ESP32's ROM says of a buffer of its own while it loads.
OF_ITS_BUFFER = "ho 0 tail 12 room 4"


def flashed(build, *args):
    board = Board("two_ota", *args, config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    return board


@pytest.mark.parametrize("build", [*XTENSA, *XTENSA_MORE], ids=str)
def test_every_build_starts_the_app_that_the_model_starts(build):
    pair = both(machine_of(build.chip), build, flashed(build, "1/VALID", "2/NEW").chip)
    assert pair.differences(logs=build.logs) == []
    assert pair.silicon.app == OTA_1
    assert bool(pair.writes) == build.config.bootloader_app_rollback_enable


@pytest.mark.parametrize("build", XTENSA, ids=str)
def test_rom_prints_what_is_known_of_it(build):
    chip = flashed(build).chip
    said = machine_of(build.chip).run(chip).rom
    image = bootloader(build)
    known = reset_lines(build.chip, chip.efuse.chip_revision, chip.reset_reason) + loading_lines(build.chip, image)
    assert tuple(line for line in said if line != OF_ITS_BUFFER) == known


@pytest.mark.parametrize("build", XTENSA, ids=str)
def test_a_bootloader_that_waits_by_the_cycle_counter_waits_less_long(build, monkeypatch):
    rom, chip = rom_of(build.chip), flashed(build).chip
    chip.flash.erase(0x10000, chip.flash.size - 0x10000)
    fast = Machine(build.chip, rom=rom).run(copied(chip))
    monkeypatch.setattr(boot, "_CYCLES_PER_LOOK", 0)
    slow = Machine(build.chip, rom=rom).run(copied(chip))
    assert (fast.outcome, len(fast.log), fast.flash_writes) == (slow.outcome, len(slow.log), slow.flash_writes)
    assert fast.outcome == "RESET"
    assert fast.instructions + 20_000 < slow.instructions


@pytest.mark.parametrize("build", XTENSA, ids=str)
def test_a_boot_from_a_snapshot_is_a_boot_from_cold(build):
    rom = rom_of(build.chip)
    warm, cold = Machine(build.chip, rom=rom), Machine(build.chip, rom=rom, snapshots=False)
    for number in range(25):
        one = built(drawn(f"snapshot/{number}", build.chip), sized(build))
        other = copied(one)
        assert warm.run(one) == cold.run(other)
        assert one.flash.to_bytes() == other.flash.to_bytes()


@pytest.mark.parametrize("revision", [0, 100, 201, 300, 303])
def test_both_roms_of_the_esp32_boot(revision):
    build = ESP32[0]
    try:
        machine = Machine("esp32", rom=fetch_rom("esp32", revision))
    except ValueError as error:
        pytest.skip(str(error))
    lines = (f"chip esp32 revision={revision}", "row ota_0 0 16 0x10000 0x10000", "app 0x10000 plain 1 0x300")
    pair = both(machine, build, built(lines, sized(build)))
    assert pair.differences(logs=True) == []
    known = reset_lines("esp32", revision, 1)
    assert pair.runs[0].rom[: len(known)] == known
    assert f"I boot: chip revision: v{revision // 100}.{revision % 100}" in pair.silicon.log


def test_an_entry_is_jumped_to_as_it_is_odd_or_not():
    build = ESP32[0]
    lines = ("chip esp32", "row ota_0 0 16 0x10000 0x10000", "app 0x10000 plain 1 0x300 entry_addr=0x40082235 resealed")
    report = machine_of("esp32").run(built(lines, sized(build)))
    assert (report.outcome, report.entry, report.slot) == ("APP", 0x40082235, 0x10000)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_flash_without_a_bootloader_is_named(chip):
    report = machine_of(chip).run(Chip(chip))
    assert (report.outcome, str(report.trap).split(" at pc")[0]) == (
        "RESET", "no bootloader: the first byte is 0xff, expected 0xe9",
    )  # fmt: skip


@pytest.mark.parametrize("chip", CHIPS)
def test_a_rom_of_another_chip_is_refused(chip):
    other = CHIPS[CHIPS.index(chip) - 1]
    with pytest.raises(ValueError, match=f"this is no ROM of the {chip}: the chip's own has ets_printf at 0x"):
        Machine(chip, rom=rom_of(other))
    with pytest.raises(ValueError, match=f"the ROM of the {chip} is taken as an ELF file only"):
        Machine(chip, rom=bytes(0x1000))
    with pytest.raises(ValueError, match="with its real ROM alone"):
        Machine(chip)


def test_a_rom_for_another_cpu_is_refused():
    with pytest.raises(ValueError, match="this is no ROM of the esp32: it is code for another CPU, EM_RISCV"):
        Machine("esp32", rom=real_rom("esp32c3"))
    with pytest.raises(ValueError, match="this is no ROM of the esp32c3: it is code for another CPU, EM_XTENSA"):
        Machine("esp32c3", rom=rom_of("esp32"))


@pytest.mark.parametrize("chip", CHIPS)
def test_roms_variables_lie_where_rom_copies_them_from(chip):
    rom = rom_of(chip)
    assert rom is not None
    soc = SOCS[chip]
    base = soc.rom.windows[0][0]
    in_ram = {at: data for at, data in rom_image(rom, soc).parts if not base <= at < base + soc.rom.size}
    in_rom = [data for at, data in rom_image(rom, soc).parts if base <= at < base + soc.rom.size]
    copied_from = [data for data in in_ram.values() if any(data.startswith(part) and part for part in in_rom)]
    assert len(copied_from) >= 3


def test_unicorn_has_no_xtensa():
    with pytest.raises(ValueError, match="esp32 has Xtensa cores, which Unicorn does not run"):
        Machine("esp32", rom=rom_of("esp32"), engine="unicorn")


@pytest.mark.parametrize("chip", CHIPS)
def test_random_bytes_in_a_bootloaders_place_end_in_a_report(chip):
    build = next(build for build in XTENSA if build.chip == chip)
    image = bytearray(bootloader(build))
    machine, outcomes = new_machine(chip), set()
    for step in range(12):
        code = bytes((37 * step + 11 * at) & 0xFF for at in range(64))
        damaged = bytearray(image)
        damaged[0x2400 + 8 * step : 0x2440 + 8 * step] = code
        board = Chip(chip)
        board.flash.program(build.offset, resealed(bytes(damaged)))
        outcomes.add(machine.run(board, budget=5_000_000).outcome)
    assert outcomes <= {"RESET", "ABORT", "HANG", "BAD_ENTRY"}
