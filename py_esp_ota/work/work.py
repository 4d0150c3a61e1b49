"""What a piece of work is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

D = TypeVar("D")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Work(Generic[D, R]):
    """A pure job.

    ``do`` is a named function of a module: of ``data`` and the number of a shard it makes the report of that shard, and
    of the same two always the same report, on whatever machine. It draws no lots but from its shard's number, and asks
    no clock but a virtual one. ``data`` and reports are plain: they go through a pipe by pickle; ``data`` goes once to
    each worker, and is there the same object at each call, so that what ``do`` makes of it may be kept.

    ``merge`` makes of two reports one. It is commutative and associative, and ``nothing``, the report of no shard,
    changes nothing: so the order in which shards are done cannot be seen. Sums of floats are no such rule.
    """

    do: Callable[[D, int], R]
    data: D
    merge: Callable[[R, R], R]
    nothing: R
