"""The forge against recorded hashes, against the judge, and against misuse."""

import hashlib
import struct

import pytest

from py_esp_ota import firmware
from py_esp_ota._core import AppDesc, BootloaderDesc, Flash, OtaSelectEntry, Target, inspect_image, verify_image
from py_esp_ota.errors import EspErr
from py_esp_ota.firmware import Firmware

DESC = firmware.app_desc("proj", "1.0.0", time="12:00:00", date="Jan 01 2025", idf_ver="v5.5")
ONE = [(0x3C000020, DESC)]
FOUR = [
    *ONE,
    (0x3FC80000, bytes(range(256))),
    (0, bytes(0xFDE8)),
    (0x42010020, b"\x13\0\0\0" * 64),
]

# segments, hash appended, length, SHA-256 of the whole file: computed by other tools
VECTORS = {
    "one segment": (ONE, True, 0x150, "5d1fd03c8a02980531ff6c8441f22e0fd28c067540fb2dddec3e84fa74a2fbbe"),
    "no segment": ([], True, 0x40, "2f122cbba8968bf92c81a1e50ac4681ba29775464c5f70b447edd1316062bfbe"),
    "no segment, no hash": ([], False, 0x20, "91aa0771d9af32f700a097d74d687f21558e3746e526ab95c0724282c25128f6"),
    "four segments": (FOUR, True, 0x10150, "bc61002cdef1324482cbb49cfeb2733a1c74dab90a4f9b536566221e5716d250"),
}


def forged(segments: list[tuple[int, bytes]], hash_appended: bool) -> bytes:
    return firmware.image(
        segments, entry_addr=0x40380000, spi_speed=0, min_chip_rev_full=0, hash_appended=hash_appended
    )


def verify(image: bytes, chip: str, *, build: str = "bootloader", mode: str = "load", at: int = 0x10000) -> EspErr:
    flash = Flash.from_bytes(firmware.merge({at: image}), size=0x400000)
    return verify_image(flash, at, 0x200000, chip=chip, build=build, mode=mode).err


def test_the_descriptor_has_the_recorded_bytes():
    assert hashlib.sha256(DESC).hexdigest() == "b795b853c7f52de6f4b3c70dd9cfaa06f4340f7f07792a5c29dc3daf5783fe20"


@pytest.mark.parametrize("name", VECTORS)
def test_images_have_the_recorded_bytes(name):
    segments, hash_appended, length, sha256 = VECTORS[name]
    image = forged(segments, hash_appended)
    assert len(image) == length
    assert hashlib.sha256(image).hexdigest() == sha256


def test_the_smallest_image_byte_by_byte():
    assert forged([], False).hex() == "e900022000003840ee0000000500000000c700000000000000000000000000ef"


@pytest.mark.parametrize("name", VECTORS)
def test_the_judge_accepts_the_vectors(name):
    segments, hash_appended, *_ = VECTORS[name]
    assert verify(forged(segments, hash_appended), "esp32c3", build="app", mode="verify") == EspErr.ESP_OK


def test_there_is_a_forge_for_every_target():
    assert sorted(Target.names()) == sorted(firmware._CHIPS)


@pytest.mark.parametrize("chip", Target.names())
@pytest.mark.parametrize(("build", "mode"), [("app", "verify"), ("bootloader", "load")])
def test_a_release_boots_on_its_chip(chip, build, mode):
    assert verify(Firmware("lamp", "1.0.0", chip=chip).to_bytes(), chip, build=build, mode=mode) == EspErr.ESP_OK


@pytest.mark.parametrize("chip", Target.names())
def test_a_release_has_two_mapped_segments_in_different_pages(chip):
    info = inspect_image(
        Firmware("lamp", "1.0.0", chip=chip, payload=bytes(0x18000), size=0x20000).to_bytes(), chip=chip
    )
    first, second = [segment for segment in info.segments if segment.kind == "map"]
    assert info.valid
    assert (first.load_addr + first.length - 1) >> 16 != second.load_addr >> 16


