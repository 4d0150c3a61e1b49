"""A forecast in words: for the terminal, and one device that was played alone, line by line. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from py_esp_ota.cloud.forecasts import clock, course, headline, kinds_of
from py_esp_ota.rehearsal.play import BOOTS
from py_esp_ota.rehearsal.rehearse import Lone

_BAR = 40
_ODD = 8  # devices of each kind that are shown
_Json = Mapping[str, Any]

__all__ = ["clock", "forecast_text", "headline", "lone_text"]


def forecast_text(forecast: _Json, *, every: bool = False) -> list[str]:
    """All of it, line by line; ``every`` odd device, or a few of each kind."""
    title = "{name}, {nodes} nodes, weather {weather}, seed {seed}".format(**forecast)
    lines = [title, headline(forecast)]
    if forecast["why"]:
        lines.append(f"  because {forecast['why']}")
    if len(forecast["phases"]) > 1:
        lines += ["", *_phases(forecast["phases"])]
    lines += ["", *_course(forecast), "", *_shares(forecast["shares"])]
    if forecast["groups"]:
        lines += ["", "without the update:", *map(_group, forecast["groups"])]
    if forecast["odd"]:
        lines += ["", "odd devices, each with the line that plays it alone:", *_odd(forecast["odd"], every=every)]
    return [*lines, "", *_assumed(forecast)]


def _phases(phases: Sequence[_Json]) -> Iterator[str]:
    yield f"{'phase':>5} {'nodes':>6} {'begins':>10} {'gate met':>10} {'ends':>10} {'updated':>8} {'missed':>7}"
    for number, phase in enumerate(phases, 1):
        times = " ".join(f"{clock(phase[key]):>10}" for key in ("began", "gate_met", "ended"))
        yield f"{number:>5} {phase['nodes']:>6} {times} {phase['updated']:>8} {phase['missed']:>7}"


def _course(forecast: _Json) -> Iterator[str]:
    """A bar for each of a few moments: updated, missed, had its turn."""
    for seconds, turned, updated, missed in course(forecast):
        good, bad = (_BAR * count // forecast["nodes"] for count in (updated, missed))
        begun = max(_BAR * turned // forecast["nodes"] - good - bad, 0)
        bar = "#" * good + "x" * bad + "-" * begun
        yield f"{clock(seconds):>10} [{bar:<{_BAR}}] {updated} updated" + (f", {missed} missed" if missed else "")


def _shares(shares: Sequence[_Json]) -> Iterator[str]:
    for share in shares:
        missed = f", {share['missed']} missed" if share["missed"] else ""
        yield f"{share['what']:>8} {share['value']}: {share['updated']} of {share['nodes']} updated{missed}"


def _group(group: _Json) -> str:
    more = f" and {group['nodes'] - len(group['named'])} more" if group["nodes"] > len(group["named"]) else ""
    info = f": {group['info']}" if group["info"] else ""
    return f"  {group['nodes']:>5}  {group['status']}{info} ({', '.join(group['named'])}{more})"


def _odd(odd: Sequence[_Json], *, every: bool) -> Iterator[str]:
    for kind in kinds_of(odd):
        yield f"  {len(kind.devices)} met {kind.met}: {kind.ended}"
        shown = kind.devices if every else kind.devices[:_ODD]
        for each in shown:
            attempts = f", {_many(each['attempts'], 'attempt')} failed" if each["attempts"] else ""
            yield f"    {each['node_id']} at {clock(each['seconds'])}, {_many(each['boots'], 'boot')}{attempts}"
            yield f"      {each['replay']}"
        if len(kind.devices) > len(shown):
            yield f"    and {len(kind.devices) - len(shown)} more (--full)"


def _assumed(forecast: _Json) -> Iterator[str]:
    if forecast["left_out"]:
        yield f"{forecast['left_out']} nodes have the update already and are left out."
    yield f"the weather {forecast['weather']}:"
    yield from (f"  {sentence}" for sentence in forecast["conditions"])
    if forecast["assumed"]:
        yield "not known of these boards, and assumed:"
    for each in forecast["assumed"]:
        yield f"  {each['nodes']:>5}  {each['sentence']}"
    yield "not as in the field:"
    yield from (f"  {sentence}" for sentence in forecast["simplified"])


def lone_text(lone: Lone) -> list[str]:
    """One device: everything that it printed, and what the cloud heard and did."""
    lines = [f"{lone.node_id}, weather {lone.weather or 'fine'}, seed {lone.seed}", ""]
    for said in lone.said:
        seconds = f"{'-' if said.seconds < 0 else ''}{clock(round(abs(said.seconds)))}"
        lines.append(f"{seconds:>10} {said.who:<5} {said.text}")
    return [*lines, "", f"{lone.status}{f': {lone.info}' if lone.info else ''}; {_boots(lone)}"]


def _boots(lone: Lone) -> str:
    return _many(lone.boots, "boot") + (", in a boot loop" if lone.boots >= BOOTS else "")


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
