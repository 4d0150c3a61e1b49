"""The weather of a whole campaign: which share of the devices meets what, and who of them it is. No I/O.

Weather is a name, or a mix of its own; parts are lines, or stand between semicolons::

    home-wifi                     # a climate with a name; what follows changes it
    5% drop@65536*1               # that share of the devices meets this plan (py_esp_ota.faults)
    2% cut@160:torn
    speed 20000-200000            # bytes per second of a link, each device one of the classes between
    back 24h                      # devices that are offline come back within that time
    never 5%                      # that share of them does not
    power 10m                     # after a power cut the power is back within that time

A plan alone is that plan for every device. Who meets what is drawn from the seed and the node's id, so that one device
can be played again alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from py_esp_ota._core import sha256
from py_esp_ota.faults import parse

TEXT_LIMIT = 2000
LINES_LIMIT = 50

_ALL = 100.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHARE = r"(\d{1,3}(?:\.\d{1,3})?)%"
_LINE = re.compile(rf"{_SHARE}\s+(\S+)")
_SPEED = re.compile(r"speed\s+(\d{1,9})(?:-(\d{1,9}))?")
_TIME = re.compile(r"(back|power)\s+(\d{1,6})([smhd])")
_NEVER = re.compile(rf"never\s+{_SHARE}")
_NAME = re.compile(r"[a-z]+(?:-[a-z]+)*")
_PERIOD_S = 86_400  # CONFIG_ESP_RMAKER_OTA_AUTOFETCH_PERIOD
_SETTLED_S = 60  # the youngest boot: its fetch is over
_HEX = 13  # digits, as many as a double holds
_RANGE = float(16**_HEX)


@dataclass(frozen=True, slots=True)
class Line:
    """A share of the devices, in percent, and the plan that they meet."""

    share: float
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """The weather of a campaign."""

    name: str = ""
    sentence: str = ""
    lines: tuple[Line, ...] = ()
    speed: tuple[int, int] = (200_000, 200_000)  # bytes per second; 0 is no limit
    back: int = 8 * 3600  # seconds
    never: float = 0.0  # percent of the devices that are offline
    power: int = 600  # seconds


_CLIMATES = (
    Climate(name="fine", sentence="Nothing goes wrong; links of 200 kB a second, all are back within 8 hours."),
    Climate(
        name="home-wifi",
        sentence="Slow and very different links; one in nine devices loses a download, messages or its connection.",
        lines=(
            Line(5, "drop@65536*1"),
            Line(2, "stall@40000*1"),
            Line(2, "mqtt-cut@6"),
            Line(1, "mqtt-lose@5*2"),
            Line(1, "connect@113*2"),
        ),
        speed=(20_000, 200_000),
        back=86_400,
        never=2.0,
    ),
    Climate(
        name="bad-day",
        sentence="The server answers 503, links break again and again, and the power fails while flash is written.",
        lines=(
            Line(10, "drop@65536*3"),
            Line(6, "status@503*4"),
            Line(4, "stall@40000*3"),
            Line(3, "mqtt-cut@5*3"),
            Line(3, "cut@40:torn"),
            Line(2, "flip@4096*2"),
        ),
        speed=(8_000, 100_000),
        back=3 * 86_400,
        never=10.0,
    ),
    Climate(
        name="bad-image",
        sentence="On one device in twelve the new firmware fails its self-test, crashes, or never says that it is fit.",
        lines=(Line(5, "app-no"), Line(2, "app-crash@3"), Line(1, "app-silent")),
    ),
    Climate(
        name="power-cuts",
        sentence="One device in five loses its power in the middle of a write, and has it again ten minutes later.",
        lines=(
            Line(8, "cut@10:torn"),
            Line(6, "cut@40:torn-program"),
            Line(4, "cut@80:torn-erase"),
            Line(2, "cut@120:after"),
        ),
    ),
)
#: Climates by their names, the finest first.
CLIMATES: Mapping[str, Climate] = {climate.name: climate for climate in _CLIMATES}
FINE = CLIMATES["fine"]


def climate_of(text: str) -> Climate:
    """The climate that a text means; nothing said is fine weather. Raises ``ValueError`` with one sentence."""
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"weather: at most {TEXT_LIMIT} characters, not {len(text)}")
    parts = [part for line in re.split(r"[\n;]", text) if (part := line.partition("#")[0].strip())]
    if len(parts) > LINES_LIMIT:
        raise ValueError(f"weather: at most {LINES_LIMIT} parts, not {len(parts)}")
    climate = FINE
    if parts and parts[0] in CLIMATES:
        climate = CLIMATES[parts.pop(0)]
    if parts:
        climate = replace(climate, name="", sentence="")
    for part in parts:
        climate = _with(climate, part)
    total = sum(line.share for line in climate.lines)
    if total > _ALL:
        raise ValueError(f"weather: its shares make {total:g} %, more than all devices")
    return climate


def conditions(climate: Climate) -> list[str]:
    """What a climate means, one sentence each."""
    low, high = climate.speed
    links = {0: "without a limit", low: f"of {low} bytes per second"}.get(high, f"of {low} to {high} bytes per second")
    lines = [f"{line.share:g} % of the devices meet {line.plan}." for line in climate.lines]
    never = f", and {climate.never:g} % of them do not" if climate.never else ""
    return [
        *lines,
        f"Links are {links}.",
        f"Devices that are offline come back within {told(climate.back)}{never}.",
        f"After a power cut the power is back within {told(climate.power)}.",
    ]


def told(seconds: int) -> str:
    """A time in the weather's words: ``90s``, ``24h``."""
    unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _with(climate: Climate, part: str) -> Climate:
    if found := _LINE.fullmatch(part):
        return replace(climate, lines=(*climate.lines, Line(_percent(found[1], part), _plan(found[2]))))
    if found := _SPEED.fullmatch(part):
        low, high = int(found[1]), int(found[2] or found[1])
        if low > high or (low == 0) != (high == 0):
            raise ValueError(f"weather: {part!r}: the lower speed first, and 0 alone is no limit")
        return replace(climate, speed=(low, high))
    if found := _TIME.fullmatch(part):
        seconds = int(found[2]) * _UNITS[found[3]]
        return replace(climate, back=seconds) if found[1] == "back" else replace(climate, power=seconds)
    if found := _NEVER.fullmatch(part):
        return replace(climate, never=_percent(found[1], part))
    try:
        plan = _plan(part)
    except ValueError as error:
        names = f"; climates are {', '.join(CLIMATES)}" if _NAME.fullmatch(part) else ""
        raise ValueError(f"{error}{names}") from None
    return replace(climate, lines=(*climate.lines, Line(_ALL, plan)))


