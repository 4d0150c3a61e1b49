"""A flash opened up: every piece from the first byte to the last, what is in it, and why the bootloader decides so."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stopwatch import quickest

from py_esp_ota._core import Flash, NvsPartition, OtaSelectEntry, Partition, PartitionTable, sha256, write_otadata
from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware, flipped
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.virtual_nodes.dump import look_at
from py_esp_ota.virtual_nodes.factory import flashed
from py_esp_ota.virtual_nodes.flash_look import Wear, look
from py_esp_ota.virtual_nodes.otadata_look import otadata_entries

TABLE = PartitionTable.builtin("two_ota_large")
OTADATA, OTA_0, OTA_1 = (TABLE.find(label=label) for label in ("otadata", "ota_0", "ota_1"))
OLD, NEW = (Firmware("lamp", version, size=0x10000).to_bytes() for version in ("1.0.0", "1.1.0"))


def board(chip="esp32c3", image=None):
    chip, flash = flashed("two_ota_large", image or Firmware("lamp", "1.0.0", chip=chip).to_bytes(), Sdkconfig())
    device = Device("two_ota_large", target=chip)
    device.chip.flash = flash
    return device


def opened(device, **options):
    return look(device.flash, device.chip.target, device.config, **options)


def whole(found):
    """The regions are the flash, without gaps."""
    end = 0
    for region in found.regions:
        assert region.offset == end
        assert region.size > 0
        assert len(region.fill) == -(-(region.offset + region.size) // 4096) - region.offset // 4096
        end += region.size
    assert end == found.size
    return {region.label: region for region in found.regions if region.label}


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3", "esp32c6", "esp32p4"])
def test_a_board_from_the_factory(chip):
    device = board(chip)
    found = opened(device, runs="")
    regions = whole(found)
    assert found.trouble == []
    assert {label: region.note for label, region in regions.items()} == {
        "bootloader": "bootloader, ESP-IDF v6.2",
        "partition table": "5 partitions",
        "nvs": "erased",
        "otadata": "erased",
        "phy_init": "erased",
        "ota_0": "lamp 1.0.0, boots next",
        "ota_1": "erased",
    }
    assert regions["bootloader"].offset == device.chip.target.bootloader_offset
    assert [entry.why for entry in found.otadata] == ["It is erased and names no slot."] * 2
    assert [(slot.label, slot.version, slot.boots_next, slot.faults) for slot in found.slots] == [
        ("ota_0", "1.0.0", True, []),
        ("ota_1", "", False, []),
    ]


def test_after_an_update_the_new_image_runs_and_both_are_told_by_their_hashes():
    device = board(image=OLD)
    device.power_on()
    device.flash.erase(OTA_1.offset, 0x10000)
    device.flash.program(OTA_1.offset, NEW)
    write_otadata(device.flash, OTADATA.offset, 1, OtaSelectEntry(2, OtaImgState.NEW))
    device.power_on()
    wear = Wear(device.flash.operations, device.flash.erase_counts())
    found = opened(device, runs=device.report.partition.label, wear=wear)
    first, second = found.slots
    assert (first.version, first.runs, first.state, first.sha256) == ("1.0.0", False, "VALID", sha256(OLD).hex())
    assert (second.version, second.runs, second.state, second.sha256) == (
        "1.1.0",
        True,
        "PENDING_VERIFY",
        sha256(NEW).hex(),
    )
    assert (first.boots_next, second.boots_next) == (True, False)  # nobody confirmed it: a reset rolls back
    assert [(entry.sequence, entry.slot, entry.state, entry.active) for entry in found.otadata] == [
        (1, "ota_0", "VALID", False),
        (2, "ota_1", "PENDING_VERIFY", True),
    ]
    assert whole(found)["ota_1"].erases == [1] * 16 + [0] * (OTA_1.size // 4096 - 16)
    assert whole(found)["ota_1"].fill[:17] == [8] * 16 + [0]
    assert whole(found)["otadata"].note == "ota_1, PENDING_VERIFY"
    assert whole(found)["ota_1"].note == "lamp 1.1.0, runs"


def test_a_look_changes_nothing_and_needs_no_power():
    device = board()
    device.power_on()
    device.flash.fault = "cut@0"
    before, operations = device.flash.to_bytes(), device.flash.operations
    lit = opened(device)
    device.power_off()
    assert opened(device) == lit
    assert (device.flash.to_bytes(), device.flash.operations, device.flash.fault) == (before, operations, "cut@0")


def test_a_damaged_image_is_named_in_the_words_of_image_info():
    device = board(image=flipped(OLD, 0x4000))
    (slot, _) = opened(device).slots
    assert slot.faults[0].startswith("ESP_ERR_IMAGE_INVALID: ")
    assert slot.sha256 == ""
    assert whole(opened(device))["ota_0"].note == "lamp 1.0.0, damaged: ESP_ERR_IMAGE_INVALID"


def test_what_is_no_image_has_one_fault():
    device = board()
    device.flash.program(OTA_1.offset, b"\x00" * 5000)
    (_, slot) = opened(device).slots
    assert len(slot.faults) == 1
    assert "magic" in slot.faults[0]
    assert whole(opened(device))["ota_1"].note.startswith("no image: ")


def test_values_in_nvs_are_text_of_at_most_64_characters():
    device = board()
    nvs = NvsPartition(device.flash, TABLE.find(label="nvs"))
    handle = nvs.open("words", "readwrite")
    handle.set("count", "u16", 7)
    handle.set("text", "str", "hall\nlamp " + "x" * 100)
    handle.set("name", "blob", b"node-1")
    handle.set("raw", "blob", b"\x00\xff")
    items = {item.key: (item.namespace, item.type, item.value) for item in opened(device).nvs}
    assert items["count"] == ("words", "u16", "7")
    assert items["text"] == ("words", "str", "hall lamp " + "x" * 53 + "…")
    assert items["name"] == ("words", "blob", "node-1")
    assert items["raw"] == ("words", "blob", "00ff")
    assert whole(opened(device))["nvs"].note == "4 values"


def test_an_nvs_that_cannot_be_read_is_a_sentence():
    device = board()
    nvs = TABLE.find(label="nvs")
    device.flash.program(nvs.offset, random.Random(1).randbytes(nvs.size))
    found = opened(device)
    assert found.nvs == []
    assert found.trouble == ["nvs is no NVS that can be read: damaged, or encrypted."]


def test_a_table_without_otadata_has_no_entries():
    device = Device("singleapp", firmware=OLD)
    found = opened(device)
    assert found.otadata == []
    assert [(slot.label, slot.boots_next) for slot in found.slots] == [("factory", True)]


OVERLAPPING = PartitionTable(
    [
        Partition("nvs", 1, 2, 0x9000, 0x6000),
        Partition("otadata", 1, 0, 0xF000, 0x1000),
        Partition("one", 0, 0x10, 0x10000, 0x20000),
        Partition("two", 0, 0x11, 0x20000, 0x20000),
        Partition("far", 0, 0x12, 0x7F0000, 0x20000),
    ]
)


def test_a_table_that_contradicts_itself_is_told_row_by_row():
    device = board()
    device.flash.erase(0x8000, 0x1000)
    device.flash.program(0x8000, OVERLAPPING.to_bytes())
    found = opened(device)
    regions = whole(found)
    assert "one" in regions
    assert "two" not in regions
    assert "two (0x20000 bytes at 0x20000) overlaps what lies before it." in found.trouble
    assert "far (0x20000 bytes at 0x7f0000) ends beyond the flash." in found.trouble
    assert "otadata has less than two sectors: no bootloader reads it." in found.trouble


# ------------------------------------------------------------------------------------------------------------- otadata

BLANK = OtaSelectEntry(0xFFFFFFFF, 0xFFFFFFFF)
SLOTS = ["ota_0", "ota_1"]


@pytest.mark.parametrize(
    ("first", "second", "whys", "active"),
    [
        (BLANK, BLANK, ("It is erased and names no slot.",) * 2, None),
        (
            OtaSelectEntry(1, OtaImgState.VALID),
            BLANK,
            ("It is the only one that counts.", "It is erased and names no slot."),
            0,
        ),
        (
            OtaSelectEntry(3, OtaImgState.VALID),
            OtaSelectEntry(2, OtaImgState.VALID),
            (
                "Its sequence 3 is the greater one; the other has 2.",
                "Its sequence 2 is the smaller one; the other has 3.",
            ),
            0,
        ),
        (
            OtaSelectEntry(3, OtaImgState.ABORTED),
            OtaSelectEntry(2, OtaImgState.VALID),
            ("It is ABORTED: no bootloader goes by such an entry.", "It is the only one that counts."),
            1,
        ),
        (
            OtaSelectEntry(1, OtaImgState.VALID, crc=5),
            OtaSelectEntry(1, OtaImgState.INVALID),
            (
                "Its CRC is 0x00000005 and should be 0x4743989a: it does not count.",
                "It is INVALID: no bootloader goes by such an entry.",
            ),
            None,
        ),
        (
            OtaSelectEntry(4, OtaImgState.VALID),
            OtaSelectEntry(4, OtaImgState.UNDEFINED),
            ("Both have sequence 4, and of two alike the first is taken.",) * 2,
            0,
        ),
    ],
)
def test_each_otadata_entry_has_a_reason(first, second, whys, active):
    entries = otadata_entries((first, second), SLOTS)
    assert tuple(entry.why for entry in entries) == whys
    assert [entry.active for entry in entries] == [active == 0, active == 1]


# --------------------------------------------------------------------------------------------------------------- dumps


def test_a_dump_tells_its_chip_and_what_its_bootloader_would_print():
    for chip in ("esp32", "esp32s3", "esp32c3"):
        device = board(chip)
        device.power_on()
        found = look_at(device.flash.to_bytes())
        report = device.power_on()
        assert (found.chip, found.operations, found.trouble) == (chip, None, [])
        assert found.boot.why == report.why
        assert found.boot.console[-1].endswith("Disabling RNG early entropy source...")
        assert [slot.boots_next for slot in found.slots] == [True, False]
        assert not any(slot.runs for slot in found.slots)


def test_a_dump_without_a_bootloader_is_known_by_its_app():
    device = Device("two_ota_large", firmware=OLD)
    found = look_at(device.flash.to_bytes())
    assert found.chip == "esp32c3"
    assert found.trouble == ["There is no bootloader at 0x0: what is said of one is a model's."]


def test_half_a_dump_says_where_it_ends():
    found = look_at(board().flash.to_bytes()[:0x24000])
    assert found.size == 4 << 20
    assert found.trouble == ["The dump ends at 0x24000 of 0x400000: what lies behind is shown as erased."]
    whole(found)


def test_a_dump_from_the_bootloader_on_is_put_in_its_place():
    found = look_at(board("esp32").flash.to_bytes()[0x1000:])
    assert found.trouble[0] == "The dump does not begin at the flash's first byte: it is taken to begin at 0x1000."
    assert [slot.version for slot in found.slots] == ["1.0.0", ""]


def test_an_encrypted_dump_is_said_to_look_so():
    found = look_at(random.Random(1).randbytes(4 << 20))
    assert found.chip == ""
    assert found.boot is None
    assert "Its bytes look as if they were encrypted." in found.trouble[-1]


@pytest.mark.parametrize(
    ("dump", "said"),
    [
        (b"", "The dump is empty."),
        (b"\xff" * 0x400000, "Every byte of the dump is 0xFF"),
        (OLD, "This begins as an app image and not as a flash"),
        (b"\x00" * 0x200000, "No bootloader and no app tells which chip this was"),
    ],
)
def test_what_is_no_dump_is_said(dump, said):
    found = look_at(dump)
    assert any(line.startswith(said) for line in found.trouble)
    whole(found)


GOOD = board(image=OLD).flash.to_bytes()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 0x40000), st.binary(min_size=1, max_size=64)), max_size=8),
    st.integers(0, len(GOOD)),
)
def test_no_bytes_make_a_look_fail(changes, length):
    dump = bytearray(GOOD)
    for at, data in changes:
        dump[at : at + len(data)] = data
    whole(look_at(bytes(dump[:length])))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0x8000, 0x8100), st.integers(0, 255)), min_size=1, max_size=12))
def test_no_table_makes_a_look_fail(changes):
    dump = bytearray(GOOD)
    for at, value in changes:
        dump[at] = value
    whole(look_at(bytes(dump)))


def test_a_look_at_4_mib_is_quick():
    """Both slots full, both images hashed: 20 ms are the goal, and this machine may be busy."""
    device = board(image=Firmware("lamp", "1.0.0", size=OTA_0.size & ~0xFFF).to_bytes())
    device.flash.program(OTA_1.offset, Firmware("lamp", "1.1.0", size=OTA_1.size & ~0xFFF).to_bytes())
    assert quickest(lambda: opened(device), below=0.04, tries=7) < 0.04


def test_the_fill_of_a_sector_counts_begun_eighths():
    flash = Flash(1 << 20)
    flash.program(0x1000, b"\x00")
    flash.program(0x2000, b"\x00" * 512)
    flash.program(0x3000, b"\x00" * 513)
    flash.program(0x4000, b"\x00" * 4096)
    flash.program(0x5000, b"\xff" * 4096)
    assert list(flash.fill()[:7]) == [0, 1, 1, 2, 8, 0, 0]
    assert len(flash.fill()) == 256
    flash.power_off()
    assert flash.fill()[4] == 8


def test_options_of_the_build_are_gone_by():
    """Without rollback a pending entry is no trial."""
    device = board(image=OLD)
    device.flash.program(OTA_1.offset, NEW)
    write_otadata(device.flash, OTADATA.offset, 0, OtaSelectEntry(2, OtaImgState.PENDING_VERIFY))
    device.config = replace(device.config, bootloader_app_rollback_enable=False)
    assert [slot.boots_next for slot in opened(device).slots] == [False, True]
