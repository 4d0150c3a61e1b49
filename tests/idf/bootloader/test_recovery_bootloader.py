"""A second bootloader for ROM to fall back to, secure versions of bootloaders, and updates of the first one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, slots
from signed_images import digest, key
from test_bootloader import untimed

from py_esp_ota._core import EFuse, Flash, Partition, PartitionTable, Target
from py_esp_ota.chip import Chip
from py_esp_ota.errors import OtaError, PowerLoss
from py_esp_ota.firmware import Firmware, bootloader, image, layout_of, merge
from py_esp_ota.idf import efuse as esp_efuse
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.signing import sign

RECOVERY = 0x3F0000
SECTOR = RECOVERY >> 12
INVALID = "invalid header: 0xffffffff"
FALLBACK = ["PRIMARY - FAIL", "Loading RECOVERY Bootloader..."]
ROWS = PartitionTable(
    [Partition("bootloader", 2, 0, 0x2000, 0x6000), *slots(2), Partition("spare", 2, 1, 0x40000, 0x6000)]
)


def loader(name: str, chip: str = "esp32c5", **options: object) -> bytes:
    return bootloader(chip=chip, idf_ver=name, date_time="", **options)


def chip_of(primary: bytes, recovery: bytes, chip: str = "esp32c5", **fuses: object) -> Chip:
    parts = {0x8000: ROWS.to_bytes(), 0x10000: Firmware("lamp", "1", chip=chip).to_bytes()}
    parts |= {at: data for at, data in ((Target(chip).bootloader_offset, primary), (RECOVERY, recovery)) if data}
    flash = Flash.from_bytes(merge(parts), size=0x400000)
    return Chip(chip, flash=flash, efuse=EFuse(chip, **({"recovery_bootloader_sector": SECTOR} | fuses)))


def broken(image: bytes) -> bytes:
    """One bit of its code is another."""
    return image[:0x200] + bytes([image[0x200] ^ 1]) + image[0x201:]


def started(chip: Chip, config=PLAIN) -> str:
    """Which bootloader says its name; ``-`` when none does."""
    lines = boot(chip, config).log
    names = [line.split("ESP-IDF ")[1].split()[0] for line in lines if "2nd stage bootloader" in line]
    return names[0] if names else "-"


# ----------------------------------------------------------------------------------------------------------- the choice


def test_the_primary_bootloader_starts_and_rom_says_nothing():
    report = boot(chip_of(loader("first"), loader("second")), PLAIN)
    assert report.ok
    assert untimed(report)[0] == "I boot: ESP-IDF first 2nd stage bootloader"


def test_the_recovery_bootloader_starts_where_the_primary_one_is_erased():
    """The lines of ROM that ESP-IDF's documentation shows."""
    chip = chip_of(b"", loader("second", flash_size=0x200000))
    report = boot(chip, PLAIN)
    assert (report.ok, report.resets) == (True, 0)
    assert list(report.log[:5]) == [INVALID, INVALID, INVALID, *FALLBACK]
    assert report.log[5].endswith("boot: ESP-IDF second 2nd stage bootloader")
    assert any("SPI Flash Size : 2MB" in line for line in report.log)
    assert report.why[:2] == (
        "ROM: the primary bootloader at 0x2000 does not start: there is no image",
        "ROM: the recovery bootloader at 0x3f0000 starts",
    )


def test_a_release_that_does_not_know_of_it_reads_the_header_of_the_primary_one():
    chip = chip_of(loader("first", flash_size=0x200000)[:0x100], loader("second"))
    report = boot(chip, replace(PLAIN, idf_version=(5, 5, 0)))
    assert list(report.log[:2]) == FALLBACK
    assert any("SPI Flash Size : 2MB" in line for line in report.log)


