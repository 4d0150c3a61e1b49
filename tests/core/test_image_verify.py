"""``esp_image_verify``: every rule alone, the pairs that compete, the known edge cases, and the lines printed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from image_bytes import CHIP_IDS, app_desc, flash_with, header, image, judge, lines, ram, sample

from py_esp_ota._core import Flash, Target, inspect_image, verify_image
from py_esp_ota.errors import EspErr, PowerLoss

OK = EspErr.ESP_OK
FAIL = EspErr.ESP_FAIL
INVALID = EspErr.ESP_ERR_IMAGE_INVALID
INVALID_ARG = EspErr.ESP_ERR_INVALID_ARG

DESC = app_desc()
RAM_C3 = ram("esp32c3")

# ------------------------------------------------------------------------------------------------------------- vectors

V4_SEGMENTS = [
    (0x3C000020, DESC),
    (0x3FC80000, bytes(range(256))),
    (0, bytes(0xFDE8)),
    (0x42010020, b"\x13\0\0\0" * 64),
]
VECTORS = {
    "one segment with the descriptor": (
        image(),
        "5d1fd03c8a02980531ff6c8441f22e0fd28c067540fb2dddec3e84fa74a2fbbe",
        0x150,
        "db828f4fb85f0017d597f4173ad9d1941def1ea3e698b6320daf2465853cd7a7",
    ),
    "no segment": (
        image([]),
        "2f122cbba8968bf92c81a1e50ac4681ba29775464c5f70b447edd1316062bfbe",
        0x40,
        "6ae6dda090635ca7dfd473c262664c543ba53d9946ab1aa7b6a5770b6a421c22",
    ),
    "no segment, no hash": (
        image([], hash_appended=0),
        "91aa0771d9af32f700a097d74d687f21558e3746e526ab95c0724282c25128f6",
        0x20,
        "",
    ),
    "data, padding and code": (
        image(V4_SEGMENTS),
        "bc61002cdef1324482cbb49cfeb2733a1c74dab90a4f9b536566221e5716d250",
        0x10150,
        "0a0b75a26f4787af35176cf450f00ec7a5beaaeebc4da3c8352e529e68867585",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_are_accepted_with_their_length_and_digest(name):
    data, whole, length, digest = VECTORS[name]
    assert hashlib.sha256(data).hexdigest() == whole
    verdict = judge(data, chip_revision=4)
    assert (verdict.err, verdict.fault, verdict.image_len, verdict.digest.hex()) == (OK, None, length, digest)


def test_descriptor_of_the_vectors_is_the_described_one():
    assert hashlib.sha256(DESC).hexdigest() == "b795b853c7f52de6f4b3c70dd9cfaa06f4340f7f07792a5c29dc3daf5783fe20"


def test_segments_of_an_accepted_image():
    verdict = judge(image(V4_SEGMENTS))
    rows = [(row.index, row.load_addr, row.length, row.offset, row.kind) for row in verdict.segments]
    assert rows == [
        (0, 0x3C000020, 256, 0x20, "map"),
        (1, 0x3FC80000, 256, 0x128, "load"),
        (2, 0, 0xFDE8, 0x230, "padding"),
        (3, 0x42010020, 256, 0x10020, "map"),
    ]


# ---------------------------------------------------------------------------------------------------- the rules, alone


@dataclass
class Rule:
    """One broken rule: the image, how it is judged, and what comes of it."""

    name: str
    data: bytes
    err: EspErr
    field: str
    at: int  # of the fault, from the start of the image
    log: list[str]
    always: bool  # printed in silent mode too
    chip: str = "esp32c3"
    how: dict[str, Any] = field(default_factory=dict)


RULES = [
    Rule(
        "partition larger than 16 MiB",
        image(),
        INVALID_ARG,
        "partition size",
        0,
        ["E esp_image: partition size 0x1000001 invalid, larger than 16MB"],
        always=False,
        how={"size": 0x1000001},
    ),
    Rule(
        "magic",
        image(magic=0xE8),
        INVALID,
        "magic",
        0,
        ["E esp_image: image at 0x10000 has invalid magic byte (nothing flashed here?)"],
        always=False,
    ),
    Rule(
        "chip id",
        image(chip_id=9),
        FAIL,
        "chip_id",
        12,
        ["E boot_comm: mismatch chip ID, expected 5, found 9"],
        always=True,
    ),
    Rule(
        "lowest chip revision",
        image(min_rev=101),
        FAIL,
        "min_chip_rev_full",
        15,
        ["E boot_comm: chip revision check failed. Required >= v1.1, found v0.4."],
        always=True,
        how={"chip_revision": 4},
    ),
    Rule(
        "highest chip revision",
        image(max_rev=199),
        FAIL,
        "max_chip_rev_full",
        17,
        ["E boot_comm: chip revision check failed. Required <= v1.99, found v2.0."],
        always=True,
        how={"chip_revision": 200},
    ),
    Rule(
        "segment count",
        image(count=17),
        INVALID,
        "segment_count",
        1,
        ["E esp_image: image at 0x10000 segment count 17 exceeds max 16"],
        always=False,
    ),
    Rule(
        "length not a multiple of 4",
        image(lengths={0: 258}),
        INVALID,
        "segment 0 data_len",
        28,
        ["E esp_image: invalid segment length 0x102"],
        always=False,
    ),
    Rule(
        "length of 16 MiB",
        image(lengths={0: 0x1000000}),
        INVALID,
        "segment 0 data_len",
        28,
        ["E esp_image: invalid segment length 0x1000000"],
        always=False,
    ),
    Rule(
        "no room for the descriptor",
        image([(0x3C000020, bytes(252))]),
        INVALID,
        "segment 0 data_len",
        28,
        ["E esp_image: Segment 0: length 0xfc is too short for app description"],
        always=True,
    ),
    Rule(
        "no descriptor on a chip with selectable MMU page",
        image([(0x42000020, app_desc(magic=0))], chip_id=13),
        FAIL,
        "app_desc magic_word",
        32,
        ["E esp_image: Failed to fetch app description header!"],
        always=True,
        chip="esp32c6",
    ),
    Rule(
        "mapped segment at another place in its page",
        image([(0x3C000024, DESC)]),
        INVALID,
        "segment 0 load_addr",
        24,
        ["E esp_image: Segment 0 load address 0x3c000024, doesn't match data 0x00010020"],
        always=False,
    ),
    Rule(
        "nothing to map",
        image(lengths={0: 0xFFFFFC}),
        FAIL,
        "segment 0 data",
        32,
        ["E esp_image: bootloader_mmap(0x10020, 0x7f0000) failed"],
        always=True,
    ),
    Rule(
        "lowest eFuse block revision",
        image([(0x3C000020, app_desc(min_blk=101, max_blk=0))]),
        FAIL,
        "min_efuse_blk_rev_full",
        32 + 176,
        ["E boot_comm: Image requires efuse blk rev >= v1.1, but chip is v1.0"],
        always=True,
        how={"efuse_block_revision": 100},
    ),
    Rule(
        "highest eFuse block revision",
        image(),
        FAIL,
        "max_efuse_blk_rev_full",
        32 + 178,
        ["E boot_comm: Image requires efuse blk rev <= v0.99, but chip is v1.0"],
        always=True,
        how={"efuse_block_revision": 100},
    ),
    Rule(
        "both eFuse block bounds",
        image([(0x3C000020, app_desc(min_blk=102, max_blk=99))]),
        FAIL,
        "min_efuse_blk_rev_full",
        32 + 176,
        [
            "E boot_comm: Image requires efuse blk rev >= v1.2, but chip is v1.1",
            "E boot_comm: Image requires efuse blk rev <= v0.99, but chip is v1.1",
        ],
        always=True,
        how={"efuse_block_revision": 101},
    ),
    Rule(
        "checksum",
        image(checksum=0x05),
        INVALID,
        "checksum",
        0x12F,
        ["E esp_image: Checksum failed. Calculated 0xb3 read 0x5"],
        always=False,
    ),
    Rule(
        "partition too small",
        image(),
        INVALID,
        "image_len",
        0,
        ["E esp_image: Image length 336 doesn't fit in partition length 335"],
        always=False,
        how={"size": 0x14F},
    ),
    Rule(
        "hash",
        image(digest=bytes(32)),
        INVALID,
        "hash",
        0x130,
        ["E esp_image: Image hash failed - image is corrupt"],
        always=True,
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("build", ["app", "bootloader"])
def test_each_rule_alone(rule, build):
    verdict = judge(rule.data, rule.chip, build=build, **rule.how)
    assert (verdict.err, verdict.fault.err) == (rule.err, rule.err)
    assert (verdict.fault.field, verdict.fault.offset) == (rule.field, 0x10000 + rule.at)
    assert [line for line in lines(verdict) if line.startswith("E")] == rule.log
    # A failure leaves nothing of the metadata.
    assert (verdict.image_len, verdict.digest, verdict.segments) == (0, b"", [])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_silent_mode_keeps_only_what_upstream_never_silences(rule):
    verdict = judge(rule.data, rule.chip, mode="verify_silent", **rule.how)
    assert verdict.err == rule.err
    assert lines(verdict) == (rule.log if rule.always else [])


READ_ERRORS = [
    ("header", image(), 0x400000, 0, "image header", []),
    ("header half in the chip", image()[:16], 0x3FFFF0, 0, "image header", []),
    (
        "segment header",
        image()[:24],
        0x3FFFE8,
        24,
        "segment 0 header",
        ["E esp_image: bootloader_flash_read failed at 0x00400000"],
    ),
    ("checksum", header(0), 0x3FFFE8, 24, "checksum", []),
    ("hash", image([])[:32], 0x3FFFE0, 32, "hash", []),
]


@pytest.mark.parametrize("case", READ_ERRORS, ids=lambda case: case[0])
@pytest.mark.parametrize(("build", "err"), [("app", INVALID_ARG), ("bootloader", EspErr.ESP_ERR_FLASH_OP_FAIL)])
def test_reads_beyond_the_chip_return_the_drivers_code(case, build, err):
    _, data, offset, at, what, log = case
    flash = flash_with(data, offset) if data and offset < 0x400000 else Flash()
    for mode in ("verify", "verify_silent"):
        verdict = verify_image(flash, offset, 0x1000, chip="esp32c3", build=build, mode=mode)
        assert (verdict.err, verdict.fault.field, verdict.fault.offset) == (err, what, offset + at)
        assert lines(verdict) == log


# ------------------------------------------------------------------------------------------------- two rules at a time

PAIRS = [
    ("size before magic", image(magic=0), {"size": 0x1000001}, INVALID_ARG, "partition size"),
    ("magic before chip id", image(magic=0, chip_id=9), {}, INVALID, "magic"),
    ("chip id before revisions", image(chip_id=9, min_rev=0xFFFF), {}, FAIL, "chip_id"),
    (
        "lowest before highest revision",
        image(min_rev=300, max_rev=100),
        {"chip_revision": 200},
        FAIL,
        "min_chip_rev_full",
    ),
    ("chip id before segment count", image(chip_id=9, count=17), {}, FAIL, "chip_id"),
    ("revision before segment count", image(min_rev=0xFFFF, count=17), {}, FAIL, "min_chip_rev_full"),
    ("segment count before lengths", image(count=17, lengths={0: 1}), {}, INVALID, "segment_count"),
    ("odd length before short one", image([(0x3C000020, bytes(8))], lengths={0: 7}), {}, INVALID, "segment 0 data_len"),
    ("short one before congruence", image([(0x3C000000, bytes(8))]), {}, INVALID, "segment 0 data_len"),
    ("congruence before eFuse block", image([(0x3C000000, app_desc(min_blk=9))]), {}, INVALID, "segment 0 load_addr"),
    (
        "congruence before mapping",
        image([(0x3C000000, DESC)], lengths={0: 0xFFFFFC}),
        {},
        INVALID,
        "segment 0 load_addr",
    ),
    (
        "mapping before eFuse block",
        image([(0x3C000020, app_desc(min_blk=9))], lengths={0: 0xFFFFFC}),
        {},
        FAIL,
        "segment 0 data",
    ),
    (
        "eFuse block before the next segment's length",
        image([(0x3C000020, app_desc(min_blk=9)), (0, b"")], lengths={1: 1}),
        {},
        FAIL,
        "min_efuse_blk_rev_full",
    ),
    (
        "next segment before checksum",
        image([(0x3C000020, DESC), (0, b"")], lengths={1: 1}, checksum=0),
        {},
        INVALID,
        "segment 1 data_len",
    ),
    ("checksum before partition fit", image(checksum=0), {"size": 16}, INVALID, "checksum"),
    ("checksum before hash", image(checksum=0, digest=bytes(32)), {}, INVALID, "checksum"),
    ("partition fit before hash", image(digest=bytes(32)), {"size": 16}, INVALID, "image_len"),
    (
        "load range before mapping",
        image([(0, DESC), (0x20000000, b"")], lengths={1: 0xFFFFFC}),
        {"build": "bootloader", "mode": "load"},
        INVALID,
        "segment 1 load_addr",
    ),
    (
        "load range before eFuse block",
        image([(0x20000000, app_desc(min_blk=9))]),
        {"build": "bootloader", "mode": "load"},
        INVALID,
        "segment 0 load_addr",
    ),
]


@pytest.mark.parametrize("case", PAIRS, ids=lambda case: case[0])
def test_the_earlier_of_two_faults_decides(case):
    _, data, how, err, what = case
    verdict = judge(data, **how)
    assert (verdict.err, verdict.fault.field) == (err, what)


def test_short_first_segment_is_refused_before_its_descriptor_is_looked_for():
    verdict = judge(image([(0x42000020, bytes(8))], chip_id=13), "esp32c6")
    assert (verdict.err, verdict.fault.field) == (INVALID, "segment 0 data_len")


def test_missing_descriptor_is_refused_before_congruence():
    verdict = judge(image([(0x42000000, app_desc(magic=0))], chip_id=13), "esp32c6")
    assert (verdict.err, verdict.fault.field) == (FAIL, "app_desc magic_word")


# ------------------------------------------------------------------------------------------------------ how it is used


def test_default_revision_is_one_that_default_builds_accept():
    for chip in CHIP_IDS:
        target = Target(chip)
        assert judge(sample(chip, min_rev=0, max_rev=399), chip).err == OK
        refused = judge(sample(chip, min_rev=target.default_chip_revision + 1, max_rev=0), chip)
        assert refused.fault.field == "min_chip_rev_full"


def test_inspection_and_verification_read_the_same_segments():
    data = image(V4_SEGMENTS)
    assert inspect_image(data).segments == judge(data).segments


def test_misuse_is_a_value_error():
    flash = Flash()
    for how in (
        {"chip": "esp8266"},
        {"chip": "esp32c3", "mode": "load"},
        {"chip": "esp32c3", "mode": "no_validate"},
        {"chip": "esp32c3", "build": "rom"},
        {"chip": "esp32c3", "chip_revision": -1},
        {"chip": "esp32c3", "efuse_block_revision": 70000},
    ):
        with pytest.raises(ValueError):
            verify_image(flash, 0x10000, 0x1000, **how)
    for offset, size in ((-1, 0), (0, -1), (2**32, 0), (0, 2**32)):
        with pytest.raises(ValueError):
            verify_image(flash, offset, size, chip="esp32c3")


def test_a_dead_flash_raises_power_loss():
    flash = flash_with(image())
    flash.power_off()
    with pytest.raises(PowerLoss):
        verify_image(flash, 0x10000, 0x100000, chip="esp32c3")
    flash.power_on()
    assert verify_image(flash, 0x10000, 0x100000, chip="esp32c3").err == OK


def test_verification_leaves_the_flash_as_it_was():
    flash = flash_with(image())
    before = flash.to_bytes(), flash.operations
    verify_image(flash, 0x10000, 0x100000, chip="esp32c3")
    assert (flash.to_bytes(), flash.operations) == before


def test_values_print_what_they_are():
    assert repr(judge(image())) == "<Verdict ESP_OK>"
    assert repr(judge(b"")) == "<Verdict ESP_ERR_IMAGE_INVALID: magic at 0x10000: found 0xff, expected 0xe9>"
