"""Reading and writing the user's files: clear refusals, and never half a file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from py_esp_ota._core import inspect_image
from py_esp_ota.cli.output import stdout_is_taken, take_stdout

#: What ``firmware.LARGEST_FLASH`` says, too; the forge is a long import for the shortest verbs.
LARGEST_FLASH = 128 << 20

_DASH = "-"
_KEPT = f"{__name__}.kept"
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NAME_SHOWN = 32  # of a file's name in the name of the one beside it, which must not become too long


class Unusable(click.ClickException):
    """An input that cannot be used at all: one sentence, exit 2."""

    exit_code = 2


def is_dash(path: Path) -> bool:
    """Whether a name stands for standard input or output; a file called so is reached by another of its names."""
    return str(path) == _DASH


def read_input(path: Path, *, limit: int = LARGEST_FLASH, what: str = "") -> bytes:
    """The whole file, or standard input for ``-``: the one place that reads what the user named.

    What can be read only once, a pipe perhaps, is kept for a verb that asks again. Raises ``Unusable``: a directory,
    unreadable, empty, or more than ``limit`` bytes, which ``what`` never has: a flash, if it is not said.
    """
    most = f"{what} has no more than {limit}" if what else f"no ESP32-family flash holds more than {limit}"
    kept = _kept_inputs()
    try:
        if path in kept:
            data = kept[path]
        elif is_dash(path):
            data = kept[path] = _standard_input(limit)
        else:
            if path.is_dir():
                raise Unusable(f"{path} is a directory; name a file in it")
            found = path.stat()
            if found.st_size > limit:
                raise Unusable(f"{path} has {found.st_size} bytes; {most}")
            with path.open("rb") as file:  # a device or a FIFO tells no size and may never end
                data = file.read(limit + 1)
            if not stat.S_ISREG(found.st_mode):
                kept[path] = data
    except OSError as error:
        raise Unusable(f"{_named(path)}: {error.strerror}") from error
    except ValueError as error:  # a name out of a file may hold anything, even a zero byte
        raise Unusable(f"{str(path)!r} is no file name: {error}") from error
    if len(data) > limit:
        raise Unusable(f"{_named(path)} has more than {limit} bytes; {most}")
    if not data:
        raise Unusable(f"{_named(path)} is empty")
    return data


def _standard_input(limit: int) -> bytes:
    if sys.stdin is None:
        raise Unusable("standard input is closed")
    return sys.stdin.buffer.read(limit + 1)


def _kept_inputs() -> dict[Path, bytes]:
    """What this call of ``esp-ota`` has read and could not read again."""
    context = click.get_current_context(silent=True)
    kept: dict[Path, bytes] = {} if context is None else context.meta.setdefault(_KEPT, {})
    return kept


def _named(path: Path) -> str:
    return "standard input" if is_dash(path) else str(path)


def read_text(path: Path, *, what: str, limit: int = 1 << 20) -> str:
    """The whole file as UTF-8 text, without the mark that some editors begin it with. Raises ``Unusable``."""
    data = read_input(path, limit=limit, what=what)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"{_named(path)} is no text: byte {error.start} is not UTF-8") from error


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


def write_output(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """The one place that writes what the user named; ``-`` is standard output. Raises ``Unusable``.

    A regular file is written beside and renamed, so that an interrupted write leaves the old one; it keeps its mode,
    and a new one gets ``mode``, or what the umask leaves. Links stay, and the file they lead to is written. A device, a
    FIFO and an open file of a process (``/dev/stdout``) are written through.
    """
    try:
        target = None if is_dash(path) else _regular(path)
        if target is None:
            _write_through(path, data)
        else:
            _write_beside(target, data, mode)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and stdout_is_taken():
            raise  # nobody reads any more; click ends quietly then
        raise Unusable(f"{'standard output' if is_dash(path) else path}: {error.strerror}") from error
    except ValueError as error:
        raise Unusable(f"{str(path)!r} is no file name: {error}") from error


def close_to_others(path: Path) -> None:
    """Let its owner alone read and write a file that is there already. Raises ``OSError``."""
    if path.exists():
        path.chmod(0o600)


def refuse_used(folder: Path) -> None:
    """A folder is made whole, or not at all: it has a name, and nothing is in it. Raises ``Unusable``."""
    if is_dash(folder):
        raise Unusable("a folder has to have a name, and - is none")
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error
    if used:
        raise Unusable(f"{folder} exists and is not empty")


def write_folder(folder: Path, parts: Mapping[str, bytes]) -> None:
    """Parts by their names, into a folder that is not there yet or empty: all or nothing. Raises ``Unusable``."""
    import shutil

    missing = [path for path in (*reversed(folder.parents), folder) if not path.exists()]
    try:
        for name, data in parts.items():
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unusable(f"{path.parent}: {error.strerror}") from error
            write_output(path, data)
    except BaseException:
        for path in missing[:1] or folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def place_folder(folder: Path, parts: Mapping[str, bytes]) -> None:
    """As ``write_folder``, and whoever looks finds it whole or not at all: it is written beside and renamed."""
    import shutil

    whole = folder.resolve()
    beside = whole.with_name(f".{whole.name[:_NAME_SHOWN]}.{os.getpid()}")
    write_folder(beside, parts)
    try:
        if whole.exists():
            whole.rmdir()  # it is empty
        beside.rename(whole)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise Unusable(f"{folder}: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Refuse what ``write_output`` would refuse in the end, before other work is done. Raises ``Unusable``."""
    try:
        target = None if is_dash(path) else _regular(path)
        if target is not None:
            _refuse_read_only(target)
    except (OSError, ValueError):
        pass  # write_output has the sentence


def is_taken(path: Path) -> bool:
    """Whether something lies there that a verb which only makes new files must not write over."""
    return not is_dash(path) and (path.is_file() or path.is_dir())


def _regular(path: Path) -> Path | None:
    """The regular file, perhaps not there yet, that a name leads to through its links; ``None`` for what is none."""
    try:
        found = path.stat().st_mode  # raises for links that go in a circle
    except FileNotFoundError:
        found = stat.S_IFREG
    if not (stat.S_ISREG(found) or stat.S_ISDIR(found)):
        return None
    while path.is_symlink():
        if path.parent.resolve().is_relative_to("/proc"):  # no name of a file, but the open file itself
            return None
        path = path.parent / path.readlink()
    return path


def _write_through(path: Path, data: bytes) -> None:
    if is_dash(path) or _is_stdout(path):  # by its own position: what was written before stays
        take_stdout()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with path.open("wb") as file:
        file.write(data)


def _is_stdout(path: Path) -> bool:
    try:
        found = path.stat()
        return not stat.S_ISCHR(found.st_mode) and os.path.samestat(found, os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # a stdout that is no file of the system
        return False


def _write_beside(path: Path, data: bytes, mode: int | None) -> None:
    import tempfile

    kept = _refuse_read_only(path)
    mode = mode if kept is None else kept
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:_NAME_SHOWN]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(_left_by_umask() if mode is None else mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _refuse_read_only(path: Path) -> int | None:
    """The mode of the file, ``None`` when there is none yet. Raises ``Unusable``."""
    if not path.exists():
        return None
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & _WRITABLE or not os.access(path, os.W_OK):
        raise Unusable(f"{path} is read-only")
    return mode


def _left_by_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def print_json(value: object, *, err: bool = False) -> None:
    """One JSON document on stdout; on stderr with ``err``, and when stdout is the file that the verb writes."""
    import json

    click.echo(json.dumps(value, indent=2), err=err or stdout_is_taken())
