"""parttool.py's verbs, on a flash in a file: ask for a partition, read, write and erase it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output
from py_esp_ota.cli.inputs import FlashInput, open_flash
from py_esp_ota.cli.output import say
from py_esp_ota.cli.partition_table import read_table
from py_esp_ota.cli.selectors import default_boot, selected, selectors

_F = TypeVar("_F", bound=Callable[..., Any])

_SECTOR = 0x1000
_FACTS: dict[str, Callable[[Partition], str]] = {
    "name": lambda row: row.label,
    "type": lambda row: str(row.type),
    "subtype": lambda row: str(row.subtype),
    "offset": lambda row: f"0x{row.offset:x}",
    "size": lambda row: f"0x{row.size:x}",
    "encrypted": lambda row: str(row.encrypted),
    "readonly": lambda row: str(row.readonly),
}


class _EatsInfo(click.Command):
    """``--info offset size`` is ``--info offset --info size``: parttool.py's option takes all the words behind it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        told: list[str] = []
        eating = False
        for before, word in zip(["", *args], args, strict=False):
            if eating and word in _FACTS and before != "--info":
                told.append("--info")
            told.append(word)
            eating = word == "--info" or (eating and word in _FACTS)
        return super().parse_args(ctx, told)


def _arguments(function: _F) -> _F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--partition-table-file",
            "-f",
            "table_file",
            type=click.Path(path_type=Path),
            help="Take the table from this file, CSV or binary.",
        ),
        click.option("--partition-boot-default", "-d", "boot_default", is_flag=True, help="The one that boots first."),
        selectors,
        click.argument("file", type=click.Path(path_type=Path)),
    ):
        function = option(function)
    return function


def _selected(
    table: PartitionTable, where: Path, name: str | None, kind: str | None, subtype: str | None, boot_default: bool
) -> list[Partition]:
    """What the selectors mean, at least one. Raises ``Unusable`` and ``click.UsageError``."""
    if [name is not None, kind is not None, boot_default].count(True) != 1:
        raise click.UsageError(
            "name a partition: --partition-name, --partition-type with --partition-subtype, or --partition-boot-default"
        )
    first = default_boot(table) if boot_default else None
    found = selected(table, name, kind, subtype) if first is None else [first]
    if not found:
        asked = name if name is not None else kind and f"{kind}/{subtype or '*'}"
        raise Unusable(f"{where}: the table has no partition {asked or 'that boots'}")
    return found


def _opened(
    file: Path,
    table_file: Path | None,
    partition_name: str | None,
    partition_type: str | None,
    partition_subtype: str | None,
    boot_default: bool,
) -> tuple[FlashInput, Partition]:
    """The flash, and the one partition in it that is meant."""
    given = open_flash(file)
    table = given.table() if table_file is None else read_table(table_file)
    part = _selected(table, table_file or file, partition_name, partition_type, partition_subtype, boot_default)[0]
    if part.offset + part.size > given.flash.size:
        raise Unusable(f"{file}: partition {part.label} ends beyond the flash")
    return given, part


def _whole_sectors(part: Partition) -> None:
    if part.offset % _SECTOR or part.size % _SECTOR:
        raise Unusable(f"partition {part.label} is no whole number of sectors of 0x1000 bytes")


@click.command("get-partition-info", cls=_EatsInfo)
@_arguments
@click.option("--info", multiple=True, type=click.Choice(list(_FACTS)), help="What to say.  [default: offset size]")
@click.option("--part-list", "--part_list", "part_list", is_flag=True, help="All of this type, not the first alone.")
def get_partition_info(
    file: Path,
    table_file: Path | None,
    partition_name: str | None,
    partition_type: str | None,
    partition_subtype: str | None,
    boot_default: bool,
    info: tuple[str, ...],
    part_list: bool,
    as_json: bool,
) -> None:
    """Facts of a partition in one line. FILE is a flash, a build directory, or a table alone, CSV or binary."""
    table = read_table(table_file or file)
    rows = _selected(table, table_file or file, partition_name, partition_type, partition_subtype, boot_default)
    rows = rows if part_list else rows[:1]
    wanted = info or ("offset", "size")
    if as_json:
        facts = [{fact: getattr(row, "label" if fact == "name" else fact) for fact in wanted} for row in rows]
        print_json(facts if part_list else facts[0])
    else:
        say(" ".join(_FACTS[fact](row) for row in rows for fact in wanted))


@click.command("read-partition")
@_arguments
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="Where the bytes go.")
def read_partition(file: Path, output: Path, as_json: bool, **selected: Any) -> None:
    """Copy a partition to a file."""
    given, part = _opened(file, **selected)
    write_output(output, given.flash.read(part.offset, part.size))
    _tell(as_json, part, f"Read partition '{part.label}' at offset 0x{part.offset:x} into {output}")


@click.command("write-partition")
@_arguments
@click.option("--input", "-i", "source", type=click.Path(path_type=Path), required=True, help="The bytes.")
@click.option("--ignore-readonly", is_flag=True, help="Write a read-only partition, too.")
def write_partition(file: Path, source: Path, ignore_readonly: bool, as_json: bool, **selected: Any) -> None:
    """Erase a partition and write a file into it. All or nothing."""
    given, part = _opened(file, **selected)
    _whole_sectors(part)
    if part.readonly and not ignore_readonly:
        raise Unusable(f"partition {part.label} is read-only; --ignore-readonly writes it all the same")
    data = read_input(source)
    if len(data) > part.size:
        raise Unusable(f"{source} has {len(data)} bytes, more than the {part.size} of partition {part.label}")
    given.flash.erase(part.offset, part.size)
    given.flash.program(part.offset, data)
    given.save()
    _tell(as_json, part, f"Wrote {len(data)} bytes of {source} to partition '{part.label}' at offset 0x{part.offset:x}")


@click.command("erase-partition")
@_arguments
def erase_partition(file: Path, as_json: bool, **selected: Any) -> None:
    """Erase a partition."""
    given, part = _opened(file, **selected)
    _whole_sectors(part)
    given.flash.erase(part.offset, part.size)
    given.save()
    _tell(as_json, part, f"Erased partition '{part.label}' at offset 0x{part.offset:x}")


def _tell(as_json: bool, part: Partition, line: str) -> None:
    if as_json:
        print_json({"name": part.label, "offset": part.offset, "size": part.size})
    else:
        say(line)