FUSES = [
    # chip, primary, fuses, who starts
    ("esp32c5", broken(loader("first")), {}, "second"),
    ("esp32c5", loader("first")[:-0x400], {}, "second"),
    ("esp32c61", broken(loader("first", "esp32c61")), {}, "second"),
    ("esp32c5", broken(loader("first")), {"recovery_bootloader_sector": 0}, "first"),
    ("esp32c5", broken(loader("first")), {"recovery_bootloader_sector": 0xFFF}, "first"),
    ("esp32c5", broken(loader("first")), {"recovery_bootloader_sector": 0x3F1}, "-"),
    ("esp32c5", broken(loader("first")), {"recovery_bootloader_sector": 0xFFE}, "-"),
    ("esp32p4", broken(loader("first", "esp32p4")), {"chip_revision": 300}, "second"),
    ("esp32p4", broken(loader("first", "esp32p4")), {"chip_revision": 200}, "first"),
]


@pytest.mark.parametrize(("chip", "primary", "fuses", "name"), FUSES)
def test_who_starts_when_the_primary_bootloader_is_broken(chip, primary, fuses, name):
    assert started(chip_of(primary, loader("second", chip), chip, **fuses)) == name


def test_a_recovery_bootloader_may_end_with_the_flash():
    """Of a release without a descriptor, whose version is searched for in what is behind its header."""
    layout = layout_of("esp32c5")
    old = image([(layout.dram, bytes(0x100)), (layout.iram, bytes(0x4000))], chip="esp32c5", flash_size=0x400000)
    at = 0x400000 - 0x5000
    flash = chip_of(b"", b"").flash
    flash.erase(at, 0x5000)
    flash.program(at, old)
    chip = Chip("esp32c5", flash=flash, efuse=EFuse("esp32c5", recovery_bootloader_sector=at >> 12))
    assert f"ROM: the recovery bootloader at 0x{at:x} starts" in boot(chip, PLAIN).why


def test_nothing_starts_when_both_are_broken():
    chip = chip_of(broken(loader("first")), b"\0" * 16)
    before = chip.flash.to_bytes()
    report = boot(chip, PLAIN)
    assert (report.ok, report.partition, report.resets) == (False, None, 0)
    assert report.log == (*FALLBACK, *["invalid header: 0x00000000"] * 3)
    assert report.why[-1] == "ROM: no bootloader starts, the chip resets for ever"
    assert chip.flash.to_bytes() == before


def test_with_secure_boot_rom_wants_a_trusted_signature():
    config = replace(
        PLAIN,
        secure_boot=True,
        secure_boot_v2_enabled=True,
        secure_signed_apps_ecdsa_v2_scheme=True,
        secure_boot_ecdsa_key_len_256_bits=True,
    )
    fuses = {"secure_boot_en": True, "key_digests": [digest()]}
    theirs, ours = sign(loader("first"), key(number=1)), sign(loader("second"), key())
    assert started(chip_of(theirs, ours, **fuses), config) == "second"
    assert started(chip_of(theirs, loader("second"), **fuses), config) == "-"
    assert started(chip_of(ours, b"", **fuses), config) == "second"


# -------------------------------------------------------------------------------------------------------- anti-rollback

VERSIONS = [
    # primary, recovery, burnt, enabled, ROM updates, who starts, burnt after
    (0, 0, 0, True, True, "first", 0),
    (1, 0, 0, True, False, "first", 0),
    (1, 0, 0, True, True, "first", 1),
    (1, 0, 1, True, True, "first", 1),
    (0, 1, 1, True, True, "second", 1),
    (0, 2, 1, True, True, "second", 2),
    (0, 0, 1, True, False, "-", 1),
    (0, 0, 1, False, True, "first", 1),
    (3, 0, 1, False, True, "first", 1),
]


@pytest.mark.parametrize(("primary", "recovery", "burnt", "enabled", "updates", "name", "after"), VERSIONS)
def test_a_bootloader_below_the_burnt_version_does_not_start(primary, recovery, burnt, enabled, updates, name, after):
    chip = chip_of(
        loader("first", secure_version=primary),
        loader("second", secure_version=recovery),
        bootloader_secure_version=burnt,
        bootloader_anti_rollback_en=enabled,
        bootloader_anti_rollback_update_in_rom=updates,
    )
    report = boot(chip, PLAIN)
    assert started(chip) == name
    assert chip.efuse.bootloader_secure_version == after
    assert report.efuse_changes == ({"bootloader_secure_version": (burnt, after)} if burnt != after else {})


