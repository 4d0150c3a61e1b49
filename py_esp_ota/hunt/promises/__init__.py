"""What must hold in every world, each promise in a file of its own.

A promise is asked at four moments: at each boot of a board (``at_boot``), of a copy of its flash whenever it has
changed (``at_look``), when it reports something (``at_line``), and when faults have stopped and everybody had the time
to come to the target (``at_end``). It answers with a ``Broken``, or with nothing. Where the chip itself does not hold
it, ``as_the_chip`` names the upstream function, and the world goes on.
"""

from __future__ import annotations

from py_esp_ota.hunt.promises import (
    approved,
    bootable,
    confirmed,
    ends,
    event_log,
    images,
    job_books,
    liveness,
    lock_out,
    neighbours,
    otadata,
    phases,
    received,
    settings,
    trial,
    truth,
    withdrawn,
)
from py_esp_ota.hunt.promises.promise import Promise

PROMISES: tuple[Promise, ...] = (
    bootable.PROMISE,
    images.PROMISE,
    trial.PROMISE,
    ends.PROMISE,
    otadata.PROMISE,
    confirmed.PROMISE,
    lock_out.PROMISE,
    settings.PROMISE,
    received.PROMISE,
    truth.PROMISE,
    job_books.PROMISE,
    event_log.PROMISE,
    phases.PROMISE,
    withdrawn.PROMISE,
    approved.PROMISE,
    neighbours.PROMISE,
    liveness.PROMISE,
)
"""In the order in which they are asked: the first that is broken is what a world is reported for."""

__all__ = ["PROMISES", "Promise"]
