"""``esp-ota partition-table``: CSV to binary and back, with gen_esp32part.py's options, rules and exit codes."""

from __future__ import annotations

import codecs
import os
import string
from pathlib import Path

import click

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output
from py_esp_ota.cli.inputs import number, open_flash
from py_esp_ota.cli.output import say
from py_esp_ota.errors import PartitionTableError
from py_esp_ota.idf.detect import detect_start

_LARGEST = 1 << 20
_BINARY_MAGIC = b"\xaa\x50"
_SIZES = {f"{1 << n}MB": 1 << (20 + n) for n in range(8)}
_TYPES = {"app": 0, "data": 1, "bootloader": 2, "partition_table": 3}
# In gen_esp32part.py's order: the first mark that fits wins.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
)


class _Refused(click.ClickException):
    """A table that breaks a rule: exit 2, as gen_esp32part.py has it."""

    exit_code = 2


@click.command("partition-table")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("output", required=False, type=click.Path(path_type=Path))
@click.option("--output", "-O", "output_option", hidden=True, type=click.Path(path_type=Path))
@click.option(
    "--offset", "-o", "table_offset", default="0x8000", help="Where the table lies in flash.", show_default=True
)
@click.option("--primary-bootloader-offset", default=None, help="For rows of type bootloader/primary.")
@click.option("--recovery-bootloader-offset", default=None, help="For rows of type bootloader/recovery.")
@click.option("--flash-size", type=click.Choice(list(_SIZES)), help="Refuse a table that needs more.")
@click.option("--disable-md5sum", is_flag=True, help="Neither write nor expect an MD5 row.")
@click.option("--no-verify", is_flag=True, help="Do not ask the rules; the flash size counts all the same.")
@click.option("--verify", "-v", is_flag=True, help="The default.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@click.option("--secure", type=click.Choice(["v1", "v2"]), help="v1: apps are whole pages of 64 KiB.")
@click.option(
    "--extra-partition-subtypes", "extra", multiple=True, metavar="TYPE,NAME,VALUE", help="A subtype of your own."
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(
    file: Path,
    output: Path | None,
    output_option: Path | None,
    table_offset: str,
    primary_bootloader_offset: str | None,
    recovery_bootloader_offset: str | None,
    flash_size: str | None,
    disable_md5sum: bool,
    no_verify: bool,
    verify: bool,  # noqa: ARG001 (what is done anyway)
    quiet: bool,
    secure: str | None,
    extra: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a table and convert it: CSV becomes binary, binary CSV. FILE may also be a flash or a build directory.

    Without OUTPUT the table is shown as CSV. Exit 2 when a rule is broken.
    """
    output = output_option or output
    offset = number(table_offset, "--offset")
    data, binary = _table_bytes(file)
    _progress(quiet, f"Parsing {'binary' if binary else 'CSV'} partition input...")
    md5, secure_v1 = not disable_md5sum, secure == "v1"
    try:
        if binary:
            table = PartitionTable.from_bytes(data, md5=md5)
        else:
            table = PartitionTable.from_csv(
                _expanded(file, _text(file, data)),
                table_offset=offset,
                primary_bootloader_offset=_optional(primary_bootloader_offset, "--primary-bootloader-offset"),
                recovery_bootloader_offset=_optional(recovery_bootloader_offset, "--recovery-bootloader-offset"),
                secure_v1=secure_v1,
                verify=not no_verify,
                extra_subtypes=[_extra(text) for text in extra],
            )
        if not no_verify:
            _progress(quiet, "Verifying table...")
        limit = None if flash_size is None else _SIZES[flash_size]
        rules = binary and not no_verify
        table.check(table_offset=offset, flash_size=limit, secure_v1=secure_v1, rules=rules)
        converted = table.to_csv().encode() if binary else table.to_bytes(md5=md5)
    except PartitionTableError as error:
        raise _Refused(f"{file}: {error}") from error
    for warning in table.warnings():
        say(f"WARNING: {warning}", err=True)
    _tell(table, converted, output, as_json)


def _tell(table: PartitionTable, converted: bytes, output: Path | None, as_json: bool) -> None:
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(f"{output.parent}: {error.strerror}") from error
        write_output(output, converted)
    if as_json:
        print_json([_row(table, index) for index in range(len(table))])
    elif output is None:
        say(*table.to_csv().removesuffix("\n").split("\n"))


def read_table(file: Path) -> PartitionTable:
    """The table in a CSV, a binary, a flash image or a build directory. Raises ``Unusable``."""
    data, binary = _table_bytes(file)
    try:
        return (
            PartitionTable.from_bytes(data) if binary else PartitionTable.from_csv(_expanded(file, _text(file, data)))
        )
    except PartitionTableError as error:
        raise _Refused(f"{file}: {error}") from error


def _table_bytes(file: Path) -> tuple[bytes, bool]:
    """The table in a CSV, a binary, a flash image or a build directory; whether it is binary."""
    if file.is_dir():
        return open_flash(file).table().to_bytes(), True
    data = read_input(file)
    if data[:2] == _BINARY_MAGIC:
        return data[:_LARGEST], True
    if len(data) > _LARGEST or detect_start(data) is not None:
        return open_flash(file).table().to_bytes(), True
    return data, False


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


def _progress(quiet: bool, text: str) -> None:
    if not quiet:
        say(text, err=True)


def _text(file: Path, data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unusable(
            f"{file}: neither a binary partition table nor text (byte {error.start} is not {encoding})"
        ) from error


def _expanded(file: Path, text: str) -> str:
    """Environment variables in every line; a line that still begins with one names a variable that is not set."""
    lines = []
    for at, line in enumerate(text.splitlines(), 1):
        expanded = os.path.expandvars(line)
        if expanded.startswith("$") and expanded[1:2] in string.ascii_letters + "_{":
            name = expanded[1:].split(",")[0].strip("{} \t")
            raise _Refused(f"{file}: line {at}: unknown variable {name!r} in the environment")
        lines.append(expanded)
    return "\n".join(lines)


def _optional(text: str | None, option: str) -> int | None:
    return None if text is None else number(text, option)


def _extra(text: str) -> tuple[int, str, int]:
    """``add_extra_subtypes``, ``data,settings,0x40``: the value is hexadecimal even without 0x.

    The generator keeps the name as it is and reads rows in lower case: a name with capitals is no row's.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        kind, name, value = parts
        found = (_TYPES[kind], name, int(value, 16))
        if name and 0 <= found[2] < 256:
            return found
    except (KeyError, ValueError):
        pass
    option = "--extra-partition-subtypes"
    raise click.BadParameter(f"{text!r} is no TYPE,NAME,VALUE, for example data,settings,0x40", param_hint=option)
