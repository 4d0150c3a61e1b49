"""Booting again: an unchanged device is cheap, and whatever changed under it is seen at once."""

from __future__ import annotations

from board import PLAIN, Board, slots
from stopwatch import Stopwatch
from test_bootloader import untimed

from py_esp_ota import firmware


def test_the_same_device_prints_the_same_again_with_the_same_time_stamps():
    board = Board("two_ota", "1/VALID", "2/VALID")
    first, second = board.boot(), board.boot()
    assert first.log == second.log
    assert first.why == second.why


def test_a_changed_byte_in_the_app_is_seen_by_the_next_boot():
    board = Board(slots(2), "1/VALID", "2/VALID", config=PLAIN)
    assert board.booted() == "ota_1"
    address = board["ota_1"].offset + 0x200
    board.chip.flash.program(address, bytes([board.chip.flash.read(address, 1)[0] & 0x0F]))
    report = board.boot()
    assert report.partition.label == "ota_0"
    assert any("esp_image: Image hash failed" in line or "Checksum failed" in line for line in report.log)


def test_a_changed_byte_in_the_table_is_seen_by_the_next_boot():
    board = Board(slots(2), "1/VALID", "2/VALID")
    assert board.booted() == "ota_1"
    board.chip.flash.program(0x8000 + 12, b"\0")
    report = board.boot()
    assert not report.ok
    assert "E flash_parts: Incorrect MD5 checksum" in untimed(report)


def test_a_changed_otadata_entry_is_seen_by_the_next_boot():
    board = Board(slots(2), "1/VALID", "2/VALID")
    assert board.booted() == "ota_1"
    board.chip.flash.program(board["otadata"].offset + 0x1000 + 28, bytes(4))
    assert board.booted() == "ota_0"


def test_another_bootloader_is_seen_by_the_next_boot():
    board = Board(slots(2), "1/VALID")
    board.boot()
    image = firmware.bootloader(idf_ver="v5.5.4")
    board.chip.flash.program(board.chip.target.bootloader_offset, image)
    assert untimed(board.boot())[0] == "I boot: ESP-IDF v5.5.4 2nd stage bootloader"


def test_a_thousand_boots_are_cheap_even_in_a_slow_build():
    """The figure is the benchmark's; this catches an image that is judged anew or a table that is parsed anew."""
    board = Board("two_ota", "1/VALID", "2/VALID")
    board.boot()
    with Stopwatch() as watch:
        for _ in range(1000):
            board.boot()
    assert watch.seconds < 3
