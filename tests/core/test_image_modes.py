"""``esp_image_verify`` beyond the plain look: loading without validation, metadata, options of the build, releases."""

from __future__ import annotations

import pytest
from image_bytes import CHIP_IDS, app_desc, bootloader, drom, flash_with, header, image, judge, lines, ram, sample

from py_esp_ota._core import EFuse, Flash, Target, VerifyOptions, verify_image
from py_esp_ota.errors import EspErr

OK = EspErr.ESP_OK
FAIL = EspErr.ESP_FAIL
INVALID = EspErr.ESP_ERR_IMAGE_INVALID
INVALID_ARG = EspErr.ESP_ERR_INVALID_ARG

DESC = app_desc()
LOAD = {"build": "bootloader", "mode": "load"}
NO_VALIDATE = {"build": "bootloader", "mode": "load_no_validate"}
METADATA = {"mode": "metadata"}
UNIFIED = ["esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32p4", "esp32s31"]


def options(**values: object) -> dict[str, VerifyOptions]:
    return {"options": VerifyOptions(**values)}


# --------------------------------------------------------------------------------- what a mode asks, and what it leaves

IGNORED_WITHOUT_VALIDATION = {
    "chip id": image(chip_id=9),
    "lowest revision": image(min_rev=0xFFFF),
    "highest revision": image(max_rev=1),
    "eFuse block": image([(0x3C000020, app_desc(min_blk=99))]),
    "checksum": image(checksum=0),
    "hash": image(digest=bytes(32)),
}
STILL_ASKED = {
    "magic": (image(magic=0), INVALID),
    "segment count": (image(count=17), INVALID),
    "segment length": (image(lengths={0: 0x101}), INVALID),
    "room for the descriptor": (image([(0x3C000020, bytes(8))]), INVALID),
    "congruence": (image([(0x3C000024, DESC)]), INVALID),
}


@pytest.mark.parametrize("how", [NO_VALIDATE, METADATA], ids=["load_no_validate", "metadata"])
@pytest.mark.parametrize("name", IGNORED_WITHOUT_VALIDATION)
def test_edge_case_28_what_is_not_asked_without_validation(name, how):
    data = IGNORED_WITHOUT_VALIDATION[name]
    assert judge(data, chip_revision=4, **how).err == OK
    assert judge(data, chip_revision=4).err != OK


@pytest.mark.parametrize("how", [NO_VALIDATE, METADATA], ids=["load_no_validate", "metadata"])
@pytest.mark.parametrize("name", STILL_ASKED)
def test_edge_case_28_what_is_asked_all_the_same(name, how):
    data, err = STILL_ASKED[name]
    assert judge(data, **how).err == err


def test_row_17_without_validation_too_but_never_for_metadata():
    data = image([(0x3C000020, DESC), (0x20000000, b"code")])
    assert judge(data, **NO_VALIDATE).fault.field == "segment 1 load_addr"
    assert judge(data, **METADATA).err == OK


def test_row_27_in_every_mode():
    for how in (NO_VALIDATE, METADATA, LOAD, {}):
        assert judge(image(), size=0x14F, **how).fault.field == "image_len"


def test_row_19_maps_only_what_is_loaded_without_validation():
    data = image([(0x3C000020, DESC), (0, b"")], lengths={1: 0x500000})
    assert judge(data, **LOAD).fault.field == "segment 1 data"
    # The padding is not looked at; what follows it is far outside the partition.
    assert judge(data, **NO_VALIDATE).fault.field == "image_len"


def test_a_digest_that_nobody_read_is_zeros():
    digest = image()[-32:]
    for how, found in ((METADATA, digest), (LOAD, digest), (NO_VALIDATE, bytes(32))):
        assert judge(image(), **how).digest == found
        assert judge(image(hash_appended=0), **how).digest == b""


def test_metadata_says_what_it_found_silently():
    verdict = judge(image(), **METADATA)
    assert (verdict.err, verdict.image_len, verdict.log) == (OK, 0x150, [])
    assert verdict.digest == image()[-32:]
    assert len(verdict.segments) == 1


