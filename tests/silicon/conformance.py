# ruff: noqa: T201 - a script that prints
"""Many random flashes before every bootloader and our model: ``make conformance-silicon``.

Flash number N of seed S is always the same one, so that the work can be split between processes by number, and that
``python tests/silicon/conformance.py --seed S --only BUILD/N`` shows one of them again. The first disagreement stops
everything: its flash is made as small as it can be and printed as the lines that ``flash_text`` reads.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event as Stop
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
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine


@dataclass
class Tally:
    """What one process has seen."""

    flashes: int = 0
    boots: int = 0
    silicon_seconds: float = 0.0
    model_seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    chips: Counter[str] = field(default_factory=Counter)
    not_followed: Counter[str] = field(default_factory=Counter)
    disagreement: str | None = None

    def add(self, other: Tally) -> None:
        self.flashes += other.flashes
        self.boots += other.boots
        self.silicon_seconds += other.silicon_seconds
        self.model_seconds += other.model_seconds
        self.outcomes += other.outcomes
        self.rules += other.rules
        self.chips += other.chips
        self.not_followed += other.not_followed
        self.disagreement = self.disagreement or other.disagreement

    @property
    def silicon_rate(self) -> float:
        """Boots of machine code per second of CPU time, nothing else counted."""
        return self.boots / max(self.silicon_seconds, 1e-9)

    @property
    def model_rate(self) -> float:
        """The same of our model, which boots as often."""
        return self.boots / max(self.model_seconds, 1e-9)


def compared(machine: Machine, one: Build, text: Text, tally: Tally | None = None) -> Pair:
    """One described flash on both sides, each timed."""
    chip = build(text, sized(one))
    if tally is None:
        return both(machine, one, chip)
    real, ours = copied(chip), copied(chip)
    began = time.process_time()
    runs = settle(machine, real)
    between = time.process_time()
    report = boot(ours, one.config)
    ended = time.process_time()
    tally.flashes += 1
    tally.boots += len(runs)
    tally.silicon_seconds += between - began
    tally.model_seconds += ended - between
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


def numbered(builds: tuple[Build, ...], flashes: int, process: int, processes: int) -> Iterator[tuple[Build, int]]:
    """This process's share: every build in turn gets the next number."""
    for index in range(process, flashes, processes):
        yield builds[index % len(builds)], index // len(builds)


def machine_of(one: Build, *, real: bool) -> Machine:
    """Flashes with an odd number run on the chip's real ROM, where it can be had; on some chips all do."""
    if not real:
        return new_machine(one.chip)
    try:
        return Machine(one.chip, rom=fetch_rom(one.chip))
    except ValueError as error:
        print(f"without the real ROM of the {one.chip}: {error}")
        return new_machine(one.chip)


def share(builds: tuple[Build, ...], seed: str, flashes: int, process: int, processes: int, stop: Stop | None) -> Tally:
    """Compare this process's share of the flashes, until one disagrees or another process says stop."""
    # A machine each: changing its bootloader would make it translate all code again.
    tally = Tally()
    machines = {(one, real): machine_of(one, real=real) for one in builds for real in (False, True)}
    for one, number in numbered(builds, flashes, process, processes):
        if stop is not None and stop.is_set():
            break
        text = drawn(f"{seed}/{number}", one.chip)
        machine = machines[one, number % 2 == 1]
        found = compared(machine, one, text, tally).differences(logs=one.logs)
        if found:
            if stop is not None:
                stop.set()
            tally.disagreement = explained(machine, one, text, found, f"flash {number} of seed {seed}")
            break
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


def _worker(results: multiprocessing.Queue[tuple[int, Tally]], process: int, *rest: object) -> None:
    builds, seed, flashes, processes, stop = rest
    try:
        tally = share(builds, seed, flashes, process, processes, stop)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - told by the parent, which waits for an answer
        tally = Tally(disagreement=traceback.format_exc())
    results.put((process, tally))


def main(flashes: int, seed: str, processes: int) -> int:
    """Print what was seen; 1 when something disagreed."""
    builds = available()
    stop = multiprocessing.Event()
    results: multiprocessing.Queue[tuple[int, Tally]] = multiprocessing.Queue()
    rest = (builds, seed, flashes, processes, stop)
    workers = [multiprocessing.Process(target=_worker, args=(results, n, *rest)) for n in range(processes)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    whole = Tally()
    for process, tally in sorted((results.get() for _ in workers), key=lambda result: result[0]):
        print(
            f"process {process}: {tally.flashes} flashes, {tally.boots} boots; machine code "
            f"{tally.silicon_rate:.0f} boots per CPU second, model {tally.model_rate:.0f}"
        )
        whole.add(tally)
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    print(f"{whole.flashes} flashes of seed {seed} on {', '.join(map(str, builds))} in {seconds:.0f} s")
    print(f"model : silicon = {whole.model_rate / whole.silicon_rate:.1f} : 1 in boots per CPU second")
    print("flashes: " + ", ".join(f"{name} {count}" for name, count in sorted(whole.chips.items())))
    print("outcomes: " + ", ".join(f"{name} {count}" for name, count in whole.outcomes.most_common()))
    for name, count in whole.not_followed.most_common():
        print(f"not compared: {count}, {name}")
    print("rules reached, seldom ones first:")
    for name, count in sorted(whole.rules.items(), key=lambda item: item[1]):
        print(f"  {count:6d}  {count / max(whole.flashes, 1):7.2%}  {name}")
    print(whole.disagreement or "no disagreement")
    return int(whole.disagreement is not None)


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flashes", type=int, default=20_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", metavar="BUILD/N")
    options = parser.parse_args()
    sys.exit(
        again(options.seed, options.only) if options.only else main(options.flashes, options.seed, options.processes)
    )
