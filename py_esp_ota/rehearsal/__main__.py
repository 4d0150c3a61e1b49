"""One rehearsal in a process of its own: an order on standard input, progress and the forecast on standard output.

The order is ``{"weather": str, "seed": int, "job": str, "document": {...}}``; what is written are lines of JSON:
``{"progress": [nodes, seconds]}``, at the end ``{"forecast": {...}}`` or ``{"problem": "one sentence"}``.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

from py_esp_ota.adapters.child import be_a_child
from py_esp_ota.cloud.standing import Tally
from py_esp_ota.rehearsal.document import rehearsal_in
from py_esp_ota.rehearsal.rehearse import rehearse
from py_esp_ota.strict_json import read_json

MEMORY = 6 << 30
"""Bytes that a rehearsal may have: ten thousand copies, and a few thousand images of a megabyte as they are written."""
SECONDS = 1800
"""Of processor time."""
_GC = (20_000, 20, 20)  # as `esp-ota` starts
_EVERY_S = 600  # of the campaign, between two words about it


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Play what is asked for; 0 when there is a forecast or a sentence."""
    gc.set_threshold(*_GC)
    last = (-1, -1)

    def told(whole: Tally, seconds: int) -> None:
        nonlocal last
        if (now := (whole.closed, seconds // _EVERY_S)) != last:
            last = now
            _say(progress=[whole.closed, seconds])

    try:
        order = read_json(be_a_child(sys.stdin.buffer, memory=MEMORY, seconds=SECONDS))
        rehearsal = rehearsal_in(order["document"])
        forecast = rehearse(rehearsal, weather=order["weather"], seed=order["seed"], job=order["job"], told=told)
        _say(forecast=forecast.to_json())
    except ValueError as error:
        _say(problem=str(error))
    except MemoryError:
        _say(problem=f"it needs more memory than the {MEMORY >> 30} GB that it may have")
    return 0


if __name__ == "__main__":
    sys.exit(main())