def test_metadata_prints_what_is_never_silenced():
    verdict = judge(image([(0x42000020, app_desc(magic=0))], chip_id=13), "esp32c6", **METADATA)
    assert lines(verdict) == ["E esp_image: Failed to fetch app description header!"]


def test_edge_case_43_only_a_failed_look_at_metadata_leaves_something():
    data = image([(0x3C000020, DESC), (0x3C000000, b"code")])
    assert [row.index for row in judge(data, **METADATA).segments] == [0]
    assert judge(data).segments == []


# ---------------------------------------------------------------------------------------------- the chip's surroundings


@pytest.mark.parametrize("how", [{}, LOAD])
def test_edge_case_30_a_debugger_makes_sums_worthless(how):
    data = image(checksum=0, digest=bytes(32))
    assert judge(data, **how).err == INVALID
    assert judge(data, **how, **options(debugger_attached=True)).err == OK
    assert judge(image(magic=0), **how, **options(debugger_attached=True)).err == INVALID


@pytest.mark.parametrize(
    "chip", ["esp32", "esp32c3", "esp32c6", "esp32p4", "esp32s2", "esp32s3", "esp32h2", "esp32s31"]
)
def test_edge_case_46_rtc_memory_is_left_alone_after_deep_sleep(chip):
    rtc = {"esp32": 0x3FF80000, "esp32s2": 0x3FF9E000, "esp32s3": 0x600FE000, "esp32p4": 0x50108000}
    address = rtc.get(chip, 0x2E000000 if chip == "esp32s31" else 0x50000000)
    data = image([(drom(chip), DESC), (address, bytes(0x40000))], chip_id=CHIP_IDS[chip], max_rev=0)
    assert judge(data, chip, **LOAD).fault.field == "segment 1 load_addr"  # it ends outside
    awake = judge(data, chip, **LOAD, **options(deep_sleep_wake=True))
    assert awake.err == OK
    assert lines(awake)[-1].endswith("(262144) ")
    # Sums are taken of it all the same.
    corrupt = data[:0x200] + b"\x01" + data[0x201:]
    assert judge(corrupt, chip, **LOAD, **options(deep_sleep_wake=True)).fault.field == "checksum"


def test_scratchpad_memory_is_not_rtc_memory():
    data = image([(drom("esp32p4"), DESC), (0x30100000, bytes(0x4000))], chip_id=18, max_rev=0)
    assert judge(data, "esp32p4", **LOAD, **options(deep_sleep_wake=True)).fault.field == "segment 1 load_addr"


def test_fuses_lift_the_upper_bounds_and_never_the_lower_ones():
    def code(data: bytes, **fuses: object) -> EspErr:
        return judge(data, efuse=EFuse("esp32c3", chip_revision=200, block_revision=100, **fuses)).err

    low = image([(0x3C000020, app_desc(min_blk=101, max_blk=0))], max_rev=0)
    high = image([(0x3C000020, app_desc(max_blk=99))], max_rev=0)
    assert code(image([(0x3C000020, app_desc(max_blk=0))])) == FAIL
    assert code(image([(0x3C000020, app_desc(max_blk=0))]), disable_wafer_version_major=True) == OK
    assert code(image(min_rev=201, max_rev=0), disable_wafer_version_major=True) == FAIL
    assert code(high) == FAIL
    assert code(high, disable_blk_version_major=True) == OK
    assert code(low, disable_blk_version_major=True) == FAIL


# ------------------------------------------------------------------------------------------------------- anti-rollback


