"""Watching a job until it ends: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from py_esp_ota.cli.cloud.answers import Json, Refused, Unreached, single
from py_esp_ota.cli.cloud.standing import Standing
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say
from py_esp_ota.view.visible import visible

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud

PATH = "admin/otajob"
_PATIENCE_S = 300.0  # a campaign outlives a cloud that is restarted
_TRY_AGAIN = frozenset({423, 429, *range(500, 600)})


def standing_of(cloud: Cloud, job_id: str) -> Standing:
    """Where a job stands now. Raises ``Refused``, ``Unreached``."""
    job = _job(cloud, job_id)
    nodes = list(cloud.pages(f"{PATH}/status", "node_ota_status", {"ota_job_id": job_id}))
    if Standing(job, nodes).behind:
        job = _job(cloud, job_id)
    return Standing(job, nodes, cloud.ask("GET", f"{PATH}/status/summary", {"ota_job_id": job_id}))


def _job(cloud: Cloud, job_id: str) -> Json:
    try:
        job = single(cloud.ask("GET", PATH, {"ota_job_id": job_id}), "ota_jobs", "ota_job_id", PATH)
    except Refused as error:
        raise error.about(job_id) from None
    if job is None:
        raise Refused(f"there is no job {job_id}")
    return job


def watch(cloud: Cloud, job_id: str, *, interval: float, within: int | None, as_json: bool) -> int:
    """Look until the job ends, or ``within`` seconds are over. Returns the exit code: 0 when every node took it."""
    screen = _Screen(live=sys.stdout.isatty() and not as_json, err=as_json)
    began = time.monotonic()
    look = _patient(lambda: standing_of(cloud, job_id))
    now = standing_of(cloud, job_id)  # a job that is not there, or a cloud that is not, is no outage
    screen.show(now)
    while not now.ended and (within is None or time.monotonic() - began < within):
        time.sleep(interval)
        now = look() or now
        screen.show(now)
    if as_json:
        print_json(now.to_json())
    else:
        screen.close(now)
    if not now.ended:
        say(f"the job has not ended within {within} s", err=as_json)
    if why := now.verdict():
        say(*why, err=as_json)
    return 0 if now.done else 1


class _Screen:
    """What was shown last, and what is shown instead of it."""

    def __init__(self, *, live: bool, err: bool) -> None:
        self._live = live
        self._err = err
        self._last: Standing | None = None
        self._drawn: list[str] = []

    def show(self, now: Standing) -> None:
        if self._live:
            size = shutil.get_terminal_size()
            self._draw([visible(line) for line in now.table(size.columns, size.lines)])
        else:
            lines = now.changes(self._last)
            if lines:
                say(*lines, err=self._err)
        self._last = now

    def close(self, now: Standing) -> None:
        """The end: the headline, where no table shows it."""
        if not self._live:
            say(now.headline())

    def _draw(self, lines: list[str]) -> None:
        if lines == self._drawn:
            return
        back = f"\x1b[{len(self._drawn)}F\x1b[J" if self._drawn else ""
        click.echo(back + "\n".join(lines), color=True)
        self._drawn = lines


def _patient(look: Callable[[], Standing]) -> Callable[[], Standing | None]:
    """``look``, that finds nothing while the cloud is away; after ``_PATIENCE_S`` of that it raises why."""
    away_since: list[float] = []

    def tried() -> Standing | None:
        try:
            found = look()
        except (Refused, Unreached) as error:
            if isinstance(error, Refused) and error.status not in _TRY_AGAIN:
                raise
            if not away_since:
                say(f"{error.message}; trying again", err=True)
                away_since.append(time.monotonic())
            if time.monotonic() - away_since[0] > _PATIENCE_S:
                raise
            return None
        away_since.clear()
        return found

    return tried
