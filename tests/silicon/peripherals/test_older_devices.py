"""What the ESP32, ESP32-S2 and ESP32-S3 have otherwise: controllers, windows to the flash, registers that act."""

from __future__ import annotations

import hashlib

import pytest
from test_devices import Owner

from py_esp_ota._core import EFuse
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.peripherals.shared_sha import SharedSha
from py_esp_ota.silicon.peripherals.spi_mem import SpiMem

SHA, SPI1 = 0x3FF03000, 0x3FF42000
PAGE = 0x10000


@pytest.fixture
def registers():
    return Registers(SOCS["esp32"])


@pytest.fixture
def spi(registers):
    owner = Owner()
    SpiMem(SPI1, registers, owner, SOCS["esp32"].spi_layout)
    return owner


def padded(data):
    end = data + b"\x80" + bytes(-(len(data) + 9) % 64)
    return end + (8 * len(data)).to_bytes(8, "big")


@pytest.mark.parametrize("length", [0, 3, 55, 56, 64, 200])
def test_the_older_accelerator_hashes_as_sha_256_does(registers, length):
    SharedSha(SHA, registers, pytest.fail)
    data = bytes(range(length))
    blocks = padded(data)
    for at in range(0, len(blocks), 64):
        for word in range(0, 64, 4):
            registers.write(SHA + word, int.from_bytes(blocks[at + word : at + word + 4], "big"))
        registers.write(SHA + (0x94 if at else 0x90), 1)
        assert registers.read(SHA + 0x9C) == 0
    registers.write(SHA + 0x98, 1)
    state = b"".join(registers.read(SHA + at).to_bytes(4, "big") for at in range(0, 32, 4))
    assert state == hashlib.sha256(data).digest()


@pytest.mark.parametrize("command", [0x80, 0xA0, 0xB8])
def test_the_older_accelerator_does_no_other_hash(registers, command):
    said = []
    SharedSha(SHA, registers, said.append)
    registers.write(SHA + command, 1)
    assert said == ["the SHA accelerator does SHA-256 only here"]


def by_user(registers, opcode, address, received):
    registers.write(SPI1 + 0x04, address << 8)
    registers.write(SPI1 + 0x20, 23 << 26)
    registers.write(SPI1 + 0x24, 7 << 28 | opcode)
    registers.write(SPI1 + 0x2C, 8 * received - 1)
    registers.write(SPI1, 1 << 18)
    words = (registers.read(SPI1 + 0x80 + at).to_bytes(4, "little") for at in range(0, received, 4))
    return b"".join(words)[:received]


def test_the_older_controller_keeps_a_users_address_in_the_upper_bits(registers, spi):
    spi.chip.program(0x12340, b"an image of the older kind")
    assert by_user(registers, 0x0B, 0x12343, 5) == b"image"


def test_the_older_controller_makes_commands_by_itself(registers, spi):
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1, 1 << 27)
    assert registers.read(SPI1 + 0x10) == 2
    registers.write(SPI1 + 0x04, 8 << 24 | 0x2000)
    registers.write(SPI1 + 0x80, 0x64636261)
    registers.write(SPI1 + 0x84, 0x68676665)
    registers.write(SPI1, 1 << 25)
    assert spi.chip.read(0x2000, 8) == b"abcdefgh"
    registers.write(SPI1, 1 << 27)
    assert registers.read(SPI1 + 0x10) == 0
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1 + 0x04, 0x2000)
    registers.write(SPI1, 1 << 24)
    assert spi.writes == [("program", 0x2000, 8), ("erase", 0x2000, 0x1000)]


def test_the_flash_chip_keeps_its_quad_enable_bit(registers, spi):
    assert by_user(registers, 0x35, 0, 1) == b"\0"
    registers.write(SPI1 + 0x08, 1 << 22)  # two bytes
    registers.write(SPI1 + 0x10, 0x0200)
    registers.write(SPI1, 1 << 26)
    assert by_user(registers, 0x35, 0, 1) == b"\0", "not without write enable"
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1, 1 << 26)
    assert by_user(registers, 0x35, 0, 1) == b"\2"


