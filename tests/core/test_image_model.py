"""The verifier and a second one, written apart from it, agree on every image that chance can make."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from image_bytes import app_desc, bootloader_desc, drom, flash_with, header, image, ram
from image_model import MODEL_CHIPS, loadable, verify

from py_esp_ota._core import verify_image

FLASH = 0x100000
OFFSETS = [0x0, 0x1000, 0x2000, 0x8000, 0x10000, 0x18000, 0x40000, 0xFF000, 0xFFFE0, 0x100000]


def edges(name: str) -> list[int]:
    """Addresses where the answer changes."""
    chip = MODEL_CHIPS[name]
    spans = [chip.iram, chip.dram, chip.text, chip.data, *chip.others, *chip.mapped]
    iram, dram, length = chip.alias
    marks = {0, 0x10000000, 0x80000000, 2**32, chip.stack, iram, dram, iram + length, dram + length}
    marks |= {edge for span in spans for edge in span}
    return sorted({(mark + step) % 2**32 for mark in marks for step in (-0x100, -4, 0, 4, 0x20, 0x100)})


@st.composite
def cases(draw):
    name = draw(st.sampled_from(sorted(MODEL_CHIPS)))
    chip = MODEL_CHIPS[name]
    desc = st.builds(
        app_desc,
        magic=st.sampled_from([0xABCD5432] * 4 + [0]),
        min_blk=st.sampled_from([0, 0, 0xFFFF, 1, 99]),
        max_blk=st.sampled_from([0, 0xFFFF, 99, 1]),
        mmu=st.sampled_from([0, 12, 13, 15, 16, 16, 18, 19, 255]),
    )
    first = st.one_of(desc, desc, st.just(bootloader_desc()), st.binary(max_size=300))
    address = st.one_of(st.sampled_from(edges(name)), st.sampled_from([0, 4, drom(name), ram(name)]))
    rest = draw(
        st.lists(st.tuples(address, st.binary(max_size=80).map(lambda data: data + bytes(-len(data) % 4))), max_size=3)
    )
    segments = [(draw(address), draw(first)), *rest] if draw(st.booleans()) else [(drom(name), draw(desc)), *rest]
    lengths = draw(
        st.dictionaries(
            st.integers(0, 3), st.sampled_from([0, 2, 0xFFFFFC, 0x1000000, 0xFFFFFFFC, 0xFFFFFFFF]), max_size=1
        )
    )
    data = bytearray(
        image(
            segments,
            lengths=lengths if draw(st.integers(0, 3)) == 0 else None,
            count=draw(st.sampled_from([None] * 6 + [0, 16, 17])),
            chip_id=draw(st.sampled_from([chip.chip_id] * 6 + [2])),
            digest=draw(st.sampled_from([None] * 6 + [bytes(32)])),
            min_rev=draw(st.sampled_from([0] * 8 + [4, 0xFFFF])),
            max_rev=draw(st.sampled_from([0, 0xFFFF, 199, 2])),
            hash_appended=draw(st.sampled_from([0, 1, 1, 2])),
        )
    )
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=2)) if draw(st.booleans()) else []:
        data[place] ^= 1 << draw(st.integers(0, 7))
    where = [chip.bootloader] * 3 + [0x10000] * 10 + OFFSETS
    offset = draw(st.sampled_from(where))
    size = draw(st.sampled_from([FLASH] * 6 + [0x1000000, 0x1000004, 0xFFFFFFFF, len(data), len(data) - 4, 0]))
    build, mode = draw(
        st.sampled_from([("app", "verify"), ("app", "verify_silent"), ("bootloader", "verify"), ("bootloader", "load")])
    )
    return (
        name,
        bytes(data[: FLASH - offset]),
        offset,
        size,
        build,
        mode,
        draw(st.sampled_from([0, 3, 199, 200])),
        draw(st.sampled_from([0, 50, 100])),
    )


@settings(max_examples=5 * settings().max_examples)
@given(cases())
@example(("esp32c3", image(), 0x10000, FLASH, "bootloader", "load", 4, 0))
@example(("esp32c6", image([(0x42000020, app_desc(mmu=15))], chip_id=13), 0x8000, FLASH, "app", "verify", 2, 0))
def test_code_and_length_are_those_of_the_model(case):
    name, data, offset, size, build, mode, revision, block = case
    flash = flash_with(data, offset, size=FLASH) if data else flash_with(b"", 0, size=FLASH)
    verdict = verify_image(
        flash, offset, size, chip=name, build=build, mode=mode, chip_revision=revision, efuse_block_revision=block
    )
    expected = verify(
        flash.to_bytes(),
        offset,
        size,
        MODEL_CHIPS[name],
        bootloader_build=build == "bootloader",
        load=mode == "load",
        revision=revision,
        block_revision=block,
    )
    assert (int(verdict.err), verdict.image_len) == expected, verdict


@pytest.mark.parametrize("name", sorted(MODEL_CHIPS))
def test_load_ranges_at_every_edge_are_those_of_the_model(name):
    chip = MODEL_CHIPS[name]
    wrong = []
    for address in edges(name):
        if any(low <= address < high for low, high in chip.mapped) or address < 0x10000000:
            continue
        for length in (4, 0x100, 0x8000):
            data = header(2, chip_id=chip.chip_id, max_rev=0, hash_appended=0)
            data += (
                struct.pack("<II", 0, 256) + app_desc(max_blk=0) + struct.pack("<II", address, length) + bytes(length)
            )
            verdict = verify_image(
                flash_with(data, size=FLASH),
                0x10000,
                FLASH,
                chip=name,
                build="bootloader",
                mode="load",
                chip_revision=400,
            )
            refused = any("invalid: " in line.text for line in verdict.log)
            if refused == loadable(chip, address, (address + length) % 2**32):
                wrong.append((hex(address), hex(length), verdict))
    assert not wrong
