"""``inspect_image``: everything readable, every fault, and the same opinion as the verifier."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bytes import (
    CHIP_IDS,
    app_desc,
    bootloader,
    bootloader_desc,
    drom,
    flash_with,
    header,
    image,
    judge,
    ram,
    sample,
)

from py_esp_ota import signing
from py_esp_ota._core import (
    AppDesc,
    BootloaderDesc,
    ImageHeader,
    Target,
    check_image_validity,
    inspect_image,
    verify_image,
)
from py_esp_ota.errors import EspErr, ImageError

OK = EspErr.ESP_OK
FAIL = EspErr.ESP_FAIL
INVALID = EspErr.ESP_ERR_IMAGE_INVALID

C3 = image([(0x3C000020, app_desc()), (ram("esp32c3"), bytes(range(64)))])


def fields(data: bytes, **how) -> list[str]:
    return [fault.field for fault in inspect_image(data, **how).faults]


# ---------------------------------------------------------------------------------------------------- what can be read


def test_everything_in_a_sound_app():
    info = inspect_image(C3)
    assert (info.kind, info.valid, info.err, info.chip, info.faults) == ("app", True, OK, "esp32c3", [])
    assert info.length == len(C3)
    assert (info.checksum_stored, info.checksum_calculated) == (C3[-33], C3[-33])
    assert info.hash_stored == info.hash_calculated == hashlib.sha256(C3[:-32]).digest()
    assert [(row.load_addr, row.length, row.offset, row.kind) for row in info.segments] == [
        (0x3C000020, 256, 0x20, "map"),
        (ram("esp32c3"), 64, 0x128, "load"),
    ]
    assert info.bootloader_desc is None


def test_every_field_of_the_header():
    raw = bytes.fromhex("e903022f 78563412 ee 123456 0d00 07 2c01 9001 00000000 01")
    head = ImageHeader.from_bytes(raw)
    assert (head.magic, head.segment_count, head.spi_mode, head.spi_speed, head.spi_size) == (0xE9, 3, 2, 0xF, 2)
    assert (head.entry_addr, head.wp_pin, head.spi_pin_drv) == (0x12345678, 0xEE, b"\x12\x34\x56")
    assert (head.chip_id, head.min_chip_rev) == (13, 7)
    assert (head.min_chip_rev_full, head.max_chip_rev_full, head.hash_appended) == (300, 400, 1)


def test_every_field_of_the_app_descriptor():
    raw = app_desc(
        secure_version=7, version=b"1.2.3\0junk", project=b"l\xc3\xa4mp\xff", min_blk=3, max_blk=199, mmu=15, mode=5
    )
    raw = raw[:144] + bytes(range(32)) + raw[176:]
    desc = AppDesc.from_bytes(raw + b"more")
    assert (desc.magic_word, desc.secure_version) == (0xABCD5432, 7)
    assert (desc.version, desc.version_bytes) == ("1.2.3", b"1.2.3\0junk".ljust(32, b"\0"))
    assert (desc.project_name, desc.project_name_bytes) == ("lämp�", b"l\xc3\xa4mp\xff".ljust(32, b"\0"))
    assert (desc.time, desc.date, desc.idf_ver) == ("12:00:00", "Jan 01 2025", "v5.5")
    assert desc.app_elf_sha256 == bytes(range(32))
    assert (desc.min_efuse_blk_rev_full, desc.max_efuse_blk_rev_full) == (3, 199)
    assert (desc.mmu_page_size, desc.spi_flash_mode) == (15, 5)


def test_a_text_that_fills_its_field_has_no_end_mark():
    assert AppDesc.from_bytes(app_desc(version=b"v" * 32)).version == "v" * 32


def test_every_field_of_the_bootloader_descriptor():
    desc = BootloaderDesc.from_bytes(struct.pack("<BxxBI32s24s16x", 80, 9, 0x01020304, b"v6.1", b"Jan  1 2026"))
    assert (desc.magic_byte, desc.secure_version, desc.version) == (80, 9, 0x01020304)
    assert (desc.idf_ver, desc.date_time) == ("v6.1", "Jan  1 2026")


@pytest.mark.parametrize(
    ("kind", "data", "err"),
    [
        (ImageHeader, header(1)[:23], EspErr.ESP_ERR_INVALID_SIZE),
        (AppDesc, app_desc()[:255], EspErr.ESP_ERR_INVALID_SIZE),
        (AppDesc, app_desc(magic=0xABCD5433), EspErr.ESP_ERR_NOT_FOUND),
        (BootloaderDesc, bootloader_desc()[:79], EspErr.ESP_ERR_INVALID_SIZE),
        (BootloaderDesc, bytes(80), EspErr.ESP_ERR_NOT_FOUND),
    ],
)
def test_parts_that_are_none_are_refused_with_the_facts(kind, data, err):
    with pytest.raises(ImageError) as caught:
        kind.from_bytes(data)
    assert caught.value.err == err
    assert set(caught.value.fact) == {"field", "offset", "found", "expected"}


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_the_chip_is_read_from_the_image(chip):
    info = inspect_image(sample(chip))
    assert (info.valid, info.chip, info.kind) == (True, chip, "app"), info.faults
    assert inspect_image(sample(chip), chip=chip).valid
    assert inspect_image(bootloader(chip)).kind == "bootloader"
    assert inspect_image(bootloader(chip)).valid


def test_another_chip_than_asked_for_is_a_fault():
    info = inspect_image(C3, chip="esp32s3")
    assert (info.err, info.chip) == (FAIL, "esp32c3")
    fault = info.faults[0]
    assert (fault.field, fault.offset, fault.found, fault.expected) == ("chip_id", 12, "5 (esp32c3)", "9 (esp32s3)")
    with pytest.raises(ValueError, match="esp8266"):
        inspect_image(C3, chip="esp8266")


def test_an_unknown_chip_is_a_fault_and_the_rest_is_read():
    info = inspect_image(image(chip_id=31))
    assert (info.err, info.chip) == (FAIL, None)
    assert fields(image(chip_id=31)) == ["chip_id"]
    assert info.hash_calculated == info.hash_stored


def test_bootloader_descriptor_and_rules():
    data = bootloader("esp32c3")
    info = inspect_image(data)
    assert info.bootloader_desc.idf_ver == "v6.1"
    assert info.app_desc is None
    # The hash of a bootloader is shown, not judged: esptool rewrites the header when it flashes one.
    corrupt = inspect_image(data[:2] + b"\0" + data[3:])
    assert corrupt.valid
    assert corrupt.to_dict()["hash"] == {"appended": True, "valid": False}
    # Nor needs its first segment room for an app descriptor.
    assert inspect_image(image([(ram("esp32c3"), bootloader_desc())])).valid


@pytest.mark.parametrize(
    "desc",
    [
        b"\x50\x01\x00" + bootloader_desc()[3:],
        bootloader_desc(idf_ver=b""),
        bootloader_desc(idf_ver=b"\x80\x81"),
        bootloader_desc(date_time=b"a\0b"),
    ],
)
def test_one_magic_byte_alone_makes_no_bootloader(desc):
    assert inspect_image(image([(drom("esp32c3"), desc.ljust(256, b"\0"))])).kind == "app"


def test_an_app_without_descriptor_is_sound_where_the_device_takes_it():
    assert inspect_image(image([(drom("esp32"), bytes(512))], chip_id=0)).valid
    assert fields(image([(drom("esp32c6"), bytes(512))], chip_id=13)) == ["app_desc magic_word"]


def test_what_follows_the_image_is_not_its_business():
    for tail in (b"\xff" * 4096, b"\0", C3):
        info = inspect_image(C3 + tail)
        assert (info.valid, info.length) == (True, len(C3))


def test_json_shape():
    info = inspect_image(C3)
    assert json.loads(json.dumps(info.to_dict())) == {
        "valid": True,
        "err": "ESP_OK",
        "kind": "app",
        "chip": "esp32c3",
        "entry": 0x40380000,
        "segments": [
            {"load_addr": 0x3C000020, "length": 256, "offset": 0x20},
            {"load_addr": ram("esp32c3"), "length": 64, "offset": 0x128},
        ],
        "checksum": {"stored": C3[-33], "calculated": C3[-33], "valid": True},
        "hash": {"appended": True, "valid": True},
        "app_desc": {
            "project_name": "proj",
            "version": "1.0.0",
            "idf_ver": "v5.5",
            "secure_version": 0,
            "time": "12:00:00",
            "date": "Jan 01 2025",
            "app_elf_sha256": "00" * 32,
            "min_efuse_blk_rev_full": 0,
            "max_efuse_blk_rev_full": 99,
            "mmu_page_size": 16,
            "spi_flash_mode": 3,
        },
        "bootloader_desc": None,
        "length": len(C3),
        "trailing": 0,
        "signature": [],
        "faults": [],
        "findings": [],
    }
    assert inspect_image(bootloader("esp32c3")).to_dict()["bootloader_desc"] == {
        "version": 1,
        "idf_ver": "v6.1",
        "date_time": "Jan  1 2026 12:00:00",
        "secure_version": 0,
    }
    assert inspect_image(image(hash_appended=0)).to_dict()["hash"] == {"appended": False, "valid": None}


def test_a_first_segment_of_one_word_is_worse_than_invalid_to_older_releases():
    desc = app_desc()
    info = inspect_image(image([(0x3C000020, desc[:4]), (2, desc[12:])]))
    assert [fault.field for fault in info.faults] == ["segment 0 data_len"]
    assert info.app_desc.version == inspect_image(C3).app_desc.version  # by its place it is whole
    (finding,) = info.findings
    assert finding == (
        "segment 0 has 4 bytes: ESP-IDF v4.4.7, v5.0.7, v5.1.4, v5.2.1 and v5.3.0 on, until v6.2.0, built with "
        "anti-rollback, does not refuse it; its verifier reads past that, and the chip resets"
    )
    for length in (0, 8, 252):
        assert inspect_image(image([(0x3C000020, desc[:length])])).findings == []
    assert inspect_image(image([(0x3FC88000, desc[:4])]), kind="bootloader").findings == []


def test_json_of_nothing():
    assert inspect_image(b"").to_dict() == {
        "valid": False,
        "err": "ESP_ERR_IMAGE_INVALID",
        "kind": "unknown",
        "chip": None,
        "entry": None,
        "segments": [],
        "checksum": {"stored": None, "calculated": None, "valid": False},
        "hash": {"appended": False, "valid": None},
        "app_desc": None,
        "bootloader_desc": None,
        "length": 0,
        "trailing": 0,
        "signature": [],
        "faults": [
            {
                "err": "ESP_ERR_IMAGE_INVALID",
                "field": "image header",
                "offset": 0,
                "found": "0 bytes",
                "expected": "24",
            }
        ],
        "findings": [],
    }


# ------------------------------------------------------------------------------------------------------- what is wrong


def test_all_faults_in_the_verifiers_order():
    segments = [(0x3C000024, bytes(8)), (0x42000000, b"abcd")]
    data = image(segments, magic=0xE8, chip_id=5, count=2, checksum=0, digest=bytes(32))
    info = inspect_image(data, chip="esp32c3")
    assert fields(data) == [
        "magic",
        "segment 0 data_len",
        "segment 0 load_addr",
        "segment 1 load_addr",
        "checksum",
        "hash",
    ]
    assert (info.kind, info.err) == ("unknown", INVALID)


def test_sums_are_compared_although_something_before_is_wrong():
    info = inspect_image(image([(0x3C000024, app_desc())]))
    assert [fault.field for fault in info.faults] == ["segment 0 load_addr"]
    assert info.checksum_stored == info.checksum_calculated
    assert info.hash_stored == info.hash_calculated


def test_an_odd_length_is_followed_where_the_bytes_allow():
    info = inspect_image(image([(0x3C000020, app_desc()), (0, b"odd")]))
    assert [fault.field for fault in info.faults] == ["segment 1 data_len"]
    assert info.checksum_stored == info.checksum_calculated


def test_a_length_that_is_none_is_named_once():
    assert fields(image(lengths={0: 0xFFFFFFFF})) == ["segment 0 data_len"]


def test_page_size_of_the_descriptor_decides_congruence():
    def c6(address: int, mmu: int) -> bytes:
        return image([(address, app_desc(mmu=mmu))], chip_id=13)

    assert fields(c6(0x42008020, 15)) == []
    assert fields(c6(0x42008020, 16)) == fields(c6(0x42008020, 0)) == ["segment 0 load_addr"]


def test_more_than_16_segments_are_read_all_the_same():
    data = image([(0x3C000020, app_desc()), *[(0, b"")] * 17])
    assert fields(data) == ["segment_count"]
    assert len(inspect_image(data).segments) == 18


def truncation() -> list[tuple[int, str, int, int, int]]:
    """(bytes left, field, offset, found, expected) at each boundary of ``C3`` and one byte to either side."""
    parts = [
        (0, 24, "image header"),
        (24, 8, "segment 0 header"),
        (32, 256, "segment 0 data"),
        (288, 8, "segment 1 header"),
        (296, 64, "segment 1 data"),
        (360, 8, "checksum"),
        (368, 32, "hash"),
    ]
    assert parts[-1][0] + 32 == len(C3)
    return [
        (start + left, what, start, left, length)
        for start, length, what in parts
        for left in sorted({0, 1, length - 1})
    ]


@pytest.mark.parametrize(("left", "what", "offset", "found", "expected"), truncation())
def test_truncation_names_what_is_missing(left, what, offset, found, expected):
    info = inspect_image(C3[:left])
    fault = info.faults[-1]
    assert (fault.field, fault.offset, fault.found, fault.expected) == (what, offset, f"{found} bytes", str(expected))
    assert fault.err == INVALID
    assert len(info.faults) == 1


def test_truncation_sentence():
    data = image([(0x3C000020, app_desc()), (0, bytes(8)), (ram("esp32c3"), bytes(4096))])
    fault = inspect_image(data[: 0x20 + 256 + 16 + 8 + 100]).faults[0]
    assert str(fault) == "segment 2 data at 0x138: found 100 bytes, expected 4096"


def test_every_truncation_is_a_fault_with_the_segments_that_are_left():
    whole = inspect_image(C3).segments
    for left in range(len(C3)):
        info = inspect_image(C3[:left])
        assert not info.valid
        assert info.segments == whole[: len(info.segments)]
        assert info.length <= len(C3)


# ------------------------------------------------------------------------------------------- one judge, two questions


def agrees(data: bytes, chip: str = "esp32c3") -> bool:
    """Whether inspection and a device of any revision with room enough say the same."""
    info = inspect_image(data, chip=chip)
    if info.faults and info.faults[0].found.endswith(" bytes"):
        return True  # cut short: what the device reads there is not in the file
    offset = Target(chip).bootloader_offset if info.kind == "bootloader" else 0x40000
    verdict = verify_image(flash_with(data, offset), offset, 0x300000, chip=chip)
    if verdict.fault is not None and verdict.fault.field.endswith("_rev_full"):
        return True  # only a device knows its revisions
    if info.valid:
        return (verdict.err, verdict.image_len, verdict.segments) == (OK, info.length, info.segments)
    if verdict.fault is None:
        return False
    first = info.faults[0]
    return (first.field, first.offset + offset, first.err) == (verdict.fault.field, verdict.fault.offset, verdict.err)


@settings(max_examples=5 * settings().max_examples)
@given(st.data())
def test_mutated_images_are_valid_exactly_when_the_device_takes_them(data):
    chip = data.draw(st.sampled_from(["esp32", "esp32c3", "esp32c6", "esp32p4"]))
    kind = data.draw(st.sampled_from([sample, sample, bootloader]))
    bytes_ = bytearray(kind(chip, hash_appended=data.draw(st.sampled_from([0, 1]))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(bytes_) - 1))
        bytes_[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(bytes_)), st.integers(1, len(bytes_))))
    assert agrees(bytes(bytes_[:cut]), chip)


@given(st.binary(max_size=600))
def test_any_bytes_are_answered(data):
    for chip in (None, "esp32c3", "esp32c6"):
        info = inspect_image(data, chip=chip)
        assert not info.valid
        assert info.err == info.faults[0].err
        json.dumps(info.to_dict())
    assert judge(data, offset=0x40000, size=0x1000).err != OK


@given(st.binary(max_size=600), st.integers(0, 255))
def test_any_bytes_behind_a_header_are_answered(data, count):
    body = header(count, chip_id=5, max_rev=0, hash_appended=len(data) % 2) + data
    info = inspect_image(body)
    assert agrees(body)
    assert info.length <= len(body) + 48


def test_every_flipped_byte_of_a_hashed_app_is_found():
    for at in range(len(C3)):
        broken = bytearray(C3)
        broken[at] ^= 0x02
        assert not inspect_image(bytes(broken)).valid, hex(at)


# ------------------------------------------------------------------------------------------------------ image validity


def parts(data: bytes) -> tuple[ImageHeader, AppDesc]:
    return ImageHeader.from_bytes(data), AppDesc.from_bytes(data[0x20:])


MODE_0, MODE_3 = (AppDesc.from_bytes(app_desc(mode=mode)) for mode in (0, 3))

VALIDITY = [
    ("sound", {}, {}, {}, OK, ""),
    ("chip id", {"chip_id": 9, "min_rev": 0xFFFF}, {}, {}, EspErr.ESP_ERR_INVALID_VERSION, "chip_id"),
    ("too old a chip", {"min_rev": 5}, {}, {}, EspErr.ESP_ERR_INVALID_VERSION, "min_chip_rev_full"),
    ("too new a chip", {"max_rev": 3}, {}, {}, EspErr.ESP_ERR_INVALID_VERSION, "max_chip_rev_full"),
    ("the chip as told", {"min_rev": 5}, {}, {"chip_revision": 5}, OK, ""),
    ("other mode", {}, {"mode": 1}, {"running": MODE_3}, EspErr.ESP_ERR_OTA_SPI_MODE_MISMATCH, "spi_flash_mode"),
    ("same mode", {}, {"mode": 3}, {"running": MODE_3}, OK, ""),
    ("new app names no mode", {}, {"mode": 0}, {"running": MODE_3}, OK, ""),
    ("running app names no mode", {}, {"mode": 1}, {"running": MODE_0}, OK, ""),
    (
        "revision before mode",
        {"min_rev": 5},
        {"mode": 1},
        {"running": MODE_3},
        EspErr.ESP_ERR_INVALID_VERSION,
        "min_chip_rev_full",
    ),
]


@pytest.mark.parametrize("case", VALIDITY, ids=lambda case: case[0])
def test_image_validity(case):
    _, of_header, of_desc, how, err, what = case
    head, desc = parts(image([(0x3C000020, app_desc(**of_desc))], **of_header))
    verdict = check_image_validity(head, desc, chip="esp32c3", **how)
    assert verdict.err == err
    assert (verdict.fault.field if verdict.fault else "") == what
    assert verdict.fault is None or verdict.fault.err == err


def test_image_validity_without_descriptor_and_its_lines():
    head, desc = parts(image([(0x3C000020, app_desc(mode=1))]))
    assert check_image_validity(head, None, chip="esp32c3", running=MODE_3).err == OK
    assert check_image_validity(head, desc, chip="esp32c3").err == OK
    (line,) = check_image_validity(head, desc, chip="esp32c3", running=MODE_3).log
    assert (line.level, line.tag) == ("E", "esp_ota_ops")
    assert line.text == "SPI flash mode mismatch: running app has mode 3, new app has mode 1"
    (line,) = check_image_validity(head, desc, chip="esp32s3").log
    assert (line.tag, line.text) == ("boot_comm", "mismatch chip ID, expected 9, found 5")
    with pytest.raises(ValueError):
        check_image_validity(head, desc, chip="esp8266")


def test_values_compare_by_content():
    assert inspect_image(C3) == inspect_image(bytes(C3))
    assert hash(parts(C3)[1]) == hash(parts(C3)[1])
    assert parts(C3)[0] != parts(image(chip_id=9))[0]
    assert repr(inspect_image(C3)) == f"<ImageInfo app, esp32c3, {len(C3)} bytes, ESP_OK>"
    assert repr(parts(C3)[1]) == '<AppDesc "proj" "1.0.0", ESP-IDF "v5.5">'


# -------------------------------------------------------------------------------- what an image is, and what follows it


def old_bootloader(chip: str, **fields: int) -> bytes:
    """A bootloader of the years before it had a descriptor: three segments, all in RAM."""
    segments = [(ram(chip), b"\x01\x02\x03\x04" * 20), (ram(chip) + 0x100, bytes(16)), (ram(chip) + 0x200, bytes(16))]
    return image(segments, chip_id=CHIP_IDS[chip], max_rev=0, **fields)


@pytest.mark.parametrize("chip", sorted(CHIP_IDS))
def test_a_bootloader_without_descriptor_is_known_by_its_segments(chip):
    info = inspect_image(old_bootloader(chip))
    assert (info.kind, info.valid, info.bootloader_desc) == ("bootloader", True, None)
    # One mapped segment, or an app descriptor, and it is an app.
    assert inspect_image(image([(drom(chip), bytes(256))], chip_id=CHIP_IDS[chip])).kind == "app"
    assert inspect_image(image([(ram(chip), app_desc())], chip_id=CHIP_IDS[chip])).kind == "app"
    assert inspect_image(image([(0, bytes(256))], chip_id=CHIP_IDS[chip])).kind == "app"
    assert inspect_image(image([], chip_id=CHIP_IDS[chip])).kind == "app"


def test_whoever_asks_may_say_what_it_is():
    data = old_bootloader("esp32c3", digest=bytes(32))
    assert fields(data) == []
    assert fields(data, kind="bootloader") == []
    assert fields(data, kind="app") == ["segment 0 data_len", "hash"]
    assert inspect_image(C3, kind="bootloader").kind == "bootloader"
    assert inspect_image(b"nothing", kind="app").kind == "unknown"
    with pytest.raises(ValueError, match="kind is 'auto', 'app' or 'bootloader'"):
        inspect_image(C3, kind="rom")  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["rsa3072", "ecdsa256", "ecdsa384"])
def test_a_signature_behind_the_image_is_recognised(scheme):
    first, second = signing.generate_key(scheme), signing.generate_key(scheme)
    signed = signing.sign(C3, first, second)
    info = inspect_image(signed)
    assert (info.valid, info.length, info.trailing) == (True, len(C3), len(signed) - len(C3))
    found = [(block.scheme, block.key_digest, block.faults) for block in info.signature]
    assert found == [(scheme, signing.public_key_digest(key), []) for key in (first, second)]
    assert [row["scheme"] for row in info.to_dict()["signature"]] == [scheme] * 2
    broken = bytearray(signed)
    broken[-0x1000 + 40] ^= 1
    assert [bool(block.faults) for block in inspect_image(bytes(broken)).signature] == [True, False]
    assert inspect_image(signed[:-1]).signature == []


@pytest.mark.parametrize("tail", [b"", b"\xff" * 0x2000, bytes(0x2000), b"x"])
def test_other_bytes_behind_the_image_are_counted_and_no_fault(tail):
    info = inspect_image(C3 + tail)
    assert (info.valid, info.trailing, info.signature) == (True, len(tail), [])