@pytest.mark.parametrize("chip", Target.names())
def test_a_bootloader_is_accepted_where_its_rom_looks(chip):
    image = firmware.bootloader(chip=chip, idf_ver="v5.4", date_time="now")
    target = Target(chip)
    assert verify(image, chip, mode="verify", at=target.bootloader_offset) == EspErr.ESP_OK
    desc = BootloaderDesc.from_bytes(image[0x20:])
    assert (desc.idf_ver, desc.date_time, desc.version) == ("v5.4", "now", 1)
    assert inspect_image(image).kind == "bootloader"


def test_a_release_says_who_it_is():
    release = Firmware("lamp", "1.2.3", secure_version=7, idf_ver="v5.3", time="01:02:03", date="Feb  3 2026")
    desc = AppDesc.from_bytes(release.to_bytes()[0x20:])
    assert (desc.project_name, desc.version, desc.secure_version) == ("lamp", "1.2.3", 7)
    assert (desc.idf_ver, desc.time, desc.date, desc.mmu_page_size) == ("v5.3", "01:02:03", "Feb  3 2026", 16)


@pytest.mark.parametrize("size", [0x200, 0x1000, 0x4010, 0xFFFF0, 0x100000])
@pytest.mark.parametrize("hash_appended", [True, False])
def test_size_is_the_length_of_the_file(size, hash_appended):
    image = Firmware("lamp", "1.0.0", size=size, hash_appended=hash_appended).to_bytes()
    assert len(image) == size
    assert inspect_image(image).valid
    assert inspect_image(image).length == size


def test_the_same_release_is_the_same_bytes():
    assert Firmware("lamp", "1.0.0").to_bytes() == Firmware("lamp", "1.0.0").to_bytes()


def test_releases_differ_all_over():
    one, other = Firmware("lamp", "1.0.0").to_bytes(), Firmware("lamp", "1.0.1").to_bytes()
    assert sum(a != b for a, b in zip(one, other, strict=True)) > len(one) * 0.9
    assert Firmware("lamp", "1.0.0", payload=b"x").to_bytes() != one


def test_revisions_are_written_where_the_chip_looks():
    header = struct.unpack_from("<BHH", Firmware("a", "1", min_chip_rev_full=4, max_chip_rev_full=250).to_bytes(), 14)
    assert header == (4, 4, 250)
    assert struct.unpack_from("<BHH", Firmware("a", "1", chip="esp32", min_chip_rev_full=301).to_bytes(), 14)[0] == 3
    assert struct.unpack_from("<BHH", Firmware("a", "1", chip="esp32s3").to_bytes(), 14) == (0, 0, 99)


def test_patched_renames_a_release_and_keeps_it_whole():
    image = Firmware("lamp", "1.0.0").to_bytes()
    renamed = firmware.patched(image, version="9.9.9", project_name="toaster", secure_version=3)
    desc = AppDesc.from_bytes(renamed[0x20:])
    assert (desc.version, desc.project_name, desc.secure_version) == ("9.9.9", "toaster", 3)
    assert len(renamed) == len(image)
    assert inspect_image(renamed).valid
    assert renamed[0x70:0x200] == image[0x70:0x200]


def test_patched_with_nothing_to_do_changes_nothing():
    image = Firmware("lamp", "1.0.0").to_bytes() + b"signature"
    assert firmware.patched(image) == image
    assert firmware.patched(image, version="2")[-9:] == b"signature"


def test_patched_works_without_an_appended_hash():
    image = firmware.patched(Firmware("lamp", "1.0.0", hash_appended=False).to_bytes(), version="2")
    assert inspect_image(image).valid


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (b"", "0 bytes are less than its 24-byte header"),
        (b"\xff" * 64, "the first byte is 0xff, expected 0xe9"),
        (forged([], True), "the first segment is shorter than 256 bytes"),
        (forged([(0x3C000020, bytes(256))], True), "the word at 0x20 is 0x00000000, expected 0xabcd5432"),
        (firmware.bootloader(), "the first segment is shorter than 256 bytes"),
        (forged(FOUR, True)[:24], "segment 0 should start at 0x18"),
        (forged(FOUR, True)[:0x1000], "segment 2 should end at 0x10018"),
        (forged(FOUR, True)[:-1], "it should be 65872 bytes long and has 65871"),
    ],
)
def test_patched_refuses_what_is_no_app(image, sentence):
    with pytest.raises(ValueError, match=sentence):
        firmware.patched(image, version="2")


