"""All profiles by name."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.field.profiles.data import arduino, esphome, idf_example, micropython, rainmaker, tasmota, wled
from py_esp_ota.field.profiles.profile import Profile

PROFILES: Mapping[str, Profile] = {
    data.PROFILE.name: data.PROFILE for data in (arduino, esphome, wled, tasmota, micropython, rainmaker, idf_example)
}


def named(name: str) -> Profile:
    """One profile. Raises ``ValueError`` for a name that none has."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"no profile is called {name!r}; there are {', '.join(PROFILES)}") from None
