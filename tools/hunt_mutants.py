"""Each of our own bugs, and after how many worlds the hunt finds it: ``make hunt-mutants``.

::

    python tools/hunt_mutants.py [--seeds 10000] [--write] [NAME ...]

``--write`` keeps it in docs/reference/hunt-mutants.md, whose worlds a test plays. Exit 1 when a bug is not found.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from py_esp_ota.hunt import Breach, World, draw, play
from py_esp_ota.hunt.shrink_world import shrink_world
from py_esp_ota.mutants import MUTANTS

PAGE = Path(__file__).parents[1] / "docs/reference/hunt-mutants.md"
_BUDGET = 120  # worlds played to make one small
_HEAD = """\
# The hunt finds our own bugs

The package has {count} bugs on purpose (`py_esp_ota/mutants.py`): each is a bootloader or an app that is wrong in one
way. A hunt that is content with one of them would be content with that bug in a real device, so each has to be found,
within 10,000 worlds at most. *Worlds* is how many it took, from seed 0 on; beside it the promise that was broken, and
the smallest world in which it is. This page is made by `make hunt-mutants WRITE=1`; a test plays its worlds, with the
bug and without.

To see one: `esp-ota hunt --mutant NAME --bisect --replay 'WORLD'`.

| Bug | What is wrong | Worlds | Promise | World |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Canary:
    """A bug that was found: by which seed, what it broke, and the smallest world in which it does."""

    name: str
    seed: int
    breach: Breach
    world: World
    seconds: float

    @property
    def row(self) -> str:
        """Its row of the page."""
        text = MUTANTS[self.name].text
        return f"| {self.name} | {text} | {self.seed + 1:,} | {self.breach.promise} | `{self.world}` |"


def find(name: str, seeds: int, *, small: bool = True) -> Canary | None:
    """Hunt with one bug switched on, and make the world ``small`` that shows it.

    Worlds in which a promise is broken without it as well do not count.
    """
    started = time.process_time()
    for seed in range(seeds):
        world = draw(seed)
        with MUTANTS[name].on():
            breach = play(world).breach
        if breach is None or play(world).breach is not None:
            continue
        shown = world
        if small:
            with MUTANTS[name].on():
                shown = shrink_world(world, budget=_BUDGET).case
            if play(shown).breach is not None:  # what is left shows something else
                shown = world
        return Canary(name, seed, breach, shown, time.process_time() - started)
    return None


def page(found: Sequence[Canary], before: str = "") -> str:
    """The page, with the rows of the one before for bugs that nobody looked for now."""
    kept = {line.split("|")[1].strip(): line for line in _lines(before)}
    kept |= {canary.name: canary.row for canary in found}
    return _HEAD.format(count=len(MUTANTS)) + "".join(f"{kept[name]}\n" for name in MUTANTS if name in kept)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ") and line.split("|")[1].strip() in MUTANTS]


def rows(text: str) -> Iterator[tuple[str, int, str, str]]:
    """Bug, worlds, promise and world of each row of a page."""
    for line in _lines(text):
        name, _, worlds, promise, world = (cell.strip(" `") for cell in line.split("|")[1:-1])
        yield name, int(worlds.replace(",", "")), promise, world


def main() -> int:
    """Find them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", choices=[[], *MUTANTS], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)  # clouds that are killed on purpose
    names, found = asked.names or list(MUTANTS), []
    for name in names:
        canary = find(name, asked.seeds)
        if canary is None:
            sys.stdout.write(f"{name:28} not found in {asked.seeds:,} worlds\n")
            continue
        found.append(canary)
        sys.stdout.write(f"{name:28} {canary.seed + 1:6,} worlds {canary.seconds:6.1f} s  {canary.breach.promise}\n")
        sys.stdout.flush()
        if asked.write:
            PAGE.write_text(page(found, PAGE.read_text() if PAGE.exists() else ""))
    return 0 if len(found) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