def test_patched_refuses_a_version_that_does_not_fit():
    with pytest.raises(ValueError, match="version is 32 bytes long; the descriptor keeps 31"):
        firmware.patched(Firmware("lamp", "1.0.0").to_bytes(), version="1" * 32)


def test_resealed_mends_checksum_and_hash():
    image = bytearray(Firmware("lamp", "1.0.0").to_bytes())
    image[0x300] ^= 0xFF
    assert not inspect_image(bytes(image)).valid
    assert inspect_image(firmware.resealed(bytes(image))).valid


def test_a_segment_must_be_whole_words():
    with pytest.raises(ValueError, match="segment 1 is 3 bytes long"):
        firmware.image([*ONE, (0x3FC80000, b"abc")])


@pytest.mark.parametrize(("size", "payload"), [(0x4001, b""), (0x100, b""), (0x400, bytes(0x400))])
def test_an_impossible_size_is_refused(size, payload):
    with pytest.raises(ValueError, match=f"size is {size} bytes; it must be a multiple of 16 and at least"):
        Firmware("lamp", "1.0.0", size=size, payload=payload).to_bytes()


def test_the_least_size_named_is_possible():
    with pytest.raises(ValueError, match="at least") as refused:
        Firmware("lamp", "1.0.0", size=16).to_bytes()
    least = int(str(refused.value).rsplit(maxsplit=1)[-1])
    assert inspect_image(Firmware("lamp", "1.0.0", size=least).to_bytes()).valid
    with pytest.raises(ValueError, match="at least"):
        Firmware("lamp", "1.0.0", size=least - 16).to_bytes()


def test_an_unknown_chip_is_refused():
    with pytest.raises(ValueError, match="unknown chip 'esp8266'"):
        Firmware("lamp", "1.0.0", chip="esp8266").to_bytes()


def test_merge_places_parts_and_leaves_the_rest_erased():
    assert firmware.merge({4: b"cd", 0: b"ab"}) == b"ab\xff\xffcd"
    assert firmware.merge({2: b"a"}, size=5) == b"\xff\xffa\xff\xff"
    assert firmware.merge({}) == b""


def test_merge_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="the part at 0x1 overlaps the one before it, which ends at 0x2"):
        firmware.merge({0: b"ab", 1: b"c"})
    with pytest.raises(ValueError, match="the parts end at 0x3, beyond the flash size 0x2"):
        firmware.merge({0: b"abc"}, size=2)


@pytest.mark.parametrize(
    ("seq", "state", "data"),
    [
        (1, 2, "01000000" + "ff" * 20 + "02000000" + "9a984347"),
        (2, 0, "02000000" + "ff" * 20 + "00000000" + "7437f655"),
        (3, 3, "03000000" + "ff" * 20 + "03000000" + "11504aed"),
        (1, 0xFFFFFFFF, "01000000" + "ff" * 24 + "9a984347"),
    ],
)
def test_otadata_entries_have_the_recorded_bytes(seq, state, data):
    assert firmware.ota_select_entry(seq, state).hex() == data
    assert OtaSelectEntry.from_bytes(bytes.fromhex(data)).valid == (state != 3)


def test_an_otadata_entry_can_be_forged_wrong():
    forged_entry = OtaSelectEntry.from_bytes(firmware.ota_select_entry(1, 2, seq_label=b"a" * 20, crc=5))
    assert (forged_entry.crc, forged_entry.crc_ok, forged_entry.seq_label) == (5, False, b"a" * 20)
