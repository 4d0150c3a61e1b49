"""What compiled bootloaders did on some flashes, kept as data: ``make vectors-silicon`` records it again.

Our own lines describe each flash, and our own forge makes it, so that the model can be held against silicon where
neither bootloaders nor Unicorn are.
"""

# ruff: noqa: T201 - a script that prints
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict

if __name__ == "__main__":  # as a script: the modules beside, and those of all tests
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from board import spell
from flash_text import TABLE_AT, build
from random_flashes import drawn

from py_esp_ota import Sdkconfig
from py_esp_ota.chip import Chip

FOLDER = Path(__file__).parents[1] / "vectors" / "silicon"
COUNT = 60
SEED = "vector"
_ENTRY = 32


class Vector(TypedDict):
    """One flash, and what became of it. ``app`` is the flash offset of the app that runs."""

    flash: list[str]
    app: int | None
    otadata: dict[str, str]
    log: list[str]


class Vectors(TypedDict):
    """What one build did: its options, what the model must know of its image, and the vectors."""

    build: str
    config: dict[str, object]
    loader_text: list[int]
    min_chip_rev_full: int
    vectors: list[Vector]


def told(lines: tuple[str, ...]) -> list[str]:
    """The lines that say what was decided: neither the banner nor what only repeats table and segments."""
    rest = [line for line in lines if not line.startswith(("I boot.esp32c3:", "I esp_image: segment"))]
    start = next((at for at, line in enumerate(rest) if line.endswith("End of partition table")), None)
    return rest if start is None else rest[start + 1 :]


def otadata(text: tuple[str, ...] | list[str], chip: Chip) -> dict[str, str]:
    """Both entries afterwards, by address; only those inside of the flash, and not where the bootloader is."""
    places = [int(line.split()[1], 0) for line in text if line.startswith("otadata ")]
    addresses = [place + 0x1000 * index for place in places for index in (0, 1)]
    flash = chip.flash
    return {f"0x{at:x}": spell(flash.read(at, _ENTRY)) for at in addresses if TABLE_AT <= at <= flash.size - _ENTRY}


def stored(name: str) -> Vectors:
    """The vectors of one build."""
    found: Vectors = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def config_of(vectors: Vectors) -> Sdkconfig:
    """The options of the build that made them."""
    facts = dict(vectors["config"])
    facts["idf_version"] = tuple(facts["idf_version"])  # type: ignore[arg-type]
    return Sdkconfig(**facts)  # type: ignore[arg-type]


def _record() -> None:
    from console_lines import essential
    from side_by_side import BUILDS, bootloader, both, sized

    from py_esp_ota import inspect_image
    from py_esp_ota.silicon import Machine

    for one in BUILDS:
        machine, kept = Machine("esp32c3"), []
        for number in range(COUNT):
            text = drawn(f"{SEED}/{one.name}/{number}")
            pair = both(machine, one, build(text, sized(one)))
            found = pair.differences(logs=one.logs)
            if found:
                sys.exit(f"{one.name}, vector {number}: {found}")
            log = told(essential(pair.silicon.log)) if one.logs else []
            silicon = pair.silicon
            kept.append(Vector(flash=list(text), app=silicon.app, otadata=otadata(text, silicon.chip), log=log))
        info = inspect_image(bootloader(one), kind="bootloader")
        assert info.header is not None
        code = info.segments[-1]
        config = {
            "idf_version": list(one.config.idf_version),
            "bootloader_app_rollback_enable": one.config.bootloader_app_rollback_enable,
            "compiler_optimization_assertion_level": one.config.compiler_optimization_assertion_level,
        }
        found_out = Vectors(
            build=one.name,
            config=config,
            loader_text=[code.load_addr, code.load_addr + code.length],
            min_chip_rev_full=info.header.min_chip_rev_full,
            vectors=kept,
        )
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{one.name}.json").write_text(json.dumps(found_out, indent=1) + "\n")
        print(f"{one.name}: {len(kept)} vectors")


if __name__ == "__main__":
    _record()