def test_row_31_compares_the_version_it_hashed():
    data = image([(0x3C000020, app_desc(secure_version=2))])
    watch = options(anti_rollback=True)
    for burnt, err in ((0, OK), (2, OK), (3, FAIL)):
        verdict = judge(data, efuse=EFuse("esp32c3", secure_version=burnt), **LOAD, **watch)
        assert verdict.err == err
        assert verdict.secure_version == (2 if err == OK else 0)
        assert [line for line in lines(verdict) if line[0] == "E"] == []  # it says nothing
        # The app reads the version and compares it elsewhere; a bootloader that only verifies does not either.
        for how in ({}, {"build": "bootloader"}):
            verdict = judge(data, efuse=EFuse("esp32c3", secure_version=burnt), **how, **watch)
            assert (verdict.err, verdict.secure_version) == (OK, 2)


def test_edge_case_29_without_validation_the_version_stays_zero():
    data = image([(0x3C000020, app_desc(secure_version=9))])
    for burnt, err in ((0, OK), (1, FAIL)):
        efuse = EFuse("esp32c3", secure_version=burnt)
        verdict = judge(data, efuse=efuse, **NO_VALIDATE, **options(anti_rollback=True))
        assert (verdict.err, verdict.secure_version) == (err, 0)


@pytest.mark.parametrize("how", [{}, {"build": "bootloader"}, LOAD])
def test_row_21_no_descriptor_resets_an_anti_rollback_build(how):
    data = image([(0x3C000020, bytes(256))])
    verdict = judge(data, **how, **options(anti_rollback=True))
    assert verdict.assertion is not None
    assert verdict.fault.field == "app_desc magic_word"
    assert judge(data, **how).assertion is None
    # What comes before it is answered; what comes after is not reached.
    assert judge(image([(0x3C000024, bytes(256))]), **how, **options(anti_rollback=True)).assertion is None
    assert judge(image([(0x3C000020, bytes(256))], checksum=0), **how, **options(anti_rollback=True)).assertion
    assert judge(data, **NO_VALIDATE, **options(anti_rollback=True)).assertion is None


def test_row_20_comes_before_row_21():
    data = image([(0x3C000020, app_desc(magic=0, min_blk=9))])
    verdict = judge(data, **options(anti_rollback=True))
    assert (verdict.assertion, verdict.fault.field) == (None, "min_efuse_blk_rev_full")


# Segment 0 is the descriptor's magic word alone. What follows is a segment header, read as its secure version and as
# reserved bytes, and then the rest: whoever reads the descriptor by its place finds it whole.
ONE_WORD = image([(0x3C000020, DESC[:4]), (2, DESC[12:])])
ANTI_ROLLBACK = {"anti_rollback": True}


@pytest.mark.parametrize("how", [{}, {"mode": "verify_silent"}, {"build": "bootloader"}, LOAD])
@pytest.mark.parametrize("version", [(4, 4, 7), (5, 0, 7), (5, 1, 4), (5, 2, 1), (5, 3, 0), (5, 5, 5), (6, 1, 0)])
def test_a_first_segment_of_one_word_runs_an_older_anti_rollback_build_wild(how, version):
    verdict = judge(ONE_WORD, **how, **options(idf_version=version, **ANTI_ROLLBACK))
    assert (verdict.crash, verdict.assertion) == ("data_len of segment 0 wraps below 0", None)
    assert (verdict.err, verdict.fault.field, verdict.fault.found) == (INVALID, "segment 0 data_len", "0x4")
    assert verdict.image_len == 0
    # Nobody else minds, and the newest release says what is wrong.
    assert judge(ONE_WORD, **how, **options(idf_version=version)).err == OK
    newest = judge(ONE_WORD, **how, **options(**ANTI_ROLLBACK))
    assert (newest.err, newest.crash) == (INVALID, None)
    # Nothing is summed up in a load without validation, and of no bytes nothing is read.
    assert judge(ONE_WORD, **NO_VALIDATE, **options(idf_version=version, **ANTI_ROLLBACK)).crash is None
    none = image([(0x3C000020, b""), (2, DESC[8:])])
    assert judge(none, **how, **options(idf_version=version, **ANTI_ROLLBACK)).crash is None


