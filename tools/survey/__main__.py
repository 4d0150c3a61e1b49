"""``python -m tools.survey FOLDER|PACKAGE ...``: every image in them on our machine code, as a table."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from tools.survey.found import Found, found_in
from tools.survey.packages import Missing, archive
from tools.survey.roms import bootloader_for, rom_of
from tools.survey.table import Row, kept
from tools.survey.tries import SECONDS, Bench, Came


def main(words: list[str]) -> int:
    """0: all was tried, however it ended; 2: something could not be had, and what."""
    parser = argparse.ArgumentParser(prog="python -m tools.survey", description=__doc__)
    parser.add_argument(
        "of", nargs="+", metavar="FOLDER|PACKAGE", help="NAME==VERSION, npm:NAME@VERSION, crate:NAME@VERSION"
    )
    parser.add_argument("--json", action="store_true", help="all of it, with the last lines of each console")
    parser.add_argument("--keep", type=Path, metavar="PAGE", help="add what came of packages to the table in this page")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long an app is watched, by the chip's clock"
    )
    parser.add_argument("--no-rom", action="store_true", help="with our own functions of ROM alone")
    asked = parser.parse_args(words)
    bench = Bench((lambda _chip, _revision: None) if asked.no_rom else rom_of, seconds=asked.seconds)
    rows: dict[str, tuple[Row, Came]] = {}
    missing = 0
    for spec in asked.of:
        folder = Path(spec)
        try:
            name, version, file = (folder.name, "-", folder) if folder.exists() else archive(spec)
        except Missing as error:
            print(error, file=sys.stderr)
            missing = 2
            continue
        for one in found_in(file):
            if one.sha256 not in rows:
                came = bench.tried(one, bootloader=bootloader_for(one.chip))
                rows[one.sha256] = _row(name, version, one, came), came
                if not asked.json:
                    print(rows[one.sha256][0].to_line(), end="", flush=True)
    if asked.json:
        print(json.dumps([_dict(row, came) for row, came in rows.values()], indent=2))
    if asked.keep is not None:
        page = asked.keep.read_text(encoding="utf-8")
        asked.keep.write_text(kept(page, [row for row, _ in rows.values()]), encoding="utf-8")
    return missing


def _row(name: str, version: str, one: Found, came: Came) -> Row:
    return Row(name, version, one.path, one.sha256, one.kind, one.chip, one.idf, came.outcome)


def _dict(row: Row, came: Came) -> dict[str, object]:
    return {name: getattr(row, name) for name in (f.name for f in fields(Row))} | {"lines": list(came.lines)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
