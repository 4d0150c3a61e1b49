"""What a verb is pointed at, as one flash: a merged image, a build directory, or parts with their offsets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from py_esp_ota._core import Flash, PartitionTable, Target, inspect_image
from py_esp_ota.cli.files import LARGEST_FLASH, Unusable, check_writable, read_input, read_text, write_output
from py_esp_ota.cli.image_report import holds_one_image
from py_esp_ota.errors import PartitionTableError
from py_esp_ota.idf.detect import detect_start, detect_table, detect_target, load_flash
from py_esp_ota.sdkconfig import Sdkconfig, heading_release

_F = TypeVar("_F", bound=Callable[..., Any])
_FLASHER_ARGS = "flasher_args.json"


def flash_arguments(function: _F) -> _F:
    """The argument of every verb that takes a flash, in whatever form: ``files``."""
    return click.argument(
        "files", nargs=-1, required=True, type=click.Path(), metavar="FLASH|BUILD_DIR|OFFSET FILE..."
    )(function)


@dataclass(frozen=True)
class ConfigFile:
    """The options in an sdkconfig; ``says_release``: its heading has the release of ESP-IDF."""

    path: Path
    config: Sdkconfig
    says_release: bool


def read_config(path: Path) -> ConfigFile:
    """An sdkconfig. Raises ``Unusable`` naming its line."""
    text = read_text(path, what="an sdkconfig")
    try:
        return ConfigFile(path, Sdkconfig.from_text(text), heading_release(text))
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error


@dataclass(frozen=True)
class FlashInput:
    """A flash and where it came from.

    ``start`` is the flash address of the file's first byte; ``length`` is how many bytes the file had; ``said`` is the
    sdkconfig that ``config`` is from. What was put together from parts cannot be saved.
    """

    path: Path
    flash: Flash
    config: Sdkconfig
    start: int
    length: int
    merged: bool = True
    said: ConfigFile | None = None

    def target(self, chip: str = "auto") -> Target:
        """The chip: named, or told by the images. Raises ``Unusable`` when nothing does, or an sdkconfig another."""
        target = self._target(chip)
        refuse_other_chip(self.said, target, self.path)
        return target

    def _target(self, chip: str) -> Target:
        if chip != "auto":
            return named_target(chip)
        detected = detect_target(self.flash, self.config.partition_table_offset)
        if detected is None:
            raise Unusable(
                f"{self.path}: no image tells which chip this is for; say it with --chip, for example --chip esp32c3"
            )
        return detected

    def table(self) -> PartitionTable:
        """The partition table, as gen_esp32part.py reads it. Raises ``Unusable`` when there is none."""
        offset = self.config.partition_table_offset
        if offset + 0xC00 > self.flash.size:
            raise Unusable(f"{self.path}: the flash ends before the partition table at 0x{offset:x}")
        try:
            table = PartitionTable.from_bytes(self.flash.read(offset, 0xC00))
        except PartitionTableError as error:
            raise Unusable(f"{self.path}: no partition table at 0x{offset:x}: {error}") from error
        if not len(table):
            raise Unusable(f"{self.path}: no partition table at 0x{offset:x}: nothing is written there")
        return table

    def refuse_lone_app(self) -> None:
        """An app is no flash. Raises ``Unusable`` with what makes one of it."""
        data = self.flash.read(self.start, self.length)
        if self.merged and holds_one_image(inspect_image(data), len(data)):
            raise Unusable(
                f"{self.path} is an app, not a flash; put it into one with its bootloader and partition table: esp-ota "
                f"merge-bin -o flash.bin 0x8000 partition-table.bin 0x10000 {self.path}, or name a build directory"
            )

    def check_saves(self) -> None:
        """What ``save`` would refuse, asked before other work is done. Raises ``Unusable``."""
        if not self.merged:
            raise Unusable(f"{self.path} is not one file; merge it first: esp-ota merge-bin -o flash.bin {self.path}")
        check_writable(self.path)

    def save(self) -> None:
        """Write the flash back as it came: beside, then renamed. What now lies behind the file's end is added."""
        self.check_saves()
        data = self.flash.to_bytes()[self.start :]
        grown = len(data.rstrip(b"\xff"))
        write_output(self.path, data[: max(self.length, grown)])


def refuse_other_chip(said: ConfigFile | None, target: Target, file: Path) -> None:
    """Raises ``Unusable`` for an sdkconfig of another chip than ``target``, which ``file`` is for."""
    chip = None if said is None else said.config.idf_target
    if said is not None and chip not in {None, target.name}:
        raise Unusable(f"{said.path} is for {chip} (CONFIG_IDF_TARGET), and {file} for {target.name}")


def named_target(chip: str) -> Target:
    """The chip a user named. Raises ``click.BadParameter``."""
    if chip not in Target.names():
        raise click.BadParameter(f"{chip!r} is none of {', '.join(Target.names())}", param_hint="--chip")
    return Target(chip)