@pytest.mark.parametrize("version", [(4, 4, 6), (5, 0, 6), (5, 1, 3), (5, 2, 0)])
def test_before_the_version_was_hashed_a_first_segment_of_one_word_was_one_like_any_other(version):
    assert judge(ONE_WORD, **LOAD, **options(idf_version=version, **ANTI_ROLLBACK)).err == OK


@pytest.mark.parametrize(
    ("version", "once"), [((5, 5, 4), False), ((5, 5, 5), True), ((6, 0, 1), False), ((6, 0, 2), True)]
)
def test_a_first_segment_larger_than_the_window_is_asked_for_a_descriptor_at_each_piece(version, once):
    data = image([(0x3F400020, DESC + bytes(0x320000))], chip_id=0, max_rev=0)
    flash = flash_with(data, size=0x800000)
    build = VerifyOptions(anti_rollback=True, idf_version=version)
    verdict = verify_image(flash, 0x10000, 0x400000, chip="esp32", options=build)
    assert (verdict.assertion is None) == once
    assert verdict.err == OK or not once
    # The block's revision is asked for there as well; ESP32 has none.
    high = b"".join((bytes(0x7F0000 - 256), app_desc(min_blk=9), bytes(0x100)))
    data = image([(0x3C000020, DESC + high)])
    verdict = verify_image(
        flash_with(data, size=0x1000000), 0x10000, 0x900000, chip="esp32c3", options=VerifyOptions(idf_version=version)
    )
    assert (verdict.err == OK) == once


def test_only_the_configured_part_of_the_field_counts():
    data = image([(0x3C000020, app_desc(secure_version=4))])
    efuse = EFuse("esp32c3", secure_version=6)
    for size, err in ((None, FAIL), (16, FAIL), (4, OK)):
        how = options(anti_rollback=True, secure_version_size=size)
        assert judge(data, efuse=efuse, **LOAD, **how).err == err
    assert [efuse.read_secure_version(size=size) for size in (None, 99, 6, 4, 0)] == [6, 6, 6, 4, 0]


def test_a_descriptor_at_the_end_of_the_flash_is_read_as_far_as_it_is_asked_for():
    """Two words of it for the page size; for anti-rollback the two that it begins with."""
    c6 = image([(0x42000020, DESC)], chip_id=13)
    whole = {"build": "bootloader", "chip": "esp32c6"}
    for offset, err, field in (
        (0x3FFF00, INVALID, "segment 0 load_addr"),  # 224 bytes of the descriptor are there
        (0x3FFF40, EspErr.ESP_ERR_FLASH_OP_FAIL, "app_desc mmu_page_size"),
        (0x3FFFDC, EspErr.ESP_ERR_FLASH_OP_FAIL, "app_desc mmu_page_size"),
        (0x3FFFE0, EspErr.ESP_ERR_FLASH_OP_FAIL, "app_desc magic_word"),
    ):
        verdict = judge(c6[: 0x400000 - offset], offset=offset, **whole)
        assert (verdict.err, verdict.fault.field) == (err, field)
    assert judge(c6[:0x20], offset=0x3FFFE0, chip="esp32c6").err == INVALID_ARG
    c3 = image([(0x3C00FF20, DESC[:4])])
    verdict = judge(c3, offset=0x3FFF00, **options(idf_version=(6, 1, 0), **ANTI_ROLLBACK))
    assert (verdict.crash is None, verdict.assertion) == (False, None)


