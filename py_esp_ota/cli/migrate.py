"""``esp-ota migrate``: how a device in the field gets another partition table or bootloader; every power cut of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from py_esp_ota._core import (
    BootTable,
    EFuse,
    FlashCrypt,
    Partition,
    PartitionTable,
    inspect_image,
    read_otadata,
    verify_partition_table,
)
from py_esp_ota.cli.bootloader_file import read_bootloader
from py_esp_ota.cli.complete import TableName, chip_option
from py_esp_ota.cli.dumps import READ_ALL, refuse_illegible
from py_esp_ota.cli.efuse import load
from py_esp_ota.cli.files import (
    Unusable,
    check_writable,
    print_json,
    read_input,
    refuse_used,
    write_folder,
    write_output,
)
from py_esp_ota.cli.inputs import FlashInput, number, open_flash, read_config
from py_esp_ota.cli.migrate_report import report
from py_esp_ota.cli.output import say
from py_esp_ota.cli.release import idf_version_option, in_flash, release
from py_esp_ota.errors import PartitionTableError
from py_esp_ota.field.migrate.facts import Dump, Refusal
from py_esp_ota.field.migrate.layout import chosen
from py_esp_ota.field.migrate.orders import Change
from py_esp_ota.field.migrate.plan import Plan, migrate
from py_esp_ota.field.migrate.snippets import in_c, in_python, names
from py_esp_ota.flash_timing import DEFAULT, FLASH_TIMINGS, flash_timing

_FILE = click.Path(path_type=Path)
_APP, _TABLE_LENGTH, _OTADATA = 0, 0xC00, 0x2000
_MAGIC = b"\xaa\x50"


class _Refused(click.ClickException):
    """A change that cannot be made: one sentence, exit 1."""

    exit_code = 1


@click.command("migrate")
@click.argument("dump", type=_FILE)
@click.option(
    "--table", "table_file", type=TableName(), help="The new partition table: CSV, binary, or a built-in one."
)
@click.option("--bootloader", "bootloader_file", type=_FILE, help="A new bootloader, or one to bridge the change with.")
@click.option(
    "--table-offset",
    "loader_table",
    metavar="OFFSET",
    help="CONFIG_PARTITION_TABLE_OFFSET of that bootloader; where the table lies now if it is not said.",
)
@click.option(
    "--image", "images", type=_FILE, multiple=True, help="An app that the new slots have to hold; repeatable."
)
@chip_option("The chip; auto takes it from the images in the flash, or from the eFuse file.")
@click.option("--efuse", "efuse_file", type=_FILE, help="An eFuse file; a new chip without one.")
@click.option("--config", "config_file", type=_FILE, help="The sdkconfig of what is on the board.")
@idf_version_option("The release of the bootloader; an sdkconfig or the images say it otherwise.")
@click.option(
    "--order",
    type=click.Choice(["in-place", "register", "move", "there-and-back"]),
    help="Take this order, whatever its window.",
)
@click.option(
    "--flash-timing",
    "part",
    type=click.Choice(list(FLASH_TIMINGS)),
    default=DEFAULT.name,
    show_default=True,
    help="The flash chip whose data sheet says how long it takes.",
)
@click.option("--require-safe", is_flag=True, help="Exit 1 when a power cut could leave a device that does not boot.")
@click.option("--output", "-o", type=_FILE, help="Write the flash as it is in the end.")
@click.option("--write-plan", "folder", type=_FILE, help="A new folder: plan.json, migrate.c, migrate.py, their data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    dump: Path,
    table_file: str | None,
    bootloader_file: Path | None,
    loader_table: str | None,
    images: tuple[Path, ...],
    chip: str,
    efuse_file: Path | None,
    config_file: Path | None,
    asked: str | None,
    order: str | None,
    part: str,
    require_safe: bool,
    output: Path | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Plan how the app on a device changes its partition table or bootloader, and cut the power everywhere in it.

    DUMP is the whole flash. Every order that there is gets swept; the one with the smallest brick window is the plan.
    Exit 0 for a plan, 1 for a change that cannot work, or whose window is not 0 with --require-safe, 2 for a file that
    cannot be used. DUMP is not changed.
    """
    if table_file is None and bootloader_file is None:
        raise click.UsageError("nothing to change: say --table, --bootloader, or both")
    if loader_table is not None and bootloader_file is None:
        raise click.UsageError("--table-offset is of a bootloader: say --bootloader, too")
    if output is not None:
        check_writable(output)
    if folder is not None:
        refuse_used(folder)
    device = _device(dump, chip, efuse_file, config_file, asked)
    at = None if loader_table is None else number(loader_table, "--table-offset")
    change = _change(device, table_file, bootloader_file, at)
    fits = tuple((str(path), read_input(path)) for path in images)
    try:
        plan = migrate(device, change, flash_timing(part), images=fits, only=order or "")
    except Refusal as refusal:
        raise _Refused(str(refusal)) from refusal
    if output is not None:
        write_output(output, plan.chosen.result.to_bytes())
    if folder is not None:
        _write_plan(folder, dump, efuse_file, plan)
    if as_json:
        print_json(plan.to_dict())
    else:
        say(*report(str(dump), plan))
    sys.exit(1 if require_safe and not plan.chosen.safe else 0)


