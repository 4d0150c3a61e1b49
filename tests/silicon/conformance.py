# ruff: noqa: T201 - a script that prints
"""Many random flashes before every bootloader and our model: ``make conformance-silicon``.

Flash number N of seed S is always the same one, so that blocks of numbers are shared out, and that
``python tests/silicon/conformance.py --seed S --only BUILD/N`` shows one of them again. The first disagreement stops
everything: its flash is made as small as it can be and printed as the lines that ``flash_text`` reads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

if __name__ == "__main__":  # as a script: the modules beside, and those of all tests
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import pytest
from builds import new_machine
from flash_text import Text, build
from random_flashes import drawn
from rules_reached import reached
from shrinking import shrunk
from side_by_side import ALL_BUILDS, Build, Pair, both, copied, settle, sized

from py_esp_ota.adapters.roms import fetch_rom
from py_esp_ota.cli.work_options import executor
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine
from py_esp_ota.work import Executor, Work, run

_BLOCK = 100  # flashes of a shard


class Disagreement(Exception):
    """The two do not agree on a flash; told with the flash, made small."""


@dataclass(frozen=True)
class Asked:
    """The first ``flashes`` flashes of a seed, every build's in turn; shard ``n`` is their ``n``-th block."""

    builds: tuple[Build, ...]
    seed: str
    flashes: int

    @property
    def shards(self) -> range:
        return range(-(-self.flashes // _BLOCK))


@dataclass
class Tally:
    """What has been seen. Seconds are no part of what two of them are compared by: they are another's next time."""

    flashes: int = 0
    boots: int = 0
    silicon_ns: int = field(default=0, compare=False)
    model_ns: int = field(default=0, compare=False)
    outcomes: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    chips: Counter[str] = field(default_factory=Counter)
    not_followed: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})

    @property
    def silicon_rate(self) -> float:
        """Boots of machine code per second of CPU time, nothing else counted."""
        return 1e9 * self.boots / max(self.silicon_ns, 1)

    @property
    def model_rate(self) -> float:
        """The same of our model, which boots as often."""
        return 1e9 * self.boots / max(self.model_ns, 1)


def compared(machine: Machine, one: Build, text: Text, tally: Tally | None = None) -> Pair:
    """One described flash on both sides, each timed."""
    chip = build(text, sized(one))
    if tally is None:
        return both(machine, one, chip)
    real, ours = copied(chip), copied(chip)
    began = time.process_time_ns()
    runs = settle(machine, real)
    between = time.process_time_ns()
    report = boot(ours, one.config)
    ended = time.process_time_ns()
    tally.flashes += 1
    tally.boots += len(runs)
    tally.silicon_ns += between - began
    tally.model_ns += ended - between
    tally.outcomes[runs[-1].outcome] += 1
    tally.rules.update(reached(report))
    tally.chips[one.chip] += 1
    pair = Pair.of(real, runs, ours, report)
    if pair.not_followed is not None:
        tally.not_followed[pair.not_followed] += 1
    return pair


def explained(machine: Machine, one: Build, text: Text, found: list[str], name: str) -> str:
    """A disagreement as it is told: made small, with the flash as lines."""
    small = shrunk(
        text, lambda candidate: bool(compared(machine, one, candidate).differences(logs=one.logs)), tries=600
    )
    left = compared(machine, one, small).differences(logs=one.logs)
    parts = [
        f"disagreement on {name} ({one}):",
        *found,
        "made small:",
        *small,
        "where they still disagree:",
        *left,
    ]
    return "\n  ".join(parts)


@lru_cache(maxsize=1)
def machines(builds: tuple[Build, ...]) -> Mapping[tuple[Build, bool], Machine]:
    """Two machines for each build, one of which has the chip's real ROM, where it can be had.

    Changing a machine's bootloader would make it translate all code again, so a process keeps them for all its blocks.
    """
    return {(one, real): machine_of(one, real=real) for one in builds for real in (False, True)}


