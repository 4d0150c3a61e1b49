"""``esp-ota preflight DUMP NEW.bin [--json]`` without the parser, as ``quick.py`` has it for one image.

It answers only what it is sure of: two plain files, a dump with a table that can be read, and an app in it that starts.
"""

from __future__ import annotations

from py_esp_ota._core import EFuse, Flash, Target, inspect_image
from py_esp_ota.cli.image_report import holds_one_image
from py_esp_ota.cli.preflight_report import report
from py_esp_ota.cli.quick_files import plain_file, printed
from py_esp_ota.field.preflight.board import Board
from py_esp_ota.field.preflight.preflight import cut_short, preflight
from py_esp_ota.idf.bootloader.build_release import told_by_flash
from py_esp_ota.idf.detect import detect_start, detect_table, detect_target, load_flash
from py_esp_ota.sdkconfig import Sdkconfig


def answer(words: list[str]) -> int | None:
    """Look at the two files named, and print what comes of it. Returns the exit code, ``None`` for not answered."""
    names = [word for word in words if word != "--json"]
    if len(names) != 2 or len(words) > 3 or any(name.startswith("-") for name in names):
        return None
    dump, image = map(plain_file, names)
    board = None if dump is None or image is None else _board(names[0], dump)
    if board is None or image is None:
        return None
    found = preflight(board, image)
    if found.played.running is None or cut_short(board, found) is not None:
        return None
    code = 0 if found.runs else 1
    if len(words) == 3:
        import json

        return printed(json.dumps(found.to_dict(), indent=2), code)
    lines = report(names[0], names[1], found)
    return printed("\n".join(lines), code) if all(map(str.isprintable, lines)) else None


def _board(name: str, dump: bytes) -> Board | None:
    """The board in a dump about which nothing else is said; ``None`` where a sentence is due."""
    start = detect_start(dump)
    if start is None:
        return None
    try:
        flash = load_flash(dump, start=start)
    except ValueError:
        return None
    offset = detect_table(flash)
    target = None if offset is None else detect_target(flash, offset)
    if offset is None or target is None or holds_one_image(inspect_image(dump), len(dump)):
        return None
    return _board_of(name, flash, target, offset, (start, start + len(dump)))


def _board_of(name: str, flash: Flash, target: Target, offset: int, extent: tuple[int, int]) -> Board:
    told = told_by_flash(flash, target, offset)
    config = Sdkconfig(partition_table_offset=offset)
    return Board(
        name=name,
        flash=flash,
        target=target,
        efuse=EFuse(target.name),
        knows_efuse=False,
        config=config if told is None else Sdkconfig(partition_table_offset=offset, idf_version=told.version),
        says_config=False,
        says_rollback=False,
        release="the newest, as nothing says another" if told is None else told.source,
        start=extent[0],
        end=extent[1],
    )