# ----------------------------------------------------------------------------------------------------------- page sizes


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_page_size_of_a_build_follows_the_flash_where_it_is_an_option(chip):
    small = chip in {"esp32c2", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32s31"}
    data = image([(drom(chip), app_desc(mmu=0))], chip_id=CHIP_IDS[chip], max_rev=0)
    for megabytes, page in ((1, 0x4000), (2, 0x8000), (4, 0x10000), (8, 0x10000)):
        flash = flash_with(data, size=megabytes << 20)
        verdict = verify_image(flash, 0x10000, 0x10000, chip=chip)
        assert (verdict.err, verdict.mmu_page_size) == (OK, page if small else 0x10000)
        said = verify_image(flash, 0x10000, 0x10000, chip=chip, options=VerifyOptions(mmu_page_size=0x2000))
        assert said.mmu_page_size == 0x2000


def test_edge_case_19_congruence_depends_on_partition_and_page():
    data = image([(0x42008020, app_desc(mmu=15))], chip_id=13)
    assert judge(data, "esp32c6", offset=0x18000).err == OK
    assert judge(data, "esp32c6", offset=0x1C000).err == INVALID
    c3 = image([(0x3C008020, app_desc(mmu=15))])
    assert judge(c3, offset=0x18000).err == OK
    assert judge(image(), offset=0x18000).err == INVALID


@pytest.mark.parametrize("chip", ["esp32c3", "esp32c6"])
def test_an_image_without_segments_asks_for_no_page(chip):
    data = image([], chip_id=CHIP_IDS[chip], max_rev=0)
    for how in ({}, LOAD, NO_VALIDATE, METADATA):
        verdict = judge(data, chip, **how)
        assert (verdict.err, verdict.mmu_page_size) == (OK, 0)


@pytest.mark.parametrize("chip", ["esp32c6", "esp32h2", "esp32h21"])
def test_small_pages_make_a_small_window(chip):
    """256 pages, of whatever size: beyond them an address is no mapped one, and RAM is not there either."""
    data = image([(0x42000020, DESC), (0x42800130, b"code")], chip_id=CHIP_IDS[chip], max_rev=0)
    data_far = image([(0x42000020, DESC), (0x42800128, b"code")], chip_id=CHIP_IDS[chip], max_rev=0)
    assert judge(data, chip, **LOAD).err == INVALID  # not congruent
    assert judge(data_far, chip, **LOAD).err == OK
    small = judge(data_far, chip, **LOAD, **options(mmu_page_size=0x8000))
    assert lines(small)[-1].endswith("invalid: bad load address range")


# ------------------------------------------------------------------------------------------ bootloader images, releases


def test_edge_case_31_the_address_decides_what_is_a_bootloader():
    data = bootloader("esp32c3")
    assert judge(data, offset=0).err == OK
    assert judge(data, offset=0x20000).fault.field == "segment 0 data_len"
    assert judge(data, offset=0x20000, **options(bootloader_offset=0x20000)).err == OK
    old = options(bootloader_offset=0x20000, idf_version=(5, 4, 0))
    # Older ones took it for an app, and read a descriptor out of 80 bytes and what follows.
    assert judge(data, offset=0x20000, **old).fault.field == "min_efuse_blk_rev_full"
    wrong = bootloader("esp32c3", digest=bytes(32))
    assert judge(wrong, offset=0x20000, **options(bootloader_offset=0x20000)).err == OK


def test_before_v5_5_a_bootloader_image_had_an_upper_bound_of_revisions_too():
    data = bootloader("esp32c3", max_rev=1)
    for version, err in (((5, 4, 4), FAIL), ((5, 5, 0), OK)):
        for build in ("app", "bootloader"):
            verdict = judge(data, offset=0, chip_revision=101, build=build, **options(idf_version=version))
            assert verdict.err == err, version
    old = judge(data, offset=0, chip_revision=101, **options(idf_version=(5, 4, 4)))
    assert lines(old) == ["E boot_comm: Image requires chip rev <= v0.1, but chip is v1.1"]
    fuse = EFuse("esp32c3", chip_revision=101, disable_wafer_version_major=True)
    assert judge(data, offset=0, efuse=fuse, **options(idf_version=(5, 4, 4))).err == OK


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ((5, 4, 4), "Image requires chip rev >= v9.9, but chip is v0.4"),
        ((5, 5, 0), "chip revision check failed. Required >= v9.9, found v0.4."),
    ],
)
def test_how_a_wrong_revision_is_told(version, said):
    verdict = judge(image(min_rev=909), chip_revision=4, **options(idf_version=version))
    assert lines(verdict) == [f"E boot_comm: {said}"]


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ((5, 5, 2), ""),
        ((5, 5, 3), ", size 0x18 or dest 0x3fcde524"),
        ((5, 4, 9), ""),
        ((6, 2, 0), ", size 0x18 or dest 0x3fcde524"),
    ],
)
def test_how_a_crooked_read_is_told(version, numbers):
    for mode in ("load", "verify_silent"):
        verdict = judge(image(), offset=0x10002, build="bootloader", mode=mode, **options(idf_version=version))
        text = f"E bootloader_flash: bootloader_flash_read src_addr 0x10002{numbers} not 4-byte aligned"
        assert (verdict.err, lines(verdict)) == (FAIL, [text])
    assert judge(image([(0x3C000022, DESC)]), offset=0x10002, **options(idf_version=version)).err == OK


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_recovery_bootloader_by_fuse_on_four_chips(chip):
    wrong = bootloader(chip, digest=bytes(32))
    efuse = EFuse(chip, recovery_bootloader_sector=0x20)
    has_one = chip in {"esp32c5", "esp32c61", "esp32p4", "esp32s31"}
    assert (judge(wrong, chip, offset=0x20000, efuse=efuse).err == OK) == has_one
    for off in (0, 0xFFF):
        efuse = EFuse(chip, recovery_bootloader_sector=off)
        assert judge(wrong, chip, offset=0x20000, efuse=efuse).err != OK


