"""Rehearsals that are nothing but their words: what is behind the door when only the door is tried."""

from __future__ import annotations

from dataclasses import replace

from py_esp_ota.cloud.rehearsals import Rehearsal, RehearsalView, Stage, WeatherChoice

FORECAST = {
    "ok": False,
    "name": "lamps",
    "nodes": 1000,
    "weather": "bad-image",
    "seed": 0,
    "state": "aborted",
    "phase": 2,
    "why": "3 of 110 nodes rolled back; the limit is 3",
    "seconds": 3725,
    "updated": 100,
    "updated_after": 3700,
    "rolled_back": 3,
    "missed": 4,
    "waiting": 896,
    "boot_loops": 0,
    "phases": [
        {"nodes": 100, "began": 0, "gate_met": 60, "ended": None, "updated": 98, "missed": 1},
        {"nodes": 900, "began": 3660, "gate_met": None, "ended": None, "updated": 2, "missed": 3},
    ],
    "groups": [
        {"status": "triggered", "info": "its turn never came", "reason": "", "nodes": 896, "named": ["a", "b"]},
        {"status": "rejected", "info": "Firmware rolled back", "reason": "rolled_back", "nodes": 3, "named": ["c"]},
    ],
    "shares": [{"what": "chip", "value": "esp32c3", "nodes": 1000, "updated": 100, "missed": 4}],
    "samples": [[0, 100, 0, 0], [3725, 110, 100, 4]],
    "odd": [
        {
            "node_id": "c",
            "met": "app-no",
            "status": "rejected",
            "info": "Firmware rolled back",
            "reason": "rolled_back",
            "seconds": 3725,
            "attempts": 1,
            "boots": 3,
            "replay": "esp-ota cloud rehearse rehearsal-1.json --alone c --weather app-no+slow@200000 --seed 0",
        }
    ],
    "conditions": ["5 % of the devices meet app-no."],
    "assumed": [{"sentence": "the chip is not known: the image's, esp32c3", "nodes": 2, "named": ["a", "b"]}],
    "simplified": ["Writing and erasing flash takes no time."],
    "left_out": 2,
}


class FewRehearsals:
    """``cloud.rehearsals.Rehearsals`` that are over when a test says so."""

    def __init__(self):
        self.views: dict[str, RehearsalView] = {}
        self.kept: dict[str, Rehearsal] = {}

    weathers = (WeatherChoice("fine", "Nothing goes wrong."), WeatherChoice("bad-image", "The new firmware is bad."))

    def start(self, rehearsal, *, ota_job_id="", weather="", seed=0):
        name = str(len(self.views) + 1)
        view = RehearsalView(
            rehearsal_id=name,
            ota_job_id=ota_job_id,
            ota_job_name=rehearsal.job.name,
            nodes=len(rehearsal.nodes),
            weather=weather,
            seed=seed,
            stage=Stage.RUNNING,
        )
        self.views[name], self.kept[name] = view, rehearsal
        return view

    def get(self, rehearsal_id):
        return self.views.get(rehearsal_id)

    def all(self):
        return list(reversed(self.views.values()))

    def played(self, rehearsal_id):
        return self.kept.get(rehearsal_id)

    def cancel(self, rehearsal_id):
        self.views[rehearsal_id] = replace(self.views[rehearsal_id], stage=Stage.CANCELLED)

    def finish(self, rehearsal_id, **words):
        self.views[rehearsal_id] = replace(
            self.views[rehearsal_id], **{"stage": Stage.DONE, "forecast": FORECAST, **words}
        )
