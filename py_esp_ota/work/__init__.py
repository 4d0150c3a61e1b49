"""Work that can be shared out: pure jobs, cut into numbered shards, whose reports merge by a rule.

``run(Work(do, data, merge, nothing), range(100), Here())`` does all shards and gives one report. It is the same report
whoever does them (this process, processes beside it, Ray), whatever their number, in whatever order they are done.
"""

from __future__ import annotations

from py_esp_ota.work.crew import Crew, Done, Executor, Here, Lost, Next
from py_esp_ota.work.packed import Packed, Stranger, WorkError
from py_esp_ota.work.run import INTERRUPTION, Outcome, Told, run
from py_esp_ota.work.work import Work

__all__ = [
    "INTERRUPTION",
    "Crew",
    "Done",
    "Executor",
    "Here",
    "Lost",
    "Next",
    "Outcome",
    "Packed",
    "Stranger",
    "Told",
    "Work",
    "WorkError",
    "run",
]