def number(text: str, hint: str) -> int:
    """A flash address or size as esptool takes it: any base, ``k`` and ``M``. Raises ``click.BadParameter``."""
    factor = {"k": 1 << 10, "m": 1 << 20}.get(text[-1:].lower(), 1)
    try:
        value = int(text[:-1] if factor > 1 else text, 0) * factor
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise click.BadParameter(f"{text!r} is no flash address or size", param_hint=hint)
    return value


def open_flash(
    files: Path | str | tuple[str, ...], *, chip: str = "auto", config: ConfigFile | None = None
) -> FlashInput:
    """The flash in whatever the user named. Raises ``Unusable`` with one sentence for what is none.

    With ``config`` the options are those; without, they come from a build directory's ``sdkconfig``, else they are the
    defaults, with the partition table where it is found.
    """
    words = files if isinstance(files, tuple) else (str(files),)
    if chip != "auto":
        named_target(chip)
    if len(words) > 1:
        return _from_parts(Path(words[1]), pairs(words), config)
    path = Path(words[0])
    return _from_build_directory(path, config) if path.is_dir() else _from_merged(path, config)


def pairs(words: tuple[str, ...]) -> dict[int, Path]:
    """``OFFSET FILE OFFSET FILE ...``. Raises ``click.BadParameter``."""
    if len(words) % 2:
        raise click.BadParameter("parts come as OFFSET FILE OFFSET FILE ...", param_hint="FILE")
    found = {number(words[at], "OFFSET"): Path(words[at + 1]) for at in range(0, len(words), 2)}
    if len(found) < len(words) // 2:
        raise click.BadParameter("two parts have the same offset", param_hint="OFFSET")
    return found


def read_parts(parts: Mapping[int, Path]) -> dict[int, bytes]:
    """The bytes of each part by its offset, in their order. Raises ``Unusable`` for more than any flash holds."""
    read: dict[int, bytes] = {}
    room = LARGEST_FLASH
    for offset, path in sorted(parts.items()):
        if offset >= LARGEST_FLASH:
            raise Unusable(f"{path} lies at 0x{offset:x}, behind the 0x{LARGEST_FLASH:x} bytes of the largest flash")
        read[offset] = read_input(path)
        room -= len(read[offset])
        if room < 0:
            raise Unusable(f"up to {path} the parts have more than the 0x{LARGEST_FLASH:x} bytes of the largest flash")
    return read


def build_parts(folder: Path) -> dict[int, Path]:
    """What ``idf.py flash`` would write from a build directory, by ``flasher_args.json``. Raises ``Unusable``."""
    file = folder / _FLASHER_ARGS
    if not file.is_file():
        raise Unusable(f"{folder} is no build directory: it has no {_FLASHER_ARGS}")
    try:
        listed = json.loads(read_text(file, what=_FLASHER_ARGS))["flash_files"]
        parts = {number(offset, "flash_files"): folder / name for offset, name in listed.items()}
        outside = [part for part in parts.values() if folder.resolve() not in part.resolve().parents]
    # RuntimeError: nested too deeply to be read, or a loop of links; OSError: a name that no file can have.
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OSError, click.BadParameter) as error:
        raise Unusable(f'{file}: no "flash_files" with offsets and names in it') from error
    if not parts:
        raise Unusable(f'{file}: "flash_files" is empty')
    if outside:
        raise Unusable(f"{file} names {outside[0]}, which is outside the build directory")
    return parts


def build_config(folder: Path) -> Sdkconfig | None:
    """The options of a build directory: its own ``sdkconfig``, or the project's beside it."""
    found = _config_of_build(folder)
    return None if found is None else found.config


def _config_of_build(folder: Path) -> ConfigFile | None:
    files = (folder / "sdkconfig", folder.parent / "sdkconfig")
    return next((read_config(file) for file in files if file.is_file()), None)


def _from_build_directory(folder: Path, config: ConfigFile | None) -> FlashInput:
    return _from_parts(folder, build_parts(folder), config or _config_of_build(folder))


def _from_parts(path: Path, parts: Mapping[int, Path], config: ConfigFile | None) -> FlashInput:
    from py_esp_ota.firmware import merge  # a long import, and a merged image does without

    try:
        image = merge(read_parts(parts))
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error
    return replace(_placed(path, image, 0, config), merged=False)


def _from_merged(path: Path, config: ConfigFile | None) -> FlashInput:
    data = read_input(path)
    table_offset = config.config.partition_table_offset if config else 0x8000
    return _placed(path, data, detect_start(data, table_offset) or 0, config)


def _placed(path: Path, image: bytes, start: int, said: ConfigFile | None) -> FlashInput:
    try:
        flash = load_flash(image, said.config.partition_table_offset if said else 0x8000, start=start)
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error
    config = said.config if said else Sdkconfig(partition_table_offset=detect_table(flash) or 0x8000)
    return FlashInput(path, flash, config, start, len(image), said=said)