def test_secure_boot_hashes_bootloader_images_too():
    wrong = bootloader("esp32c3", digest=bytes(32))
    assert judge(wrong, offset=0).err == OK
    signed = options(signature_scheme="rsa3072", secure_boot_v2=True)
    assert judge(wrong, offset=0, **signed).fault.field == "hash"


RELEASES = [
    # what, image, chip, how, the first release that says what the newest says, what older ones say
    ("segment 0 too short", image([(0x3C000020, bytes(8))]), "esp32c3", {}, (6, 2, 0), OK),
    ("magic of metadata", image(magic=0), "esp32c3", METADATA, (6, 2, 0), OK),
    ("magic of an unvalidated load", image(magic=0), "esp32c3", NO_VALIDATE, (6, 2, 0), OK),
    ("count of metadata", image([(0x3C000020, DESC)] + [(0, b"")] * 16), "esp32c3", METADATA, (6, 2, 0), OK),
    ("descriptor missing", image([(0x42000020, bytes(256))], chip_id=13), "esp32c6", {}, (5, 4, 0), OK),
    ("eFuse block", image([(0x3C000020, app_desc(min_blk=9))]), "esp32c3", {}, (5, 4, 0), OK),
    ("partition above 16 MB", sample("esp32s3"), "esp32s3", {"size": 0x1000004}, (5, 5, 0), INVALID_ARG),
]


@pytest.mark.parametrize("case", RELEASES, ids=lambda case: case[0])
def test_releases_differ(case):
    _, data, chip, how, first, before = case
    newest = judge(data, chip, **how)
    older = {(6, 2, 0): (6, 1, 0), (5, 4, 0): (5, 3, 1), (5, 5, 0): (5, 4, 1)}[first]
    assert judge(data, chip, **how, **options(idf_version=first)) == newest
    assert judge(data, chip, **how, **options(idf_version=older)).err == before != newest.err


def test_page_exponents_no_chip_has_were_believed_before():
    data = image([(0x42000020, app_desc(mmu=12))], chip_id=13)
    assert judge(data, "esp32c6").mmu_page_size == 0x10000
    assert judge(data, "esp32c6", **options(idf_version=(6, 1, 0))).mmu_page_size == 0x1000
    assert judge(data, "esp32c6", **options(idf_version=(5, 3, 0))).mmu_page_size == 0x10000


