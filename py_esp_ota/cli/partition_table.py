"""``esp-ota partition-table``: CSV to binary and back, with gen_esp32part.py's rules."""

from __future__ import annotations

import codecs
from pathlib import Path

import click

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output
from py_esp_ota.errors import PartitionTableError

_LARGEST = 1 << 20
_BINARY_MAGIC = b"\xaa\x50"
# In gen_esp32part.py's order: the first mark that fits wins.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
)


@click.command("partition-table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--offset", "table_offset", default="0x8000", help="Where the table lies in flash.", show_default=True)
@click.option("--primary-bootloader-offset", default=None, help="For rows of type bootloader/primary.")
@click.option("--recovery-bootloader-offset", default=None, help="For rows of type bootloader/recovery.")
@click.option("--flash-size", default=None, help="Refuse a table that needs more, for example 4MB.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the other form here: CSV becomes binary.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(
    file: Path,
    table_offset: str,
    primary_bootloader_offset: str | None,
    recovery_bootloader_offset: str | None,
    flash_size: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Check a table and print it. Exit 0 when it obeys every rule, 1 when it does not."""
    data = read_input(file, limit=_LARGEST)
    binary = data[:2] == _BINARY_MAGIC
    offset = _number(table_offset, "--offset") or 0
    limit = None if flash_size is None else _megabytes(flash_size)
    try:
        if binary:
            table = PartitionTable.from_bytes(data)
            table.check(table_offset=offset, flash_size=limit)
        else:
            table = PartitionTable.from_csv(
                _text(file, data),
                table_offset=offset,
                primary_bootloader_offset=_number(primary_bootloader_offset, "--primary-bootloader-offset"),
                recovery_bootloader_offset=_number(recovery_bootloader_offset, "--recovery-bootloader-offset"),
            )
            table.check(table_offset=offset, flash_size=limit)
        converted = table.to_csv().encode() if binary else table.to_bytes()
    except PartitionTableError as error:
        raise click.ClickException(f"{file}: {error}") from error
    for warning in table.warnings():
        click.echo(f"WARNING: {warning}", err=True)
    if output:
        write_output(output, converted)
    if as_json:
        print_json([_row(table, index) for index in range(len(table))])
    elif not output:
        click.echo(table.to_csv(), nl=False)


def _row(table: PartitionTable, index: int) -> dict[str, object]:
    row = table[index]
    return {
        "name": row.label,
        "type": row.type_name,
        "subtype": row.subtype_name,
        "offset": row.offset,
        "size": row.size,
        "encrypted": row.encrypted,
        "readonly": row.readonly,
    }


def _text(file: Path, data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unusable(
            f"{file}: neither a binary partition table nor text (byte {error.start} is not {encoding})"
        ) from error


def _number(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise click.BadParameter(f"{text!r} is no flash address", param_hint=option)
    return value


def _megabytes(text: str) -> int:
    sizes = {f"{size}MB": size << 20 for size in (1, 2, 4, 8, 16, 32, 64, 128)}
    if text not in sizes:
        raise click.BadParameter(f"{text!r} is none of {', '.join(sizes)}", param_hint="--flash-size")
    return sizes[text]
