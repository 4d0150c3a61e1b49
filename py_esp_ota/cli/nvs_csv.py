"""The CSV of ESP-IDF's NVS generator (nvs_partition_gen.py): namespaces and the values in them."""

from __future__ import annotations

import base64
import csv
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from py_esp_ota.cli.files import Unusable, read_input

Kind = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "float", "double", "str", "blob"]
Value = int | float | str | bytes

_COLUMNS = ["key", "type", "encoding", "value"]
_NUMBERS: dict[str, Kind] = {
    "u8": "u8",
    "i8": "i8",
    "u16": "u16",
    "i16": "i16",
    "u32": "u32",
    "i32": "i32",
    "u64": "u64",
    "i64": "i64",
}
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Row:
    """A namespace (``kind`` is ``None``), or a value in the namespace that was named last."""

    line: int
    namespace: str
    key: str
    kind: Kind | None
    value: Value


def read_csv(path: Path) -> Iterator[Row]:
    """The rows in order; lines that begin with # are comments. Raises ``Unusable`` naming the line."""
    try:
        lines = read_input(path, limit=_LARGEST, what="a CSV of values").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Unusable(f"{path}: byte {error.start} is not UTF-8") from error
    namespace = ""
    heading = True
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        fields = _fields(line, where)
        if heading:
            if fields[:4] != _COLUMNS:
                raise Unusable(f"{where}: found {line[:80]!r}, expected the columns {','.join(_COLUMNS)}")
            heading = False
            continue
        key, kind, encoding, text = [*fields, "", "", ""][:4]
        if kind == "namespace":
            namespace = key
            yield Row(number, key, key, None, 0)
        elif kind in {"data", "file"}:
            if not namespace:
                raise Unusable(f"{where}: a value before the first namespace")
            try:
                stored, value = _value(kind, encoding, text)
            except ValueError as error:
                raise Unusable(f"{where}: {text[:40]!r} is no {encoding[:40]}: {error}") from error
            yield Row(number, namespace, key, stored, value)
        else:
            raise Unusable(f"{where}: type: found {kind[:40]!r}, expected namespace, data or file")


def _fields(line: str, where: str) -> list[str]:
    """The fields of one line. Raises ``Unusable`` with the name of the one that is too long."""
    try:
        return next(csv.reader([line]))
    except csv.Error as error:  # it does not say in which field
        fitting = bisect_left(range(len(line)), True, key=lambda end: not _is_csv(line[: end + 1]))
        at = len(next(csv.reader([line[:fitting]]))) - 1
        name = _COLUMNS[at] if at < len(_COLUMNS) else f"number {at + 1}"
        raise Unusable(f"{where}: the field {name} is too long: {error}") from error


def _is_csv(text: str) -> bool:
    try:
        next(csv.reader([text]))
    except csv.Error:
        return False
    return True


def _value(kind: str, encoding: str, text: str) -> tuple[Kind, Value]:
    if encoding in _NUMBERS:
        content = text if kind == "data" else read_input(Path(text), limit=_LARGEST, what="a value").decode()
        return _NUMBERS[encoding], int(content, 0)
    data = text.encode() if kind == "data" else read_input(Path(text), limit=_LARGEST, what="a value")
    if encoding == "string":
        return "str", data.decode()
    if encoding == "hex2bin":
        return "blob", bytes.fromhex(data.decode())
    if encoding == "base64":
        return "blob", base64.b64decode(data, validate=True)
    if encoding == "binary":
        return "blob", data
    raise ValueError(f"encoding: expected {', '.join(_NUMBERS)}, string, hex2bin, base64 or binary")