def _write_plan(folder: Path, dump: Path, efuse_file: Path | None, plan: Plan) -> None:
    facts, change, order = plan.facts, plan.change, plan.chosen.order
    parts = {f"{name}.bin": data for data, name in names(facts, change).items()}
    parts["plan.json"] = (json.dumps(plan.to_dict(), indent=2) + "\n").encode()
    parts["migrate.c"] = in_c(facts, change, order).encode()
    parts["migrate.py"] = in_python(
        facts, change, order, dump.name, start=facts.dump.start, fuses=efuse_file.name if efuse_file else ""
    ).encode()
    write_folder(folder, parts)


# --------------------------------------------------------------------------------------------------------------- inputs


def _device(dump: Path, chip: str, efuse_file: Path | None, config_file: Path | None, asked: str | None) -> Dump:
    """What the files say of the device. Raises ``Unusable``."""
    efuse = None if efuse_file is None else load(efuse_file)
    given = open_flash(dump, chip=chip, config=None if config_file is None else read_config(config_file))
    given.refuse_lone_app()
    if efuse is not None:
        given.flash.encryption = FlashCrypt.of_efuse(efuse)
    refuse_illegible(given)
    target = given.target(efuse.chip if chip == "auto" and efuse is not None else chip)
    if efuse is not None and efuse.chip != target.name:
        raise Unusable(f"{efuse_file} holds the eFuses of {efuse.chip}, and {dump} is for {target.name}")
    try:
        given.config.check()
    except ValueError as error:
        raise Unusable(str(error)) from error
    meant = release(asked, given.said, in_flash(given, target))
    _refuse_half(given)
    return Dump(
        flash=given.flash,
        target=target,
        efuse=EFuse(target.name) if efuse is None else efuse,
        config=replace(given.config, idf_version=meant.version),
        start=given.start,
    )


def _refuse_half(given: FlashInput) -> None:
    """Raises ``Unusable`` for a file that ends before the app that shall boot does: what is behind is not known."""
    flash, end = given.flash, given.start + given.length
    if not given.merged or end >= flash.size:
        return
    rows = verify_partition_table(flash.mmap(given.config.partition_table_offset, _TABLE_LENGTH), 0xFFFFFFFF).rows
    where = BootTable(rows).ota_info
    within = where is not None and where.offset + _OTADATA <= flash.size
    first = chosen(rows, read_otadata(flash, where.offset) if where is not None and within else None)
    if first is not None and first.offset >= end:
        raise Unusable(f"{given.path} ends at 0x{end:x}, before {first.label}, which shall boot; {READ_ALL}")
    cut = next((row for row in rows if row.offset < end < row.offset + row.size and _broken(given, row)), None)
    if cut is not None:
        raise Unusable(f"{given.path} ends at 0x{end:x}, inside {cut.label}, and the app in it is cut off; {READ_ALL}")


def _broken(given: FlashInput, row: Partition) -> bool:
    """Whether it begins with an app that is not whole."""
    if row.type != _APP:
        return False
    info = inspect_image(given.flash.mmap(row.offset, min(row.size, given.flash.size - row.offset)))
    return info.kind != "unknown" and not info.valid


def _change(device: Dump, table_file: str | None, bootloader_file: Path | None, at: int | None) -> Change:
    """The new table and the new bootloader. Raises ``Unusable``."""
    here = device.config.partition_table_offset
    loader = b""
    if bootloader_file is not None:
        loader, target = read_bootloader(bootloader_file)
        if target.name != device.target.name:
            raise Unusable(f"{bootloader_file} is for {target.name}, and the dump for {device.target.name}")
    old = device.flash.mmap(here, _TABLE_LENGTH)
    if table_file is None:
        rows = tuple(verify_partition_table(old, device.flash.size).rows)
        if at is not None and at != here:
            return Change(rows, old, loader, at)
        return Change(rows, old, loader, here)
    table = _new_table(table_file, here if at is None else min(at, here))
    return Change(tuple(table), table.to_bytes(), loader, here if at is None else at)


def _new_table(text: str, offset: int) -> PartitionTable:
    if text in PartitionTable.builtin_names():
        return PartitionTable.builtin(text)
    data = read_input(Path(text), limit=1 << 20, what="a partition table")
    try:
        if data[:2] == _MAGIC:
            return PartitionTable.from_bytes(data[:_TABLE_LENGTH])
        return PartitionTable.from_csv(data.decode("utf-8-sig"), table_offset=offset)
    except UnicodeDecodeError as error:
        raise Unusable(f"{text} is neither a CSV nor a binary table") from error
    except PartitionTableError as error:
        raise Unusable(f"{text}: {error}") from error
