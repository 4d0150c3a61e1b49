"""Reading and writing the user's files: clear refusals, and never half a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click

from py_esp_ota._core import inspect_image

LARGEST_FLASH = 128 << 20


class Unusable(click.ClickException):
    """An input that cannot be used at all: one sentence, exit 2."""

    exit_code = 2


def read_input(path: Path, *, limit: int = LARGEST_FLASH) -> bytes:
    """The whole file. Raises ``Unusable``: a directory, unreadable, empty, or more than ``limit`` bytes."""
    try:
        if path.is_dir():
            raise Unusable(f"{path} is a directory; name a file in it")
        size = path.stat().st_size
        if size > limit:
            raise Unusable(f"{path} has {size} bytes; no ESP32-family flash holds more than {limit}")
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a name out of a file may hold anything, even a zero byte
        raise Unusable(f"{str(path)!r} is no file name: {error}") from error
    if not data:
        raise Unusable(f"{path} is empty")
    return data


def read_text(path: Path, *, limit: int = 1 << 20) -> str:
    """The whole file as UTF-8 text. Raises ``Unusable``."""
    data = read_input(path, limit=limit)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unusable(f"{path} is no text: byte {error.start} is not UTF-8") from error


def read_app(path: Path) -> bytes:
    """A valid app image with a descriptor. Raises ``Unusable`` with its first fault."""
    data = read_input(path)
    info = inspect_image(data)
    if info.faults:
        fault = info.faults[0]
        raise Unusable(f"{path}: {fault.err.name}: {fault}")
    if info.kind == "bootloader":
        raise Unusable(f"{path} begins with a bootloader; name an app image (esp-ota split takes a flash image apart)")
    if info.app_desc is None:
        raise Unusable(f"{path} has no app descriptor; RainMaker's checks need one")
    return data


def write_output(path: Path, data: bytes) -> None:
    """Write beside and rename, so that an interrupted write leaves the old file. Raises ``Unusable``."""
    import tempfile

    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).chmod(_mode(path))
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def _mode(path: Path) -> int:
    """What the file is allowed now, or what the user's umask leaves of a new one."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    import json

    click.echo(json.dumps(value, indent=2))