def machine_of(one: Build, *, real: bool) -> Machine:
    """Flashes with an odd number run on the chip's real ROM; on some chips all do."""
    if not real:
        return new_machine(one.chip)
    try:
        return Machine(one.chip, rom=fetch_rom(one.chip))
    except ValueError as error:
        print(f"without the real ROM of the {one.chip}: {error}")
        return new_machine(one.chip)


def block(asked: Asked, shard: int) -> Tally:
    """One block, as work that is shared out does it."""
    return compare(asked, range(shard * _BLOCK, min((shard + 1) * _BLOCK, asked.flashes)))


def compare(asked: Asked, indices: range) -> Tally:
    """These flashes, every build in turn getting its next number. Raises ``Disagreement`` at the first."""
    tally, made = Tally(), machines(asked.builds)
    for index in indices:
        number, which = divmod(index, len(asked.builds))
        one = asked.builds[which]
        text = drawn(f"{asked.seed}/{number}", one.chip)
        machine = made[one, number % 2 == 1]
        found = compared(machine, one, text, tally).differences(logs=one.logs)
        if found:
            raise Disagreement(explained(machine, one, text, found, f"flash {number} of seed {asked.seed}"))
    return tally


def available() -> tuple[Build, ...]:
    """The builds that can be had here, the others named."""
    had = []
    for one in ALL_BUILDS:
        try:
            sized(one)(4)
            had.append(one)
        except pytest.skip.Exception as error:
            print(f"without {one}: {error}")
    return tuple(had)


def main(flashes: int, seed: str, who: Executor) -> int:
    """Print what was seen; 1 when something disagreed."""
    asked = Asked(available(), seed, flashes)
    whole = Tally()

    def told(_done: int, tally: Tally) -> None:
        nonlocal whole
        whole = tally

    disagreement, stopped, began = "", "", time.perf_counter()
    try:
        stopped = run(Work(block, asked, Tally.__add__, Tally()), asked.shards, who, told=told).stopped
    except Disagreement as found:
        disagreement = str(found)
    seconds = time.perf_counter() - began
    print(f"{whole.flashes} flashes of seed {seed} on {', '.join(map(str, asked.builds))} in {seconds:.0f} s")
    print(
        f"machine code {whole.silicon_rate:.0f} boots per CPU second, model {whole.model_rate:.0f}: "
        f"{whole.model_rate / max(whole.silicon_rate, 1e-9):.1f} times as many"
    )
    print("flashes: " + ", ".join(f"{name} {count}" for name, count in sorted(whole.chips.items())))
    print("outcomes: " + ", ".join(f"{name} {count}" for name, count in whole.outcomes.most_common()))
    for name, count in whole.not_followed.most_common():
        print(f"not compared: {count}, {name}")
    print("rules reached, seldom ones first:")
    for name, count in sorted(whole.rules.items(), key=lambda item: item[1]):
        print(f"  {count:6d}  {count / max(whole.flashes, 1):7.2%}  {name}")
    if stopped:
        print(f"not all of {flashes}: {stopped}")
    print(disagreement or "no disagreement")
    return int(bool(disagreement or stopped))


def again(seed: str, which: str) -> int:
    """One flash once more, by the name of its build and its number: text, both logs, what differs."""
    name, number = which.rsplit("/", 1)
    one = next(one for one in ALL_BUILDS if str(one) == name)
    text = drawn(f"{seed}/{number}", one.chip)
    pair = compared(machine_of(one, real=int(number) % 2 == 1), one, text)
    print(*text, sep="\n")
    for title, side in (("silicon", pair.silicon), ("model", pair.model)):
        print(f"--- {title}", *side.log, sep="\n")
    found = pair.differences(logs=one.logs)
    print("---", *(found or ["no difference"]), sep="\n")
    return int(bool(found))


def script() -> int:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flashes", type=int, default=20_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--on", default="here")
    parser.add_argument("--only", metavar="BUILD/N")
    options = parser.parse_args()
    if options.only:
        return again(options.seed, options.only)
    return main(options.flashes, options.seed, executor(options.on, options.jobs))


if __name__ == "__main__":
    import conformance  # workers find functions of modules

    sys.exit(conformance.script())
