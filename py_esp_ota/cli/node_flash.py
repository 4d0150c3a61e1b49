"""The flash of ``esp-ota node``: a file that goes on where it ended, or is made new of a firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.cli.files import Unusable, check_writable, read_app
from py_esp_ota.cli.inputs import ConfigFile, FlashInput, open_flash
from py_esp_ota.cli.partition_table import read_table
from py_esp_ota.cli.release import in_app, in_flash, release
from py_esp_ota.device import Device
from py_esp_ota.rainmaker import client_data
from py_esp_ota.sdkconfig import Sdkconfig

#: RainMaker's examples (examples/switch/partitions.csv), as far as this node uses it.
_TABLE = """\
nvs,      data, nvs,  0x10000,  0x6000
otadata,  data, ota,  0x16000,  0x2000
phy_init, data, phy,  0x18000,  0x1000
ota_0,    app,  ota_0, 0x20000, 1600K
ota_1,    app,  ota_1, 0x1b0000, 1600K
fctry,    data, nvs,  0x340000, 0x6000
"""
#: What burns eFuses, which are no part of a flash file.
_BURNS = ("bootloader_app_anti_rollback", "secure_flash_enc_enabled", "secure_boot", "nvs_encryption")


@dataclass(frozen=True, slots=True)
class NodeFlash:
    """Which file, what lies in it, for which chip, and how its bootloader and app were built."""

    path: Path
    flash: Flash
    table: PartitionTable
    chip: str
    config: Sdkconfig
    is_new: bool


def place_of(named: Path, firmware: Path | None) -> tuple[Path, Path | None]:
    """The flash file, and the app of a new one. An app in its place has a flash beside it, ``NAME.flash``.

    Raises ``Unusable`` with one sentence.
    """
    if named.is_dir():
        raise Unusable(
            f"{named} is a directory; merge it into a flash file first: esp-ota merge-bin -o flash.bin {named}"
        )
    if named.is_file() and _is_app(named):
        if firmware is not None:
            raise click.UsageError(f"{named} is an app, and --firmware names another one; name a flash file")
        return named.with_suffix(".flash"), named
    if not named.exists() and firmware is None:
        raise Unusable(f"{named} is not there; --firmware APP.bin makes one that runs it")
    return named, firmware


def node_flash(
    path: Path, firmware: Path | None, table_name: str | None, chip: str, said: ConfigFile | None, asked: str | None
) -> NodeFlash:
    """The flash in a file, or a new one. Raises ``Unusable`` with one sentence."""
    if said is not None and (burns := [name for name in _BURNS if getattr(said.config, name)]):
        raise Unusable(f"{said.path}: CONFIG_{burns[0].upper()} burns eFuses, which this node cannot keep")
    if path.exists() or firmware is None:
        if table_name is not None:
            raise click.UsageError(
                f"{path} is there already, with a partition table of its own; leave --partitions out"
            )
        return _there(path, chip, said, asked)
    return _made(path, firmware, table_name, chip, said, asked)


def _is_app(path: Path) -> bool:
    given = open_flash(path)
    try:
        given.refuse_lone_app()
    except Unusable:
        return True
    return False


def _there(path: Path, chip: str, said: ConfigFile | None, asked: str | None) -> NodeFlash:
    given = open_flash(path, chip=chip, config=said)
    if given.start:
        raise Unusable(
            f"{path} begins at 0x{given.start:x} of the flash; make it whole first: "
            f"esp-ota merge-bin -o whole.bin 0x{given.start:x} {path}"
        )
    check_writable(path)
    target = given.target(chip)
    meant = release(asked, given.said, in_flash(given, target))
    config = replace(given.config, idf_version=meant.version)
    return NodeFlash(path, given.flash, given.table(), target.name, config, is_new=False)


def _made(
    path: Path, firmware: Path, table_name: str | None, chip: str, said: ConfigFile | None, asked: str | None
) -> NodeFlash:
    image = read_app(firmware)
    meant = release(asked, said, in_app(image, str(firmware)))
    config = replace(said.config if said else Sdkconfig(), idf_version=meant.version)
    builtin = table_name in PartitionTable.builtin_names()
    if table_name is None:
        table = PartitionTable.from_csv(_TABLE)
    else:
        table = PartitionTable.builtin(table_name) if builtin else read_table(Path(table_name))
    try:
        device = Device(table, firmware=image, target=None if chip == "auto" else chip, config=config)
    except ValueError as error:
        raise Unusable(f"{firmware}: {error}") from error
    made = FlashInput(path, device.flash, config, 0, 0, said=said)
    return NodeFlash(path, device.flash, table, made.target(chip).name, config, is_new=True)


def provisioned(found: NodeFlash, values: Mapping[str, bytes]) -> bool:
    """Write credentials into the factory partition if there is one and it is blank; whether that was done.

    Raises ``EspError`` when they do not fit.
    """
    row = found.table.find(type=0x01, subtype=0x02, label=found.config.esp_rmaker_factory_partition_name)
    if not values or row is None or found.flash.read(row.offset, row.size).strip(b"\xff"):
        return False
    made = client_data.factory_partition(values, row.size, found.config.esp_rmaker_factory_namespace)
    found.flash.program(row.offset, made)
    return True
