"""The verifier and a second one, written apart from it, agree on every image that chance can make.

More cases, and other ones each time: ``HYPOTHESIS_PROFILE=slow``.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from image_bytes import app_desc, bootloader_desc, drom, flash_with, header, image, ram
from image_model import MODEL_CHIPS, Build, loadable, verify

from py_esp_ota import signing
from py_esp_ota._core import EFuse, VerifyOptions, verify_image

FLASH = 0x100000
OFFSETS = [0x0, 0x1000, 0x2000, 0x8000, 0x10000, 0x18000, 0x40000, 0xFF000, 0xFFFE0, 0x100000]
RELEASES = [(6, 2, 0)] * 6 + [
    (6, 1, 0),
    (5, 5, 4),
    (5, 5, 0),
    (5, 4, 4),
    (5, 4, 0),
    (5, 3, 1),
    (5, 1, 6),
    (5, 0, 0),
    (4, 4, 2),
]
MODES = [("app", "verify"), ("app", "verify_silent"), ("app", "metadata"), ("bootloader", "verify")]
MODES += [("bootloader", "load")] * 2 + [("bootloader", "load_no_validate")] * 2


@cache
def keys() -> tuple[signing.PrivateKey, signing.PrivateKey]:
    """A trusted key and another one."""
    return signing.generate_key("ecdsa256"), signing.generate_key("ecdsa256")


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
        secure_version=st.sampled_from([0, 1, 2, 3]),
    )
    first = st.one_of(desc, desc, st.just(bootloader_desc()), st.binary(max_size=300))
    address = st.one_of(st.sampled_from(edges(name)), st.sampled_from([0, 4, drom(name), ram(name)]))
    rest = draw(
        st.lists(st.tuples(address, st.binary(max_size=80).map(lambda data: data + bytes(-len(data) % 4))), max_size=3)
    )
    segments = [(draw(address), draw(first)), *rest] if draw(st.booleans()) else [(drom(name), draw(desc)), *rest]
    lengths = draw(
        st.dictionaries(
            st.integers(0, 3),
            st.sampled_from([0, 2, 4, 8, 0xFFFFFC, 0x1000000, 0xFFFFFFF8, 0xFFFFFFFC, 0xFFFFFFFF]),
            max_size=1,
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
    if draw(st.integers(0, 3)) == 0:
        signed = bytearray(signing.sign(bytes(data), keys()[draw(st.sampled_from([0, 0, 0, 1]))]))
        for _ in range(draw(st.integers(0, 1))):
            signed[draw(st.sampled_from([0x30, len(data) + 1, len(signed) - 0x1000, len(signed) - 0x1000 + 120]))] ^= 1
        data = signed
    where = [chip.bootloader] * 3 + [0x10000] * 10 + OFFSETS
    offset = draw(st.sampled_from(where))
    size = draw(st.sampled_from([FLASH] * 6 + [0x1000000, 0x1000004, 0xFFFFFFFF, len(data), len(data) - 4, 0]))
    build, mode = draw(st.sampled_from(MODES))
    return name, bytes(data[: FLASH - offset]), offset, size, draw(builds(chip, build, mode))


@st.composite
def builds(draw, chip, build, mode):
    rarely = st.sampled_from([False] * 5 + [True])
    digests = draw(st.sampled_from([(), (0,), (1,), (1, 0)])) if draw(st.booleans()) else ()
    digests = tuple(signing.public_key_digest(keys()[number]) for number in digests)[: 1 if chip.chip_id == 0 else 2]
    signed = draw(st.booleans())
    return Build(
        chip,
        bootloader=build == "bootloader",
        mode=mode,
        revision=draw(st.sampled_from([0, 3, 199, 200])),
        block_revision=draw(st.sampled_from([0, 50, 100])),
        no_max_revision=draw(st.booleans()),
        no_max_block=draw(st.booleans()),
        secure_version=draw(st.sampled_from([0, 0, 1, 2])),
        secure_boot_en=draw(st.booleans()) if signed else False,
        fuse_digests=digests,
        recovery_sector=draw(st.sampled_from([0, 0, 0x10, 0xFFF])),
        version=draw(st.sampled_from(RELEASES)),
        page=draw(st.sampled_from([None] * 4 + [0x8000])) if chip.configurable else None,
        signed=signed,
        checks=signed and draw(st.booleans()),
        v2=signed and draw(st.booleans()),
        anti_rollback=draw(st.sampled_from([False, False, True])),
        debugger=draw(rarely),
        deep_sleep=draw(rarely),
        extra_bootloader=draw(st.sampled_from([None] * 4 + [0x10000])),
        running_digests=draw(st.sampled_from([(), (signing.public_key_digest(keys()[0]),)])),
    )


def judged(flash, name, offset, size, build):
    """What the package says, asked in the model's terms."""
    efuse = EFuse(
        name,
        chip_revision=build.revision,
        block_revision=build.block_revision,
        secure_version=build.secure_version,
        disable_wafer_version_major=build.no_max_revision,
        disable_blk_version_major=build.no_max_block,
        secure_boot_en=build.secure_boot_en,
        key_digests=build.fuse_digests,
        recovery_bootloader_sector=build.recovery_sector,
    )
    options = VerifyOptions(
        idf_version=build.version,
        mmu_page_size=build.page,
        signature_scheme="ecdsa256" if build.signed else None,
        check_signature=build.checks,
        secure_boot_v2=build.v2,
        anti_rollback=build.anti_rollback,
        debugger_attached=build.debugger,
        deep_sleep_wake=build.deep_sleep,
        bootloader_offset=build.extra_bootloader,
        trusted_digests=build.running_digests,
    )
    who = "bootloader" if build.bootloader else "app"
    return verify_image(flash, offset, size, build=who, mode=build.mode, efuse=efuse, options=options)


C3 = Build(MODEL_CHIPS["esp32c3"])
C6 = Build(MODEL_CHIPS["esp32c6"])
ONE_WORD = image([(0x3C000020, app_desc()[:4]), (2, app_desc()[12:])])


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of an image with many segments
@settings(max_examples=10 * settings().max_examples)  # many more with the profile `slow`
@given(cases())
@example(("esp32c3", image(), 0x10000, FLASH, replace(C3, bootloader=True, mode="load", revision=4)))
@example(("esp32c3", ONE_WORD, 0x10000, FLASH, replace(C3, anti_rollback=True, version=(5, 5, 0), revision=4)))
@example(("esp32c6", image([(0x42000020, app_desc(mmu=15))], chip_id=13), 0x8000, FLASH, replace(C6, revision=2)))
def test_everything_is_as_in_the_model(case):
    name, data, offset, size, build = case
    flash = flash_with(data, offset, size=FLASH) if data else flash_with(b"", 0, size=FLASH)
    verdict = judged(flash, name, offset, size, build)
    expected = verify(flash.to_bytes(), offset, size, build)
    if expected.asserted:
        assert verdict.assertion or verdict.crash, verdict
        return
    assert (int(verdict.err), verdict.assertion, verdict.crash) == (expected.code, None, None), verdict
    # After a failure only a look at the metadata leaves something, and nobody relies on it.
    if build.mode != "metadata" or expected.code == 0:
        assert (verdict.image_len, verdict.secure_version) == (expected.image_len, expected.secure_version)
        assert verdict.mmu_page_size == expected.page
        assert [(row.load_addr, row.length) for row in verdict.segments] == expected.segments


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
            refused = verdict.assertion is not None or any("invalid: " in line.text for line in verdict.log)
            if refused == loadable(chip, address, (address + length) % 2**32):
                wrong.append((hex(address), hex(length), verdict))
    assert not wrong