def test_anti_rollback_alone_leaves_no_way_back():
    fuses = {"recovery_bootloader_sector": 0, "bootloader_secure_version": 1, "bootloader_anti_rollback_en": True}
    chip = chip_of(loader("first"), loader("second"), **fuses)
    report = boot(chip, PLAIN)
    assert (report.ok, report.log) == (False, ())
    assert report.why[0].endswith("its secure version is 0, the eFuse's 1")


# ----------------------------------------------------------------------------------------------------- eFuses, updates


def test_setting_the_recovery_bootloaders_address_is_done_once():
    efuse, log = EFuse("esp32c5"), Log(lambda: 0)

    def asked(offset: int) -> tuple[str, list[str]]:
        log.lines.clear()
        try:
            esp_efuse.set_recovery_bootloader_offset(efuse, PLAIN, offset, log)
        except OtaError as error:
            return error.err.name, [line.split("efuse: ", 1)[1] for line in log.lines]
        return "ESP_OK", [line.split("efuse: ", 1)[1] for line in log.lines]

    unset, done = "Recovery bootloader offset has not been set yet.", "Recovery bootloader offset in eFuse = 0x3f0000"
    beyond = "esp_efuse_set_recovery_bootloader_offset(172): Given address exceeds the allowed range of the efuse field"
    assert asked(0x1000000) == ("ESP_ERR_INVALID_ARG", [unset, beyond])
    assert efuse.recovery_bootloader_sector == 0
    assert asked(RECOVERY) == ("ESP_OK", [unset, done])
    assert asked(RECOVERY) == ("ESP_OK", [done])
    other = "Verification failed. eFuse recovery bootloader offset=0x3f0000, expected=0x3e0000"
    assert asked(0x3E0000) == ("ESP_FAIL", [other])
    efuse.burn_recovery_bootloader_sector(0xFFF)
    assert asked(RECOVERY) == ("ESP_ERR_NOT_ALLOWED", ["Recovery bootloader offset is disabled"])
    efuse = EFuse("esp32c5")
    crooked = "Verification failed. eFuse recovery bootloader offset=0x3f0000, expected=0x3f0004"
    assert asked(RECOVERY + 4) == ("ESP_FAIL", [unset, crooked])
    assert efuse.recovery_bootloader_sector == SECTOR
    efuse = EFuse("esp32p4", chip_revision=200)
    text = "Recovery bootloader eFuse field is not available for this chip revision"
    assert asked(RECOVERY) == ("ESP_ERR_NOT_SUPPORTED", [text])
    efuse = EFuse("esp32c3")
    assert asked(RECOVERY) == ("ESP_ERR_NOT_SUPPORTED", [])


def update_bootloader(ops: OtaOps, image: bytes) -> None:
    """As ESP-IDF's example does it: into a spare partition, then copied home."""
    handle = ops.begin(ops.table.find(label="spare"), 0)
    ops.set_final_partition(handle, ops.table.find(label="bootloader"), finalize_with_copy=True)
    ops.write(handle, image)
    ops.end(handle)


def test_an_update_of_the_bootloader_survives_a_cut_at_every_operation():
    base = chip_of(loader("first"), loader("second"))
    running = base.flash.fork()
    app = ROWS.find(label="ota_0")

    def updated(flash: Flash) -> None:
        chip = Chip("esp32c5", flash=flash, efuse=base.efuse.copy())
        update_bootloader(OtaOps(chip, app, PLAIN, Log(lambda: 0)), loader("newer"))

    running.record(True)
    updated(running)
    names = []
    for cut in range(len(running.journal())):
        flash = base.flash.fork()
        flash.fault = f"cut@{cut}"
        with pytest.raises(PowerLoss):
            updated(flash)
        flash.power_on()
        chip = Chip("esp32c5", flash=flash, efuse=base.efuse.copy())
        assert boot(chip, PLAIN).ok, cut
        names.append(started(chip))
    assert set(names) == {"first", "second", "newer"}
    assert names == sorted(names, key=["first", "second", "newer"].index)