@pytest.mark.parametrize("version", [(4, 4, 2), (4, 4, 3), (5, 0, 0), (6, 2, 0)])
def test_edge_case_32_room_for_a_signature_is_asked_without_looking_at_it(version):
    data = sample("esp32c3")
    how = options(signature_scheme="rsa3072", idf_version=version)
    room = 0x2000 if version >= (4, 4, 3) else len(data)
    for build in ("app", "bootloader"):
        verdict = judge(data, size=room, build=build, **how)
        assert (verdict.err, verdict.image_len) == (OK, len(data))
        assert judge(data, size=room - 1, build=build, **how).fault.field == "image_len"


def test_room_for_a_signature_by_scheme_and_image():
    data, loader = sample("esp32c3"), bootloader("esp32c3")
    v1 = options(signature_scheme="ecdsa_v1")
    assert judge(data, size=len(data) + 68, **v1).err == OK
    assert judge(data, size=len(data) + 67, **v1).fault.field == "image_len"
    assert judge(loader, offset=0, size=len(loader), **v1).err == OK
    v2 = options(signature_scheme="rsa3072", secure_boot_v2=True)
    assert judge(loader, offset=0, size=0x2000, **v2).err == OK
    assert judge(loader, offset=0, size=0x1FFF, **v2).fault.field == "image_len"


def test_a_77616_byte_image_of_a_signed_build_needs_81920_bytes():
    data = image([(0x3C000020, DESC), (0, bytes(77616 - 0x150 - 8))])
    assert len(data) == 77616
    how = options(signature_scheme="rsa3072")
    assert (judge(data, size=81920, **how).err, judge(data, size=81919, **how).err) == (OK, INVALID)


# ------------------------------------------------------------------------------------------------------------ mod 2^32


@pytest.mark.parametrize("chip", ["esp32p4", "esp32c5", "esp32c61", "esp32s3", "esp32h4", "esp32s31"])
def test_edge_case_51_a_length_near_2_to_the_32_moves_the_cursor_back(chip):
    # The padding segment ends 8 bytes before its data starts, so its own header is read once more, and so on.
    data = bytearray(image([(drom(chip), DESC), (0, b"")], lengths={1: 0xFFFFFFF8}, chip_id=CHIP_IDS[chip], max_rev=0))
    for how in (NO_VALIDATE, METADATA):
        verdict = judge(bytes(data), chip, **how)
        assert (verdict.err, verdict.image_len) == (OK, 0x120 + 16 + 32)
    assert judge(bytes(data), chip).fault.field == "segment 1 data"


def test_edge_case_51_row_23_a_cursor_below_the_partition_has_wrapped():
    data = image([(drom("esp32p4"), DESC)] + [(0, b"")] * 15, lengths={1: 0xFFFFFFFC - 0x1000}, chip_id=18, max_rev=0)
    flash = Flash()
    flash.program(0x10000, data)
    # The cursor is now in erased flash below the partition unless headers stand there as well.
    for at in range(14):
        flash.program(0x10128 - 0x1004 + 8 * at, bytes(8))
    verdict = verify_image(flash, 0x10000, 0x100000, chip="esp32p4", **METADATA)
    assert (verdict.err, verdict.fault.field) == (INVALID, "image end")


@pytest.mark.parametrize(("address", "length"), [(0x4FF08000, 0xFFFFFFF8), (0x7FFFFFF0, 0x20), (0xFFFFFFF0, 0x20)])
def test_edge_case_51_a_loadable_segment_that_wraps_is_an_assertion(address, length):
    # As signed numbers the end lies below the start: the chip resets instead of answering.
    data = image([(drom("esp32p4"), DESC), (address, b"")], lengths={1: length}, chip_id=18, max_rev=0)
    verdict = judge(data, "esp32p4", **LOAD)
    if address == 0xFFFFFFF0:  # from below zero to above: the signed numbers are in order
        assert (verdict.err, verdict.assertion) == (INVALID, None)
    else:
        assert verdict.assertion is not None
    assert judge(data, "esp32p4").assertion is None  # the app never asks


