"""A forecast in words, for terminal and page alike. It comes as the document that whoever played it made. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MOMENTS = 8

Forecast = Mapping[str, Any]
"""As ``esp-ota cloud rehearse --json`` prints it."""


@dataclass(frozen=True, slots=True)
class OddKind:
    """Odd devices that met the same and ended alike."""

    met: str
    status: str
    info: str
    devices: Sequence[Mapping[str, Any]]

    @property
    def ended(self) -> str:
        """How, in the words of the report."""
        return f"{self.status}: {self.info}" if self.info else self.status


def clock(seconds: int | None) -> str:
    """``h:mm:ss``, of days as well; a dash for what does not happen."""
    if seconds is None:
        return "-"
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def headline(forecast: Forecast) -> str:
    """What it comes to, in one line."""
    counts = f"{forecast['updated']} of {forecast['nodes']} updated"
    late = forecast["updated_after"] is not None and forecast["updated_after"] != forecast["seconds"]
    counts += f" (the last after {clock(forecast['updated_after'])})" if late else ""
    other = forecast["missed"] - forecast["rolled_back"]
    others = (
        (forecast["rolled_back"], "rolled back"),
        (other, "failed"),
        (forecast["waiting"], "waiting"),
        (forecast["boot_loops"], "of them in a boot loop"),
    )
    counts += "".join(f", {count} {what}" for count, what in others if count)
    if forecast["state"] == "completed":
        return f"{'done' if forecast['ok'] else 'over'} after {clock(forecast['seconds'])}: {counts}"
    where = f" in phase {forecast['phase']}" if len(forecast["phases"]) > 1 and forecast["phase"] else ""
    after = "" if forecast["seconds"] is None else f" after {clock(forecast['seconds'])}"
    return f"{forecast['state']}{where}{after}: {counts}"


def course(forecast: Forecast) -> Sequence[Sequence[int]]:
    """A few of its samples, as far apart as they can be, the first and the last among them."""
    samples: Sequence[Sequence[int]] = forecast["samples"]
    return [*samples[: -1 : max(len(samples) // _MOMENTS, 1)], *samples[-1:]]


def kinds_of(odd: Sequence[Mapping[str, Any]]) -> list[OddKind]:
    """Odd devices by what they met and how they ended, the largest kind first."""
    kinds: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for each in odd:
        kinds.setdefault((each["met"] or "fine weather", each["status"], each["info"]), []).append(each)
    found = [OddKind(*key, devices) for key, devices in kinds.items()]
    return sorted(found, key=lambda kind: (-len(kind.devices), kind.met, kind.ended))
