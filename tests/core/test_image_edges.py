"""``esp_image_verify``: the cases where a naive reader of the format goes wrong, and bootloader images."""

from __future__ import annotations

import pytest
from image_bytes import (
    CHIP_IDS,
    MAP_32BIT,
    MMU_CONFIGURABLE,
    app_desc,
    bootloader,
    drom,
    flash_with,
    image,
    judge,
    lines,
    ram,
    sample,
)

from py_esp_ota._core import Target, verify_image
from py_esp_ota.errors import EspErr

OK = EspErr.ESP_OK
FAIL = EspErr.ESP_FAIL
INVALID = EspErr.ESP_ERR_IMAGE_INVALID
INVALID_ARG = EspErr.ESP_ERR_INVALID_ARG

DESC = app_desc()
RAM_C3 = ram("esp32c3")


def flipped(data: bytes, *places: int) -> bytes:
    out = bytearray(data)
    for place in places:
        out[place] ^= 0x10
    return bytes(out)


SIXTEEN = [(0x3C000020, DESC)] + [(0, b"")] * 15
UNHASHED = image(hash_appended=0)
EDGES = {
    "no segments": (image([]), {}, OK, 0x40),
    "16 segments": (image(SIXTEEN), {}, OK, 0x1C0),
    "17 segments": (image([*SIXTEEN, (0, b"")]), {}, INVALID, 0),
    "erased slot": (b"", {}, INVALID, 0),
    "erased tail inside a started image": (image([(0x3C000020, DESC), (0, b"")])[:0x120], {}, INVALID, 0),
    "byte 23 is 0: nothing protects the header": (flipped(UNHASHED, 2), {}, OK, 0x130),
    "byte 23 is 2: a hash is there all the same": (image(hash_appended=2), {}, OK, 0x150),
    "byte 23 is 2 and the hash is wrong": (image(hash_appended=2, digest=bytes(32)), {}, INVALID, 0),
    "spi mode corrupt": (flipped(image(), 2), {}, INVALID, 0),
    "entry point corrupt": (flipped(image(), 4), {}, INVALID, 0),
    "reserved byte corrupt": (flipped(image(), 20), {}, INVALID, 0),
    "two flips with the same XOR, hashed": (flipped(image(), 0x60, 0x64), {}, INVALID, 0),
    "two flips with the same XOR, not hashed": (flipped(UNHASHED, 0x60, 0x64), {}, OK, 0x130),
    "hash missing": (image()[:-32], {}, INVALID, 0),
    "fill not zero": (image(fill=b"\xa5"), {}, OK, 0x150),
    "end on a multiple of 16: a block of 16 more": (image([(0x3C000020, DESC), (0, bytes(8))]), {}, OK, 0x160),
    "exactly fills its partition": (image(), {"size": 0x150}, OK, 0x150),
    "one byte larger than its partition": (image(), {"size": 0x14F}, INVALID, 0),
    "padding at any address below 0x10000000": (image([(0x3C000020, DESC), (0x0FFFFFFC, b"pad!")]), {}, OK, 0x150),
    "RAM segment split in two": (image([(0x3C000020, DESC), (RAM_C3, b"abcd"), (RAM_C3 + 4, b"efgh")]), {}, OK, 0x160),
    "empty segments": (image([(0x3C000020, DESC), (RAM_C3, b""), (0x42000000 + 0x130, b"")]), {}, OK, 0x160),
    "no descriptor where none is asked for": (image([(0x3C000020, bytes(256))]), {}, OK, 0x150),
    "highest revision 0 means any": (image(max_rev=0), {"chip_revision": 9999}, OK, 0x150),
    "highest revision 0xFFFF means any": (image(max_rev=0xFFFF), {"chip_revision": 9999}, OK, 0x150),
    "lowest revision 0xFFFF means none": (image(min_rev=0xFFFF), {"chip_revision": 9999}, FAIL, 0),
    "block bounds 0xFFFF mean any": (image([(0x3C000020, app_desc(min_blk=0xFFFF, max_blk=0xFFFF))]), {}, OK, 0x150),
    "any entry point": (image(entry=0xDEADBEEF), {}, OK, 0x150),
    "any size nibble": (flipped(UNHASHED, 3), {}, OK, 0x130),
    "first segment in RAM": (image([(RAM_C3, DESC)]), {}, OK, 0x150),
    "illegal RAM address, in the app": (image([(0x3C000020, DESC), (0x20000000, b"code")]), {}, OK, 0x150),
    "illegal RAM address, bootloader verifying": (
        image([(0x3C000020, DESC), (0x20000000, b"code")]),
        {"build": "bootloader"},
        OK,
        0x150,
    ),
    "illegal RAM address, bootloader loading": (
        image([(0x3C000020, DESC), (0x20000000, b"code")]),
        {"build": "bootloader", "mode": "load"},
        INVALID,
        0,
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_edge_case(name):
    data, how, err, length = EDGES[name]
    verdict = judge(data, **how)
    assert (verdict.err, verdict.image_len) == (err, length), verdict


def test_erased_tail_is_a_length_error_not_a_checksum_error():
    verdict = judge(EDGES["erased tail inside a started image"][0])
    assert lines(verdict)[-1] == "E esp_image: invalid segment length 0xffffffff"


def test_erased_slot_says_nothing_about_chip_or_revision():
    assert [line.text for line in judge(b"").log] == ["image at 0x10000 has invalid magic byte (nothing flashed here?)"]


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_missing_descriptor_is_fatal_exactly_where_the_mmu_page_is_selectable(chip):
    data = image([(drom(chip), app_desc(magic=0))], chip_id=CHIP_IDS[chip], max_rev=0)
    assert judge(data, chip).err == (FAIL if chip in MMU_CONFIGURABLE else OK)


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_efuse_block_revision_counts_on_all_chips_but_the_first(chip):
    data = image([(drom(chip), app_desc(min_blk=1))], chip_id=CHIP_IDS[chip], max_rev=0)
    assert judge(data, chip).err == (OK if chip == "esp32" else FAIL)


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_partition_size_and_length_limits_follow_the_chips_map(chip):
    data = sample(chip)
    assert judge(data, chip, size=0x1000000).err == OK
    assert judge(data, chip, size=0xFFFFFFFF).err == (OK if chip in MAP_32BIT else INVALID_ARG)
    long = image([(drom(chip), DESC)], lengths={0: 0x1000000}, chip_id=CHIP_IDS[chip], max_rev=0)
    # A length that is legal on a wide map still has no flash behind it.
    assert judge(long, chip).err == (FAIL if chip in MAP_32BIT else INVALID)


@pytest.mark.parametrize("chip", ["esp32s3", "esp32p4", "esp32c5", "esp32c61", "esp32h4", "esp32s31"])
def test_lengths_that_wrap_find_nothing_to_map(chip):
    for length in (0xFFFFFFF8, 0xFFFFFFFC):
        data = image([(drom(chip), DESC), (0, b"")], lengths={1: length}, chip_id=CHIP_IDS[chip], max_rev=0)
        verdict = judge(data, chip)
        # 0xFFFFFFFC is still below the limit 0xFFFFFFFF.
        assert (verdict.err, verdict.fault.field) == (FAIL, "segment 1 data")


def test_congruence_uses_the_absolute_flash_address():
    assert judge(image(), offset=0x18000).fault.field == "segment 0 load_addr"
    c6 = image([(0x42000020, app_desc(mmu=15))], chip_id=13)
    assert judge(c6, "esp32c6", offset=0x18000).err == OK


@pytest.mark.parametrize(
    ("exponent", "page"),
    [
        (0, 0x10000),
        (12, 0x10000),
        (13, 0x2000),
        (15, 0x8000),
        (16, 0x10000),
        (18, 0x40000),
        (19, 0x10000),
        (255, 0x10000),
    ],
)
def test_page_size_comes_from_the_descriptor_within_8k_to_256k(exponent, page):
    data = image([(0x42000020, app_desc(mmu=exponent))], chip_id=13)
    for offset in (0x10000, 0x12000, 0x18000, 0x40000):
        verdict = judge(data, "esp32c6", offset=offset)
        assert (verdict.err == OK) == (offset % page == 0), hex(offset)
        told = f"I esp_image: MMU page size mismatch, configured: 0x10000, found: 0x{page:x}"
        assert (told in lines(verdict)) == (page != 0x10000)
        silent = judge(data, "esp32c6", offset=offset, mode="verify_silent")
        assert lines(silent) == ([told] if page != 0x10000 else [])


def test_descriptor_page_size_is_ignored_where_the_page_is_fixed():
    assert judge(image([(0x3C000020, app_desc(mmu=13))]), offset=0x12000).fault.field == "segment 0 load_addr"


def test_an_image_beyond_16_mib_is_out_of_reach_without_a_wide_map():
    for chip, err in (("esp32c3", FAIL), ("esp32s3", OK)):
        flash = flash_with(sample(chip), 0x1000000, size=0x2000000)
        assert verify_image(flash, 0x1000000, 0x100000, chip=chip).err == err


def test_a_large_segment_is_mapped_in_pieces_with_the_same_result():
    """ESP32 shows 3.1 MiB at a time, less where the data does not start on a page."""
    data = image([(0x3F400020, DESC + bytes(range(256)) * 0x3400)], chip_id=0, max_rev=0)
    flash = flash_with(data)
    assert verify_image(flash, 0x10000, 0x3F0000, chip="esp32").err == OK
    # The last piece does not fit into the flash; the pieces before it did, so it is the one that is named.
    flash = flash_with(image([(0x3F400020, DESC)], lengths={0: 0x3F0000}, chip_id=0, max_rev=0))
    verdict = verify_image(flash, 0x10000, 0x3F0000, chip="esp32")
    assert lines(verdict)[-1] == "E esp_image: bootloader_mmap(0x320020, 0xe0000) failed"


# --------------------------------------------------------------------------------------------------- bootloader images


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_bootloader_images_keep_fewer_rules(chip):
    offset = Target(chip).bootloader_offset
    good = bootloader(chip)

    def code(data: bytes, **how: object) -> EspErr:
        return judge(data, chip, offset=offset, size=0x6000, **how).err

    assert code(good) == OK
    assert code(bootloader(chip, max_rev=1), chip_revision=399) == OK  # the upper bound is an app's
    assert code(bootloader(chip, min_rev=300), chip_revision=299) == FAIL
    assert code(good[:-1] + b"\0") == OK  # esptool may have rewritten the header: the hash is not compared
    assert code(good[:-33] + bytes([good[-33] ^ 1]) + good[-32:]) == INVALID  # the checksum is
    assert code(image([(ram(chip), b"tiny")], chip_id=CHIP_IDS[chip], max_rev=0)) == OK  # no room for a descriptor
    assert judge(image([(ram(chip), b"tiny")], chip_id=CHIP_IDS[chip], max_rev=0), chip).err == INVALID


def test_page_size_of_a_bootloader_is_the_builds():
    data = image([(0x42002020, app_desc(mmu=13))], chip_id=13)
    assert judge(data, "esp32c6", offset=0, size=0x6000).fault.field == "segment 0 load_addr"


def test_bootloader_digest_is_read_but_not_compared():
    data = bootloader("esp32c3")[:-32] + bytes(range(32))
    verdict = judge(data, offset=0, size=0x6000)
    assert (verdict.err, verdict.digest, verdict.image_len) == (OK, bytes(range(32)), len(data))
