"""Boards that are lost, each for another reason, made on real model devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from py_esp_ota._core import EFuse, OtaSelectEntry, Partition, PartitionTable, Target
from py_esp_ota.device import Device
from py_esp_ota.errors import PowerLoss
from py_esp_ota.firmware import Firmware, app_desc, image, layout_of
from py_esp_ota.hunt.rescue import Wreck, rescues, try_rescue
from py_esp_ota.sdkconfig import Sdkconfig

SECTOR = 0x1000
PAIR = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,,0x2000\nota_0,app,ota_0,0x10000,64K\nota_1,app,ota_1,,64K\n"
)
SINGLE_SLOT = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,,0x2000\nfactory,app,factory,0x10000,64K\nota_0,app,ota_0,,64K\n"
)
NO_OTADATA = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\nfactory,app,factory,0x10000,64K\nota_0,app,ota_0,,64K\nota_1,app,ota_1,,64K\n"
)
#: ESP-IDF's tool would not make it.
SMALL_OTADATA = PartitionTable(
    [Partition("otadata", 1, 0, 0xD000, 0x1000), *(row for row in PAIR if row.label != "otadata")]
)
NO_SLOTS = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,,0x2000\nfactory,app,factory,0x10000,64K\n"
)
OTADATA, OTA_0, OTA_1 = 0xD000, 0x10000, 0x20000
VALID, ABORTED = 2, 4


def app(version, **options):
    return Firmware("lamp", version, **options).to_bytes()


OLD, NEW = app("1.0.0"), app("1.1.0")


def board(partitions=PAIR, *, firmware=OLD, boot=True, **options):
    device = Device(partitions, firmware=firmware, **options)
    if boot:
        device.power_on()
    return device


def wreck(device, goal=NEW, *, offers=None):
    return Wreck.of(device, goal, [goal] if offers is None else offers)


def _no_bootloader():
    fuses = EFuse("esp32c5", bootloader_anti_rollback_en=True)
    return wreck(board(firmware=app("1.0.0", chip="esp32c5"), efuse=fuses), app("1.1.0", chip="esp32c5"))


def _reads_no_version():
    config = Sdkconfig(bootloader_app_anti_rollback=True, bootloader_skip_validate_always=True)
    goal = app("1.1.0", secure_version=1)
    device = board(config=config, efuse=EFuse("esp32c3", secure_version=1), firmware=app("1.0.0", secure_version=1))
    return wreck(device, goal)


def _half_encrypted():
    device = board(boot=False, config=Sdkconfig(secure_flash_enc_enabled=True))
    device.flash.fault = "cut@60"
    with suppress(PowerLoss):
        device.power_on()
    return wreck(device)


def _erased(*places, **options):
    device = board(**options)
    for place in places:
        device.flash.erase(place, SECTOR)
    return wreck(device)


def _guarded(*, burnt, damaged):
    """The old app in ota_0, a newer one in ota_1 that is chosen, both confirmed."""
    goal = app("1.1.0", secure_version=1)
    config = Sdkconfig(bootloader_app_anti_rollback=True)
    device = board(boot=False, config=config, efuse=EFuse("esp32c3", secure_version=burnt))
    device.flash.program(OTA_1, goal)
    for index in range(2):
        device.flash.program(OTADATA + index * SECTOR, OtaSelectEntry(index + 1, VALID).to_bytes())
    device.flash.erase(OTA_1 + damaged, SECTOR)
    return wreck(device, goal)


def _divides_by_zero():
    config = Sdkconfig(bootloader_app_anti_rollback=True)
    device = board(NO_SLOTS, firmware=app("1.0.0", chip="esp32"), config=config, boot=False)
    device.flash.program(OTADATA, OtaSelectEntry(1, VALID).to_bytes())
    return wreck(device, app("1.1.0", chip="esp32"))


def _one_slot():
    first = wreck(board(SINGLE_SLOT))
    offered = next(rescue for rescue in rescues(first) if rescue.offer == NEW)
    updated = try_rescue(first, first.flash, first.efuse, offered)
    assert updated.reached
    third = app("1.2.0")
    return replace(first, flash=updated.flash, efuse=updated.efuse, goal=third, offers=(third,))


def _over_the_bootloader():
    """Sound to the app that takes it; its data would go where the bootloader stands that loads it."""
    layout, (loader, _) = layout_of("esp32c3"), Target("esp32c3").loader_text
    desc = app_desc("lamp", "1.1.0") + bytes(SECTOR)
    goal = image([(layout.drom + 0x20, desc), (loader, bytes(64))], chip="esp32c3")
    return wreck(board(), goal)


WRECKS: Mapping[str, Callable[[], Wreck]] = {
    "no-bootloader": _no_bootloader,
    "reads-no-version": _reads_no_version,
    "half-encrypted": _half_encrypted,
    "no-table": lambda: _erased(0x8000),
    "otadata-too-small": lambda: wreck(board(SMALL_OTADATA)),
    "divides-by-zero": _divides_by_zero,
    "test-pin": lambda: wreck(board(config=Sdkconfig(bootloader_app_test=True, bootloader_app_test_pin_high=True))),
    "fuse-before-look": lambda: _guarded(burnt=0, damaged=SECTOR),
    "all-too-old": lambda: _guarded(burnt=1, damaged=SECTOR),
    "no-app": lambda: _erased(OTA_0),
    "reset-pin": lambda: wreck(
        board(
            "two_ota",
            config=Sdkconfig(
                bootloader_factory_reset=True,
                bootloader_factory_reset_pin_high=True,
                bootloader_ota_data_erase=True,
            ),
        )
    ),
    "not-offered": lambda: wreck(board(), offers=[]),
    "one-slot": _one_slot,
    "no-slot": lambda: wreck(board("singleapp")),
    "no-otadata": lambda: wreck(board(NO_OTADATA)),
    "too-large": lambda: wreck(board(), app("1.1.0", size=0x12000)),
    "other-project": lambda: wreck(board(), Firmware("fan", "1.1.0").to_bytes()),
    "same-version": lambda: wreck(board(), app("1.0.0", payload=b"another build")),
    "too-old": lambda: wreck(
        board(firmware=app("1.0.0", secure_version=2), config=Sdkconfig(bootloader_app_anti_rollback=True))
    ),
    "other-chip": lambda: wreck(board(), app("1.1.0", chip="esp32s3")),
    "other-revision": lambda: wreck(board(), app("1.1.0", min_chip_rev_full=199)),
    "unsound": lambda: wreck(board(), NEW[:-40] + b"\1" + NEW[-39:]),
    "refused-at-boot": _over_the_bootloader,
    "unfit": lambda: replace(wreck(board()), ota_diag=lambda running, _state: running.version != "1.1.0"),
    "panics-confirmed": lambda: replace(wreck(board()), crashes=_new_panics),
    "panics-unasked": lambda: replace(
        wreck(board(config=Sdkconfig(bootloader_app_rollback_enable=False))), crashes=_new_panics
    ),
    "panics-named-twice": lambda: _rejected((1, 1)),
    "panics-unnamed": lambda: _rejected((1,)),
    "panics-given-up": lambda: _rejected((3, 2)),
}


def _rejected(numbers):
    """An app in ota_0 that panics at once, with otadata that has given up what these numbers name."""
    device = board(firmware=NEW, boot=False, config=Sdkconfig(idf_version=(5, 5, 0)))
    for index, number in enumerate(numbers):
        device.flash.program(OTADATA + index * SECTOR, OtaSelectEntry(number, ABORTED).to_bytes())
    return replace(wreck(device, app("1.2.0")), crashes=lambda running: 0.0 if running.version == "1.1.0" else None)


def _new_panics(running):
    return 5.0 if running.version == "1.1.0" else None
