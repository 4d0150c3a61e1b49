"""Rehearsals: a campaign on virtual copies of its nodes, under chosen weather, in virtual time.

::

    document ──read──> Rehearsal ─┐
    "home-wifi" ──> Climate ──deal──> Fate of each node ──play──> Played ──forecast──> Forecast

The cloud that hands out and the firmware that updates are the real ones; only clock, network and boards are simulated.
The same document, weather and seed give the same forecast, byte for byte.
"""

from __future__ import annotations

from py_esp_ota.rehearsal.climate import CLIMATES, Climate, climate_of
from py_esp_ota.rehearsal.document import read_rehearsal
from py_esp_ota.rehearsal.forecast import Forecast
from py_esp_ota.rehearsal.rehearse import Lone, rehearse, rehearse_one

__all__ = ["CLIMATES", "Climate", "Forecast", "Lone", "climate_of", "read_rehearsal", "rehearse", "rehearse_one"]
