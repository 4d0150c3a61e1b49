"""libFuzzer's campaigns as work that is shared out: ``make fuzz``.

::

    python -m tools.fuzz --binaries FOLDER [--runs 10000000] [--shards 2] [--seed 1] [--jobs 2] TARGET ...

A shard is a target and a seed: its binary begins with what the target's corpus held when the campaign began, in a
folder of its own, and makes its share of the runs. What shards found is put together as sets, for files are named by
their content; at the end the corpus has all of it. By processes of this machine alone: binaries and corpus are here.
Exit 1 when anything crashed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from py_esp_ota.adapters.processes import Processes
from py_esp_ota.work import Work, run

ROOT = Path(__file__).parents[1]
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # a worker may be killed, at a Ctrl-C say
_MOST_BYTES = 8192  # of an input
_TAIL = 30  # lines of a crash that are shown
_RUNS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_COVERAGE = re.compile(r"INITED cov: (\d+)")


@dataclass(frozen=True, slots=True)
class Campaign:
    """Which targets, how often, and where things lie. Shards are the targets in turn, each time with the next seed."""

    targets: tuple[str, ...]
    runs: int  # of each target
    shards: int  # of each target
    seed: int
    binaries: Path
    corpus: Path
    seeds: Path

    def folders(self, target: str) -> list[Path]:
        """Where inputs of a target lie: those that were found, and those to begin with."""
        return [folder / target for folder in (self.corpus, self.seeds) if (folder / target).is_dir()]

    def share(self, number: int) -> int:
        """Runs of the shard of a target with that number."""
        return self.runs // self.shards + (number < self.runs % self.shards)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a target: how many runs, new inputs, and inputs that end it, with the last lines that it said."""

    runs: int = 0
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    crashes: Mapping[str, bytes] = field(default_factory=dict)
    said: frozenset[str] = frozenset()

    def __add__(self, other: Found) -> Found:
        return Found(
            self.runs + other.runs,
            {**self.inputs, **other.inputs},
            {**self.crashes, **other.crashes},
            self.said | other.said,
        )


Report = Mapping[str, Found]


def merge(one: Report, other: Report) -> Report:
    """Both, target by target."""
    return {name: one.get(name, Found()) + other.get(name, Found()) for name in {**one, **other}}


def fuzz(campaign: Campaign, shard: int) -> Report:
    """One shard, in a folder of its own."""
    number, which = divmod(shard, len(campaign.targets))
    target = campaign.targets[which]
    with TemporaryDirectory() as made:
        inputs, crashes = Path(made, "inputs"), Path(made, "crashes")
        inputs.mkdir()
        crashes.mkdir()
        options = (f"-runs={campaign.share(number)}", f"-seed={campaign.seed + number}", "-print_final_stats=1")
        done = _started(campaign, target, [inputs, *campaign.folders(target)], f"-artifact_prefix={crashes}/", *options)
        ended = _contents(crashes)
        bad = done.returncode != 0
        found = Found(
            runs=sum(map(int, _RUNS.findall(done.stderr))),
            inputs=_contents(inputs),
            crashes={f"{target}-{name}": data for name, data in ended.items()},
            said=frozenset({"\n".join(done.stderr.splitlines()[-_TAIL:])} if bad else ()),
        )
    return {target: found}


def coverage(campaign: Campaign, target: str) -> int:
    """How many edges all inputs of a target reach together."""
    done = _started(campaign, target, campaign.folders(target), "-runs=0", "-verbosity=1")
    return max(map(int, _COVERAGE.findall(done.stderr)), default=0)


def _started(
    campaign: Campaign, target: str, folders: Sequence[Path], *options: str
) -> subprocess.CompletedProcess[str]:
    words = [
        *_ENDS_WITH_US,
        *_one_place(),
        campaign.binaries / target,
        *folders,
        f"-max_len={_MOST_BYTES}",
        "-verbosity=0",
        *options,
    ]
    return subprocess.run(words, check=False, capture_output=True, text=True, errors="replace")  # noqa: S603 - ours


@cache
def _one_place() -> Sequence[str]:
    """Code at the same addresses at each start, where we may have it: libFuzzer counts by them, so a seed is a seed."""
    words = ("setarch", "-R")
    tried = subprocess.run([*words, "true"], check=False, capture_output=True)  # noqa: S603 - words of ours
    return words if tried.returncode == 0 else ()


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _kept(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        Path(folder, name).write_bytes(data)


def main(words: Sequence[str] | None = None) -> int:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", metavar="TARGET", nargs="+")
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--corpus", type=Path, default=ROOT / "target/fuzz/corpus")
    parser.add_argument("--crashes", type=Path, default=ROOT / "target/fuzz/crashes")
    said = parser.parse_args(words)
    campaign = Campaign(
        targets=tuple(said.targets),
        runs=said.runs,
        shards=said.shards,
        seed=said.seed,
        binaries=said.binaries.resolve(),
        corpus=said.corpus.resolve(),
        seeds=ROOT / "rust/fuzz/corpus",
    )
    nothing: Report = {}
    shards = range(len(campaign.targets) * campaign.shards)
    done = run(Work(fuzz, campaign, merge, nothing), shards, Processes(said.jobs))
    bad = False
    for target, found in sorted(done.report.items()):
        _kept(found.inputs, campaign.corpus / target)
        _kept(found.crashes, said.crashes)
        edges = coverage(campaign, target)
        print(
            f"{target}: {found.runs} runs, {len(found.inputs)} new inputs, {edges} edges, {len(found.crashes)} crashes"
        )
        print(*sorted(found.said), sep="\n", end="\n" if found.said else "")
        bad = bad or bool(found.crashes or found.said)
    if done.stopped:
        print(f"not all of it: {done.stopped}")
    return int(bad or bool(done.stopped))


if __name__ == "__main__":
    from tools import fuzz as module  # workers find functions of modules

    sys.exit(module.main())
