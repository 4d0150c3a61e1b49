"""Who does the work of a verb: ``--on`` and ``--jobs``, the same for each verb that has much to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from py_esp_ota.adapters.on_ray import OnRay
from py_esp_ota.adapters.processes import Processes, cores
from py_esp_ota.cli.complete import Workplace
from py_esp_ota.work import Executor, Here

_F = TypeVar("_F", bound=Callable[..., Any])
_MOST = 4096
#: How a verb ends whose work was stopped by something else than the user.
STOPPED = 2


def work_options(verb: _F) -> _F:
    """The options ``--on`` and ``--jobs``: ``where`` and ``jobs`` for ``executor``."""
    on = click.option(
        "--on",
        "where",
        type=Workplace(),
        default="here",
        show_default=True,
        help="Who does it: processes of this machine, a Ray here, or a cluster at ray://HOST:PORT.",
    )
    jobs = click.option(
        "--jobs",
        type=click.IntRange(1, _MOST),
        metavar="N",
        help="So many at once; 1 here when not given, and every processor of a Ray.",
    )
    return on(jobs(verb))


def executor(where: str, jobs: int | None) -> Executor:
    """Who does it."""
    if where == "here":
        return Here() if jobs in {None, 1} else Processes(jobs)
    return OnRay(None if where == "ray" else where, jobs)


def workers_here(where: str, jobs: int | None) -> int:
    """How many share this machine and its memory; 0 when the work is done on others."""
    if where == "here":
        return jobs or 1
    elsewhere = OnRay(None if where == "ray" else where).cluster is not None
    return 0 if elsewhere else jobs or cores()