def _percent(text: str, part: str) -> float:
    if float(text) > _ALL:
        raise ValueError(f"weather: {part[:40]!r}: {text} % is more than all")
    return float(text)


def _plan(text: str) -> str:
    try:
        return str(parse(text))
    except ValueError as error:
        raise ValueError(f"weather: {error}") from None


# ---------------------------------------------------------------------------------------------------------------- fate


_E24 = (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91)


def _class_of(speed: float, low: int, high: int) -> int:
    """A speed like this one, of two dozen in each decade: devices whose links are alike share a life."""
    if low == high:
        return low
    tens = int(10.0 ** max(math.floor(math.log10(max(speed, 10.0))) - 1, 0))
    nearest = min((step * tens for step in _E24), key=lambda step: abs(step - speed))
    return min(max(nearest, low), high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What one device meets. Seconds count from the begin of the campaign."""

    plan: str  # in the grammar of ``py_esp_ota.faults``, its link's speed included
    boots: float  # when it booted last, a negative number; of one that is offline, when it comes back
    comes: bool = True  # it is, or will be, there
    power: float = 0.0  # how long a power cut lasts
    away: tuple[tuple[float, float], ...] = ()  # from when to when it is switched off


class Dealt(Protocol):
    """One device among those that share a climate."""

    @property
    def node_id(self) -> str:
        """Who it is."""

    @property
    def online(self) -> bool:
        """Whether it is there when the campaign begins."""


def drawn(seed: int, node_id: str, what: str) -> float:
    """A number from 0 to 1, 1 excluded: the same for the same node, whoever else is there."""
    return int(sha256(f"{seed}:{what}:{node_id}".encode()).hex()[:_HEX], 16) / _RANGE


def met(plan: str) -> str:
    """What of a plan is more than the speed of the link."""
    return "+".join(part for part in plan.split("+") if not part.startswith("slow@"))


def ranked(seed: int, node_ids: Iterable[str], what: str) -> list[str]:
    """Devices in an order that is drawn: the first of them are as many as one wants."""
    return sorted(node_ids, key=lambda node_id: (drawn(seed, node_id, what), node_id))


def deal(climate: Climate, devices: Sequence[Dealt], seed: int) -> dict[str, Fate]:
    """The fate of each device; shares are kept as exactly as the number of devices allows."""
    order = ranked(seed, (device.node_id for device in devices), "line") if climate.lines else []
    plans = {node_id: _at((place + 0.5) * _ALL / len(order), climate.lines) for place, node_id in enumerate(order)}
    away = ranked(seed, (device.node_id for device in devices if not device.online), "never")
    lost = frozenset(away[: round(len(away) * climate.never / _ALL)])
    return {
        device.node_id: _fate(climate, device, seed, plans.get(device.node_id, ""), comes=device.node_id not in lost)
        for device in devices
    }


def weather_of(fate: Fate, climate: Climate) -> str:
    """Weather that brings one device this fate, whatever its share of the climate is: for ``deal`` of the same seed."""
    parts = [fate.plan] if fate.plan else []
    parts += [] if "slow@" in fate.plan else ["speed 0"]
    parts += [] if climate.power == FINE.power else [f"power {told(climate.power)}"]
    return "; ".join(parts)


def _at(percent: float, lines: Sequence[Line]) -> str:
    for line in lines:
        if percent < line.share:
            return line.plan
        percent -= line.share
    return ""


def _fate(climate: Climate, device: Dealt, seed: int, plan: str, *, comes: bool) -> Fate:
    def draw(what: str) -> float:
        return drawn(seed, device.node_id, what)

    low, high = climate.speed
    speed = _class_of(low + draw("speed") * (high - low), low, high)
    if speed and "slow@" not in plan:
        plan = "+".join(part for part in (plan, f"slow@{speed}") if part)
    boots = -_SETTLED_S - draw("boot") * (_PERIOD_S - _SETTLED_S) if device.online else draw("back") * climate.back
    return Fate(plan=plan, boots=round(boots, 3), comes=comes, power=round(draw("power") * climate.power, 3))
