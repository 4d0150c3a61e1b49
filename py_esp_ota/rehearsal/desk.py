"""The door behind which a server's rehearsals are played: one at a time, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

from py_esp_ota.adapters.child import ChildError, run_child
from py_esp_ota.cloud.live import Live
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import Rehearsal, RehearsalView, Stage, WeatherChoice, too_large
from py_esp_ota.rehearsal.climate import CLIMATES, climate_of
from py_esp_ota.rehearsal.rehearse import SEED_LIMIT

KEPT = 10
"""Rehearsals that are remembered while the server runs; a forecast is made again in a minute."""
WAITING = 3
"""Rehearsals that may wait for the one that is played."""
LONGEST_S = 3600.0
"""Seconds that one may take, on a machine that is busy with other things as well."""

_MODULE = "py_esp_ota.rehearsal"
_OPEN = frozenset({Stage.WAITING, Stage.RUNNING})


class Desk:
    """``cloud.rehearsals.Rehearsals``."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._numbers = count(1)
        self._views: dict[str, RehearsalView] = {}
        self._played: dict[str, Rehearsal] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """It is open while the context is entered; what is played then ends with it."""
        try:
            yield
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def weathers(self) -> Sequence[WeatherChoice]:
        """See ``Rehearsals``."""
        return [WeatherChoice(climate.name, climate.sentence) for climate in CLIMATES.values()]

    def start(self, rehearsal: Rehearsal, *, ota_job_id: str = "", weather: str = "", seed: int = 0) -> RehearsalView:
        """See ``Rehearsals``."""
        if len(self._tasks) > WAITING:
            raise _refused(f"one rehearsal is played and {WAITING} wait already; cancel one, or try again later")
        if problem := too_large(rehearsal):
            raise _refused(problem)
        try:
            climate_of(weather)
        except ValueError as error:
            raise _refused(str(error)) from error
        if not 0 <= seed < SEED_LIMIT:
            raise _refused(f"seed: a whole number from 0 to {SEED_LIMIT - 1}")
        view = RehearsalView(
            rehearsal_id=str(next(self._numbers)),
            ota_job_id=ota_job_id,
            ota_job_name=rehearsal.job.name,
            nodes=len(rehearsal.nodes),
            weather=weather,
            seed=seed,
            stage=Stage.WAITING,
        )
        self._views[view.rehearsal_id] = view
        self._played[view.rehearsal_id] = rehearsal
        self._forget()
        life = self._play(view, rehearsal)
        task = asyncio.create_task(life, name=f"rehearsal {view.rehearsal_id}")
        self._tasks[view.rehearsal_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(view.rehearsal_id, None))
        self._live.publish("rehearsal", view.rehearsal_id)
        return view

    def get(self, rehearsal_id: str) -> RehearsalView | None:
        """See ``Rehearsals``."""
        return self._views.get(rehearsal_id)

    def all(self) -> Sequence[RehearsalView]:
        """See ``Rehearsals``."""
        return list(reversed(self._views.values()))

    def played(self, rehearsal_id: str) -> Rehearsal | None:
        """See ``Rehearsals``."""
        return self._played.get(rehearsal_id)

    def cancel(self, rehearsal_id: str) -> None:
        """See ``Rehearsals``."""
        task = self._tasks.get(rehearsal_id)
        if task is not None and self._views[rehearsal_id].stage in _OPEN:
            self._set(rehearsal_id, stage=Stage.CANCELLED)
            task.cancel()

    def _forget(self) -> None:
        over = [name for name, view in self._views.items() if view.stage not in _OPEN]
        for name in over[: max(len(self._views) - KEPT, 0)]:
            del self._views[name], self._played[name]

    def _set(self, rehearsal_id: str, **words: Any) -> None:
        self._views[rehearsal_id] = replace(self._views[rehearsal_id], **words)
        self._live.publish("rehearsal", rehearsal_id)

    async def _play(self, view: RehearsalView, rehearsal: Rehearsal) -> None:
        name = view.rehearsal_id

        def hear(line: bytes) -> None:
            said: Mapping[str, object] = json.loads(line)
            match said:
                case {"progress": [closed, seconds]}:
                    self._set(name, closed=closed, seconds=seconds)
                case {"forecast": forecast}:
                    self._set(name, stage=Stage.DONE, forecast=forecast)
                case {"problem": problem}:
                    self._set(name, stage=Stage.FAILED, problem=problem)

        async with self._turn:
            self._set(name, stage=Stage.RUNNING)
            words = {"weather": view.weather, "seed": view.seed, "job": f"rehearsal-{name}.json"}
            order = json.dumps({**words, "document": rehearsal.to_json()}).encode()
            problem = "the process that plays it ended without a forecast"
            try:
                async with asyncio.timeout(LONGEST_S):
                    await run_child(_MODULE, order, hear)
            except TimeoutError:
                problem = f"it took longer than {LONGEST_S:g} s"
            except (ChildError, OSError) as error:
                problem = f"the process that plays it failed: {error}"
            if self._views[name].stage is Stage.RUNNING:
                self._set(name, stage=Stage.FAILED, problem=problem)


def _refused(why: str) -> CloudError:
    return CloudError(Refusal.REHEARSAL_REFUSED, why)
