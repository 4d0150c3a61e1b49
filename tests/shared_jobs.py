"""Work for the tests, in a module, where workers find it."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

from py_esp_ota.sweep.order import Order
from py_esp_ota.sweep.part import SweepPart
from py_esp_ota.sweep.shared import first_cuts
from py_esp_ota.work import Work


def squares(data: int, shard: int) -> Counter[int]:
    """Last digits of squares, counted."""
    return Counter((shard * data + number) ** 2 % 10 for number in range(data))


def dies_once(folder: str, shard: int) -> Counter[int]:
    """Shard 3 is the death of the first worker that does it."""
    mark = Path(folder, "died")
    if shard == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(10, shard)


def deadly(_data: object, shard: int) -> Counter[int]:
    """Shard 3 is the death of every worker."""
    if shard == 3:
        os._exit(7)
    return squares(10, shard)


def fails(pace: float, shard: int) -> Counter[int]:
    """Later shards fail sooner."""
    if shard >= 3:
        time.sleep(pace * (8 - shard))
        raise LookupError(f"no shard {shard}")
    return squares(10, shard)


class OddError(Exception):
    """It cannot be made anew from its pickle."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(f"{a} and {b}")


def odd(_data: object, shard: int) -> Counter[int]:
    raise OddError("this", f"shard {shard}")


def counting(do, data):
    return Work(do, data, Counter.__add__, Counter())


def slow(_data: object, shard: int) -> Counter[int]:
    """As work is: it takes a while."""
    time.sleep(0.02)
    return squares(10, shard)


def notes_its_number(folder: str, shard: int) -> Counter[int]:
    """Somebody wants to know who does it."""
    Path(folder, "worker").write_text(str(os.getpid()))
    return slow(None, shard)


def dies_in_a_sweep(told: tuple[str, Order], shard: int) -> SweepPart:
    """A stretch of first cuts; the first worker that comes to stretch 40 is killed there."""
    folder, order = told
    mark = Path(folder, "died")
    if shard == 40 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return first_cuts(order, shard)