def test_registers_are_seen_at_their_second_place(registers):
    registers.write(0x60044000 - 0x40000 + 0x38, 7)
    assert registers.read(0x3FF44038) == registers.stored(0x60004038) == 7


def test_a_command_of_the_efuses_is_under_way_for_a_moment(registers):
    registers.write(0x3FF5A104, 1)
    assert [registers.read(0x3FF5A104) for _ in range(3)] == [1, 0, 0]


def test_the_cache_is_frozen_while_it_is_told_to_be():
    registers = Registers(SOCS["esp32s3"])
    registers.write(0x600C4154, 1)
    assert registers.read(0x600C4154) == 5
    registers.write(0x600C4154, 4)
    assert registers.read(0x600C4154) == 0


@pytest.mark.parametrize(
    ("revision", "bits"), [(0, (0, 0, 0, 0)), (100, (1, 0, 0, 0)), (201, (1, 1, 0, 1)), (301, (1, 1, 1, 1))]
)
def test_an_esp32_tells_its_revision_by_three_bits(registers, revision, bits):
    registers.power_on(Chip("esp32", efuse=EFuse("esp32", chip_revision=revision)))
    one, two, three = registers.read(0x3FF5A00C), registers.read(0x3FF5A014), registers.read(0x3FF6607C)
    assert (one >> 15 & 1, two >> 20 & 1, three >> 31, two >> 24 & 3) == bits


@pytest.mark.parametrize(("chip", "register", "cores"), [("esp32", 0x3FF48034, 2), ("esp32s2", 0x3F408038, 1)])
def test_both_cores_are_told_why_the_chip_was_reset(chip, register, cores):
    registers, board = Registers(SOCS[chip]), Chip(chip)
    board.reset_reason = ResetReason.RTCWDT_SYS
    registers.power_on(board)
    assert registers.read(register) == (9 | 9 << 6 if cores == 2 else 9)


@pytest.mark.parametrize(
    ("chip", "entry", "address"),
    [
        ("esp32", 3, 0x3F430000),
        ("esp32", 77, 0x400D0000),
        ("esp32s2", 8, 0x40080000),
        ("esp32s2", 70, 0x40460000),
        ("esp32s2", 130, 0x3F020000),
        ("esp32s2", 336, 0x3F500000),
        ("esp32s3", 511, 0x3DFF0000),
        ("esp32s3", 2, 0x42020000),
    ],
)
def test_an_entry_of_the_mmu_is_seen_where_its_bus_shows_it(chip, entry, address):
    board = Chip(chip)
    board.flash.program(5 * PAGE + 0x20, b"seen through the cache")
    hardware = Hardware(SOCS[chip], count=False)
    hardware.attach(board)
    hardware.clear()
    hardware.map_page(entry, 5)
    assert hardware.cpu.window.entry_at(address + 0x20) == entry
    assert hardware.cpu.load(address + 0x20, 4) == bytes(4), "not before the cache is on"
    control, bit = next(iter(SOCS[chip].cache_on.items()))
    hardware.registers.write(control, bit)
    assert hardware.cpu.load(address + 0x20, 22) == b"seen through the cache"
    assert hardware.cpu.window.maps(address)
    assert not hardware.cpu.window.maps(address - PAGE) or hardware.cpu.window.entry_at(address - PAGE) is None


def test_one_console_repeats_what_the_other_says():
    hardware = Hardware(SOCS["esp32s3"], count=False)
    hardware.attach(Chip("esp32s3"))
    hardware.cpu.grant(1000)
    uart, usb = 0x60000000, 0x60038000
    for letter in b"both ":
        hardware.registers.write(uart, letter)
        hardware.registers.write(usb, letter)
    for letter in b"this ":
        hardware.registers.write(usb, letter)
    for letter in b"that":
        hardware.registers.write(uart, letter)
    assert str(hardware.text) == "both this that"


def test_last_words_on_the_console_end_the_run():
    hardware = Hardware(SOCS["esp32"], count=False)
    hardware.attach(Chip("esp32"))
    hardware.cpu.grant(1000)
    for letter in b"abort() was called at PC 0x40000000":
        hardware.registers.write(0x3FF40000, letter)
    assert hardware.ended is None
    hardware.registers.write(0x3FF40000, ord("\n"))
    assert hardware.ended == "ABORT"
