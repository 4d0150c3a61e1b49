"""Timing with a peer in the same run: medians, interleaved, so that a busy machine hurts both alike."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """One result: ours and the peer's seconds, measured in the same run, and how much of the peer's ours may take.

    ``also`` is what must hold besides, which does not depend on how fast the machine is.
    """

    name: str
    ours: float
    peer_name: str
    peer: float
    at_most: float
    also: bool = True
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the goal is met."""
        return self.ours <= self.at_most * self.peer and self.also

    def row(self) -> str:
        """A line for the terminal."""
        verdict = "ok  " if self.ok else "MISS"
        ratio = f"{_ratio(self.ours / self.peer):>8} the time of {self.peer_name} ({_seconds(self.peer)})"
        return (
            f"{verdict} {self.name:<42} {_seconds(self.ours):>10} {ratio:<68} goal: {_ratio(self.at_most)}{self.note}"
        )


def interleaved(ours: Callable[[], object], peer: Callable[[], object], rounds: int = 31) -> tuple[float, float]:
    """Median seconds of both, measured in turns after one warm-up each."""
    ours(), peer()
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, bucket in zip((ours, peer), samples, strict=True):
            bucket.append(once(run))
    return statistics.median(samples[0]), statistics.median(samples[1])


def once(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def fresh(run: Callable[..., T], *given: object) -> T:
    """A call in a process of its own: memory that others have freed would hide what it takes."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, *given).result()


def process(command: Sequence[str]) -> Callable[[], object]:
    """A whole process as a call."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


def _ratio(value: float) -> str:
    return f"{value:.2f}x" if value > 0.05 else f"1/{1 / value:.0f}"


def _seconds(value: float) -> str:
    if value < 1e-3:
        return f"{value * 1e6:.1f} us"
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