# ----------------------------------------------------------------------------------------------- load ranges, all chips


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_row_17_on_every_chip_only_ram_is_loaded_to(chip):
    """CVE-2018-18558: a range is accepted only when both its ends are RAM, wherever it starts and however it wraps."""
    target = Target(chip)
    ranges = LEGAL[chip]
    edges = sorted({edge for span in ranges for edge in span} | {0x10000000, 0x80000000, 0xFFFFFFF0, 0x60000000})
    for start in [(edge + step) % 2**32 for edge in edges for step in (-8, -4, 0, 4)]:
        for length in (4, 8, 0x1000, 0x100000, 0xFFFFF8):
            data = header(2, chip_id=CHIP_IDS[chip], max_rev=0, hash_appended=0)
            data += image([(0, DESC), (start, b"")], lengths={1: length})[24 : 24 + 8 + 256 + 8]
            verdict = judge(data, chip, build="bootloader", mode="load", chip_revision=target.default_chip_revision)
            reached = verdict.fault is None or verdict.fault.field != "segment 1 load_addr"
            mapped = verdict.log[-1].text.endswith("map") or start < 0x10000000 or "map" in verdict.log[1].text
            if reached and not mapped:
                assert any(low <= start and start + length <= high for low, high in ranges), hex(start)


LEGAL = {
    "esp32": [(0x40080000, 0x400AA000), (0x3FFAE000, 0x40000000), (0x400C0000, 0x400C2000),
        (0x3FF80000, 0x3FF82000), (0x50000000, 0x50002000)],
    "esp32s2": [(0x40020000, 0x40070000), (0x3FFB0000, 0x40000000), (0x40070000, 0x40072000),
        (0x3FF9E000, 0x3FFA0000), (0x50000000, 0x50002000)],
    "esp32s3": [(0x40370000, 0x403E0000), (0x3FC88000, 0x3FD00000), (0x600FE000, 0x60100000), (0x50000000, 0x50002000)],
    "esp32c2": [(0x4037C000, 0x403C0000), (0x3FCA0000, 0x3FCE0000)],
    "esp32c3": [(0x4037C000, 0x403E0000), (0x3FC80000, 0x3FCE0000), (0x50000000, 0x50002000)],
    "esp32c5": [(0x40800000, 0x40860000), (0x50000000, 0x50004000)],
    "esp32c6": [(0x40800000, 0x40880000), (0x50000000, 0x50004000)],
    "esp32c61": [(0x40800000, 0x40850000)],
    "esp32h2": [(0x40800000, 0x40850000), (0x50000000, 0x50001000)],
    "esp32h21": [(0x40800000, 0x40850000), (0x50000000, 0x50001000)],
    "esp32h4": [(0x40810000, 0x40860000)],
    "esp32p4": [(0x4FF00000, 0x4FFC0000), (0x50108000, 0x50110000), (0x30100000, 0x30102000)],
    "esp32s31": [(0x2F000000, 0x2F080000), (0x2E000000, 0x2E008000)],
}  # fmt: skip


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_row_17_the_legal_ranges_themselves_are_accepted(chip):
    for low, _ in LEGAL[chip]:
        data = image([(drom(chip), DESC), (low, bytes(16))], chip_id=CHIP_IDS[chip], max_rev=0)
        verdict = judge(data, chip, **LOAD)
        assert verdict.err == OK, (hex(low), verdict)
    assert judge(sample(chip), chip, **LOAD).err == OK
    assert ram(chip)


@pytest.mark.parametrize("chip", UNIFIED)
def test_edge_case_50_loader_text_is_not_protected_on_unified_chips(chip):
    text = {"esp32c6": 0x4086E610, "esp32c5": 0x4084E5A0, "esp32c61": 0x4083E670, "esp32h2": 0x4083EFD0}
    if chip in text:
        data = image([(drom(chip), DESC), (text[chip], bytes(16))], chip_id=CHIP_IDS[chip], max_rev=0)
        assert judge(data, chip, **LOAD).err == OK
