"""``esp-ota nvs``: the values in an NVS partition: list, get, set, erase, and a partition from ESP-IDF's CSV.

A verb works on a copy of the flash in memory, as an app that starts on it would: it sees what init repairs. Only
``set``, ``erase`` and ``generate`` write, and only when all went well.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from py_esp_ota._core import (
    Flash,
    NvsHandle,
    NvsPartition,
    Partition,
    PartitionTable,
    derive_nvs_keys,
    read_nvs_keys,
)
from py_esp_ota.cli.complete import labels
from py_esp_ota.cli.files import Unusable, print_json, read_input, write_output
from py_esp_ota.cli.inputs import open_flash
from py_esp_ota.cli.nvs_csv import Kind, Value, read_csv
from py_esp_ota.cli.output import say
from py_esp_ota.errors import EspError, PartitionTableError

_PAGE = 0x1000
_DATA, _NVS, _NVS_KEYS = 0x01, 0x02, 0x04
_NUMBERS = {"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"}
_TYPES = [*get_args(Kind)[:-1], "hex2bin", "base64", "file"]
_LARGEST_BLOB = 508000
_HMAC_KEY = 32
_LARGEST_KEYS = 1 << 20
_LIVE = {"ACTIVE", "FULL", "FREEING"}
_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


class _Refused(click.ClickException):
    """What NVS answered: a finding."""

    exit_code = 1


@dataclass(frozen=True)
class _Bench:
    """An initialised partition and the way back into its file."""

    nvs: NvsPartition
    partition: Partition
    save: Callable[[], None]

    def open(self, namespace: str, *, write: bool = False) -> NvsHandle:
        return self.nvs.open(namespace, "readwrite" if write else "readonly")


def _options(function: _F) -> _F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option(
            "--keys",
            type=click.Path(path_type=Path),
            help="A key partition or a 32-byte HMAC key, for an encrypted one.",
        ),
        click.option(
            "--partition",
            "label",
            shell_complete=labels(type=_DATA, subtype=_NVS),
            help="Which partition of a flash.  [default: nvs]",
        ),
        click.argument("file", type=click.Path(path_type=Path)),
    ):
        function = option(function)
    return function


def _open(file: Path, label: str | None, keys: Path | None) -> _Bench:
    """A partition of a flash, or a file that is nothing but one. Raises ``Unusable`` and ``_Refused``."""
    given = open_flash(file)
    partition = _in_table(given.flash, given.config.partition_table_offset, label, file)
    save = given.save
    if partition is None:
        size = given.length
        if not given.merged or size % _PAGE:
            raise Unusable(f"{file} holds neither a partition table nor whole pages of NVS ({size} bytes)")
        partition = Partition("nvs", _DATA, _NVS, 0, size)

        def save() -> None:
            write_output(file, given.flash.read(0, size))

    blank = _is_blank(given.flash, partition)
    try:
        nvs = NvsPartition(given.flash, partition, keys=None if keys is None else _keys(keys))
    except EspError as error:
        raise _Refused(f"{file}: {error}") from error
    if not blank and not any(page.state in _LIVE for page in nvs.pages()):  # a chip would format it without a word
        raise _Refused(f"{file}: {partition.label} is not NVS: none of its pages begins as one")
    return _Bench(nvs, partition, save)


def _is_blank(flash: Flash, partition: Partition) -> bool:
    size = min(partition.size, max(flash.size - partition.offset, 0))
    return not flash.read(partition.offset, size).strip(b"\xff") if size else True


def _in_table(flash: Flash, offset: int, label: str | None, file: Path) -> Partition | None:
    try:
        table = PartitionTable.load(flash, offset, md5=False)
    except PartitionTableError:
        table = PartitionTable([])
    if not len(table):
        if label is not None:
            raise Unusable(f"{file} has no partition table at 0x{offset:x} that could name {label!r}")
        return None
    found = table.find(type=_DATA, subtype=_NVS, label=label or "nvs")
    if found is None and label is None:
        found = table.find(type=_DATA, subtype=_NVS)
    if found is None:
        labels = [row.label for row in table if (row.type, row.subtype) == (_DATA, _NVS)]
        raise Unusable(f"{file}: no data/nvs partition is called {label or 'nvs'!r}; there are: {', '.join(labels)}")
    return found


def _keys(file: Path) -> bytes:
    data = read_input(file, limit=_LARGEST_KEYS, what="a key partition")
    if len(data) == _HMAC_KEY:
        return derive_nvs_keys(data)
    try:
        return read_nvs_keys(Flash.from_bytes(data), Partition("nvs_key", _DATA, _NVS_KEYS, 0, _PAGE))
    except EspError as error:
        raise _Refused(f"{file}: {error}") from error


def _asked(file: Path, action: Callable[[], _T]) -> _T:
    """What NVS refuses, in one sentence."""
    try:
        return action()
    except EspError as error:
        raise _Refused(f"{file}: {error}") from error


@click.group("nvs")
def command() -> None:
    """Read and change the values in an NVS partition: a flash image, or the partition alone."""


@command.command("list")
@_options
@click.option("--namespace", help="Only this one.")
def list_entries(file: Path, label: str | None, keys: Path | None, as_json: bool, namespace: str | None) -> None:
    """Every value, as the iterator of ESP-IDF goes: in the order of the pages."""
    bench = _open(file, label, keys)
    rows: list[dict[str, Any]] = []
    for entry in _asked(file, lambda: bench.nvs.entries(namespace)):
        try:
            value = bench.open(entry.namespace).get(entry.key, entry.type)
        except EspError as error:  # a value whose data is damaged does not hide the others
            rows.append({"namespace": entry.namespace, "key": entry.key, "type": entry.type, "error": error.err.name})
        else:
            rows.append({"namespace": entry.namespace, "key": entry.key, "type": entry.type, "value": _plain(value)})
    if as_json:
        print_json({"partition": bench.partition.label, "entries": rows})
        return
    for row in rows:
        say(f"{row['namespace']:<15} {row['key']:<15} {row['type']:<6} {_short(row)}")


@command.command("stats")
@_options
def stats(file: Path, label: str | None, keys: Path | None, as_json: bool) -> None:
    """How full it is: entries, namespaces, pages."""
    bench = _open(file, label, keys)
    found = _asked(file, bench.nvs.stats)
    numbers = {
        name: getattr(found, name)
        for name in ("used_entries", "free_entries", "available_entries", "total_entries", "namespace_count")
    }
    pages = [
        {name: getattr(page, name) for name in ("offset", "state", "seq", "version", "used", "erased")}
        for page in bench.nvs.pages()
    ]
    names = {name: bench.open(name).used_entry_count() for name, _ in bench.nvs.namespaces()}
    if as_json:
        print_json({"partition": bench.partition.label, **numbers, "namespaces": names, "pages": pages})
        return
    for name, number in numbers.items():
        say(f"{name:<18} {number}")
    for name, number in names.items():
        say(f"namespace {name:<15} {number} entries")
    for page in pages:
        seq = "" if page["seq"] is None else f", sequence {page['seq']}"
        say(f"page 0x{page['offset']:04x} {page['state']}{seq}: {page['used']} used, {page['erased']} erased")


@command.command("get")
@_options
@click.argument("namespace")
@click.argument("key")
@click.option("--raw", is_flag=True, help="A blob's or a text's own bytes to stdout, whatever they are.")
def get(file: Path, label: str | None, keys: Path | None, as_json: bool, namespace: str, key: str, raw: bool) -> None:
    """One value. Exit 1 when there is none."""
    bench = _open(file, label, keys)

    def read() -> tuple[str, int | float | str | bytes]:
        handle = bench.open(namespace)
        kind = handle.find_key(key)
        return kind, handle.get(key, kind)

    kind, value = _asked(file, read)
    if as_json:
        print_json({"namespace": namespace, "key": key, "type": kind, "value": _plain(value)})
    elif raw and isinstance(value, bytes | str):
        click.echo(value.encode() if isinstance(value, str) else value, nl=False)
    else:
        say(*str(_plain(value)).split("\n"))  # a text of several lines, a certificate perhaps, stays one


@command.command("set", context_settings={"ignore_unknown_options": True})
@_options
@click.argument("namespace")
@click.argument("key")
@click.argument("kind", metavar="TYPE", type=click.Choice(_TYPES))
@click.argument("value")
def set_value(
    file: Path,
    label: str | None,
    keys: Path | None,
    as_json: bool,
    namespace: str,
    key: str,
    kind: str,
    value: str,
) -> None:
    """Store one value: a number, a text (str), or a blob as hex2bin, base64 or the content of a file."""
    stored = "blob" if kind in {"hex2bin", "base64", "file"} else kind
    parsed = _parse(kind, value)
    bench = _open(file, label, keys)
    _asked(file, lambda: _store(bench, namespace, key, stored, parsed))
    bench.save()
    if as_json:
        print_json({"namespace": namespace, "key": key, "type": stored, "value": _plain(parsed)})
    else:
        told = f"{len(parsed)} bytes" if isinstance(parsed, bytes) else _short({"value": repr(parsed)})
        say(f"Wrote {namespace}.{key} = {told} ({stored}) to partition {bench.partition.label} of {file}")


@command.command("erase")
@_options
@click.argument("namespace")
@click.argument("key", required=False)
def erase(file: Path, label: str | None, keys: Path | None, as_json: bool, namespace: str, key: str | None) -> None:
    """Forget one value, or all of a namespace."""
    bench = _open(file, label, keys)

    def forget() -> int:
        before = len(bench.nvs.entries(namespace))
        bench.open(namespace)  # one that is not there is refused, not made
        handle = bench.open(namespace, write=True)
        if key is None:
            handle.erase_all()
        else:
            handle.erase_key(key)
        return before - len(bench.nvs.entries(namespace))

    erased = _asked(file, forget)
    bench.save()
    if as_json:
        print_json({"namespace": namespace, "erased": erased})
    else:
        count = f"{erased} value{'' if erased == 1 else 's'}"
        say(f"Erased {count} of {namespace} in partition {bench.partition.label} of {file}")


@command.command("generate")
@click.argument("csv", type=click.Path(path_type=Path))
@click.argument("size")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--keys", type=click.Path(path_type=Path), help="A key partition or a 32-byte HMAC key, to encrypt with.")
def generate(csv: Path, size: str, output: Path, keys: Path | None) -> None:
    """A partition from the CSV of ESP-IDF's generator: key, type, encoding, value.

    Laid out as a device would write it. A value that fits a page exactly stays in it, where ESP-IDF's generator begins
    the next one.
    """
    pages = _size(size)
    flash = Flash(max(1 << 20, 1 << (pages - 1).bit_length()))
    partition = Partition("nvs", _DATA, _NVS, 0, pages)
    nvs = NvsPartition(flash, partition, keys=None if keys is None else _keys(keys))
    bench = _Bench(nvs, partition, lambda: write_output(output, flash.read(0, pages)))
    for row in read_csv(csv):
        where = f"{csv}, line {row.line}"
        try:
            if row.kind is None:
                bench.open(row.key, write=True)
            else:
                _store(bench, row.namespace, row.key, row.kind, row.value)
        except EspError as error:
            raise _Refused(f"{where}: {error}") from error
        except (ValueError, OverflowError) as error:
            raise Unusable(f"{where}: {error}") from error
    bench.save()


def _store(bench: _Bench, namespace: str, key: str, kind: Any, value: Value) -> None:
    bench.open(namespace, write=True).set(key, kind, value)


def _size(text: str) -> int:
    try:
        size = int(text, 0)
    except ValueError:
        size = 0
    if not 0x3000 <= size <= 128 << 20 or size % _PAGE:
        raise click.BadParameter(f"{text!r} is no multiple of 0x1000 from 0x3000 on", param_hint="SIZE")
    return size


def _parse(kind: str, text: str) -> Value:
    try:
        if kind in _NUMBERS:
            number = int(text, 0)
            low, high = (
                (-(1 << int(kind[1:]) - 1), 1 << int(kind[1:]) - 1) if kind[0] == "i" else (0, 1 << int(kind[1:]))
            )
            if not low <= number < high:
                raise click.BadParameter(f"{text} does not fit {kind}", param_hint="VALUE")
            return number
        if kind in {"float", "double"}:
            return float(text)
        if kind == "hex2bin":
            return bytes.fromhex(text)
        if kind == "base64":
            return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no {kind}", param_hint="VALUE") from error
    if kind == "file":
        return read_input(Path(text), limit=_LARGEST_BLOB, what="a blob in NVS")
    if "\0" in text:
        raise click.BadParameter("a text ends at its first NUL", param_hint="VALUE")
    return text


def _plain(value: Value) -> int | float | str:
    return value.hex() if isinstance(value, bytes) else value


def _short(row: dict[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])
    text = str(row["value"])
    return text if len(text) <= 64 else f"{text[:61]}..."
