"""``bootloader_load_image``: where a segment may be copied to, and the lines that tell of it."""

from __future__ import annotations

import struct

import pytest
from image_bytes import CHIP_IDS, app_desc, drom, header, image, judge, lines, ram, sample
from image_model import MODEL_CHIPS

from py_esp_ota._core import VerifyOptions
from py_esp_ota.errors import EspErr

OK = EspErr.ESP_OK
INVALID = EspErr.ESP_ERR_IMAGE_INVALID

DESC = app_desc()
RAM_C3 = ram("esp32c3")


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_a_sound_image_is_loaded_on_every_chip(chip):
    verdict = judge(sample(chip), chip, build="bootloader", mode="load")
    assert verdict.err == OK, verdict
    assert [row.kind for row in verdict.segments] == ["map", "load", "padding"]


def line_of(index: int, paddr: int, vaddr: int, size: int, word: str) -> str:
    return f"I esp_image: segment {index}: paddr={paddr:08x} vaddr={vaddr:08x} size={size:05x}h ({size:6d}) {word}"


def test_segment_lines_of_app_and_bootloader():
    data = sample("esp32c3")
    rows = [(0, 0x10020, 0x3C000020, 256), (1, 0x10128, RAM_C3, 256), (2, 0x10230, 0, 40)]
    words = {
        ("app", "verify"): ("map", "", ""),
        ("bootloader", "verify"): ("map", "", ""),
        ("bootloader", "load"): ("map", "load", ""),
    }
    for (build, mode), expected in words.items():
        log = lines(judge(data, build=build, mode=mode))
        assert log == [line_of(*row, word) for row, word in zip(rows, expected, strict=True)]
    assert lines(judge(data, mode="verify_silent")) == []
    assert log[0] == "I esp_image: segment 0: paddr=00010020 vaddr=3c000020 size=00100h (   256) map"


LOADS = [
    ("esp32c3", 0x3FCDE000, 16, "0x3fcde000-0x3fcde010 invalid: overlaps bootloader stack"),
    ("esp32c3", 0x3FCD5700, 32, "0x3fcd5700-0x3fcd5720 invalid: overlaps bootloader data"),
    ("esp32c3", 0x403CE700, 32, "0x403ce700-0x403ce720 invalid: overlaps loader IRAM"),
    ("esp32c3", 0x3FCCE700, 32, "0x403ce700-0x403ce720 invalid: overlaps loader IRAM"),
    ("esp32c3", 0x403D5710, 32, "0x3fcd5710-0x3fcd5730 invalid: overlaps bootloader data"),
    ("esp32c3", 0x3FC7FFF0, 32, "0x3fc7fff0-0x3fc80010 invalid: bad load address range"),
    ("esp32c3", 0x60000000, 16, "0x60000000-0x60000010 invalid: bad load address range"),
    ("esp32c3", 0x4037C000, 0x8000, None),
    ("esp32c3", 0x50000000, 0x2000, None),
    ("esp32c3", 0x50001FF0, 32, "0x50001ff0-0x50002010 invalid: bad load address range"),
    ("esp32", 0x40078000, 16, "0x40078000-0x40078010 invalid: bad load address range"),
    ("esp32", 0x3FFE4000, 0x1000, "0x400baffc-0x400bbffc invalid: bad load address range"),  # the alias counts down
    ("esp32", 0x3FFF6000, 0x1000, None),
    ("esp32s2", 0x4004E000, 16, "0x4004e000-0x4004e010 invalid: overlaps loader IRAM"),
    ("esp32c6", 0x4086E610, 16, None),  # one address for code and data: the loader is not protected
    ("esp32c6", 0x40875610, 16, "0x40875610-0x40875620 invalid: overlaps bootloader data"),
    ("esp32p4", 0x30100000, 0x2000, None),
    ("esp32p4", 0x48000128, 16, None),  # external RAM is mapped, not loaded
    ("esp32h4", 0x50000000, 16, "0x50000000-0x50000010 invalid: bad load address range"),
]


@pytest.mark.parametrize("case", LOADS, ids=lambda case: f"{case[0]}-{case[1]:x}")
def test_load_ranges(case):
    chip, address, length, refusal = case
    data = image([(drom(chip), DESC), (address, bytes(length))], chip_id=CHIP_IDS[chip], max_rev=0)
    verdict = judge(data, chip, build="bootloader", mode="load")
    if refusal is None:
        assert verdict.err == OK, verdict
        return
    assert (verdict.err, verdict.fault.field) == (INVALID, "segment 1 load_addr")
    assert lines(verdict)[-1] == f"E esp_image: Segment 1 {refusal}"
    # The line of the segment itself comes first, and the app build never asks.
    assert lines(verdict)[-2].endswith(" load")
    assert judge(data, chip).err == OK


STACK_ENDS = [
    ("esp32c3", (4, 4, 2), (4, 4, 3), 0x3FCDE710, 0x3FCDFFF0),
    ("esp32s3", (4, 4, 2), (4, 4, 3), 0x3FCEB710, 0x3FCEBF00),
    ("esp32c5", (5, 4, 2), (5, 5, 0), 0x4085E5A0, 0x4085E990),
    ("esp32c61", (5, 5, 4), (5, 5, 5), 0x4084E670, 0x4084EA60),
    ("esp32c61", (6, 0, 0), (6, 0, 1), 0x4084E670, 0x4084EA60),
]


@pytest.mark.parametrize("case", STACK_ENDS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_some_releases_take_the_roms_stack_to_end_higher(case):
    chip, before, fixed, *addresses = case
    for address in addresses:
        data = image([(drom(chip), DESC), (address, bytes(16))], chip_id=CHIP_IDS[chip], max_rev=0)
        builds = (VerifyOptions(idf_version=release) for release in (before, fixed))
        refused, loaded = (judge(data, chip, build="bootloader", mode="load", options=build) for build in builds)
        assert lines(refused)[-1].endswith("invalid: overlaps bootloader stack")
        assert loaded.err == OK, loaded


@pytest.mark.parametrize("chip", sorted(MODEL_CHIPS))
def test_no_segment_may_cover_the_running_bootloader(chip):
    """CVE-2018-18558: whatever its length, what reaches the loader's stack or data is not loaded."""
    figures = MODEL_CHIPS[chip]
    for low, high in (figures.data, (figures.stack - 0x8000, figures.stack)):
        for length in (4, 0x100, 0x8000):
            for address in (low + 4 - length, low, high - 4):
                data = header(2, chip_id=CHIP_IDS[chip], max_rev=0, hash_appended=0)
                data += struct.pack("<II", 0, 256) + DESC + struct.pack("<II", address, length)
                assert judge(data, chip, build="bootloader", mode="load").fault.field == "segment 1 load_addr"
