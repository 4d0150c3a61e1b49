"""A population: so many devices of these kinds, and who of them is what. Drawn from the seed, the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from py_esp_ota.fleet.members import Kind, Member, failing
from py_esp_ota.rehearsal.climate import deal, drawn, ranked

DEVICES_LIMIT = 10_000_000
SEED_LIMIT = 2**32
NOON = 1_767_268_800
"""2026-01-01T12:00:00Z: when a job begins if nothing else is said."""

_DAY = 86_400
_MINUTE = 60  # devices boot on one: what happens at the same moment a cloud stores at once
_HOUR = 3600
_NIGHTS = 15  # as many as a job of the usual length sees
_STEPS = 6  # between the first who is switched off in a night and the last; whoever is alike shares its nights
_DIGITS = 6
_PART = 5000  # devices of a shard, about: few enough that one which is lost is soon done again
LARGEST_PART = _PART * 5 // 4  # devices: so many at most, for two workers and more


class _Seat(NamedTuple):
    """A device before it is known what it meets."""

    node_id: str
    online: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """So many devices.

    Attributes:
        kinds: what there is, each with its weight.
        devices: how many of all kinds together.
        seed: who of them meets what.
        begin: seconds since 1970, when the job begins.
        shard: of which part of the devices this is: the k-th of n.
    """

    kinds: tuple[Kind, ...]
    devices: int
    seed: int = 0
    begin: int = NOON
    shard: tuple[int, int] = (1, 1)

    def counts(self) -> Mapping[str, int]:
        """How many devices of each kind, over all shards: by largest remainder, so that they are ``devices``."""
        total = sum(kind.share for kind in self.kinds) or 1.0
        exact = {kind.name: self.devices * kind.share / total for kind in self.kinds}
        found = {name: int(many) for name, many in exact.items()}
        rest = self.devices - sum(found.values())
        for name in sorted(exact, key=lambda name: found[name] - exact[name])[:rest]:
            found[name] += 1
        return found

    def members(self) -> list[Member]:
        """The devices of this shard, in the order in which a job comes to them."""
        number, parts = self.shard
        return [*_members(replace(self, shard=(1, 1)))[number - 1 :: parts]]

    def member(self, node_id: str) -> Member:
        """One of them, whatever shard it is in. Raises ``ValueError``: there is none of that name."""
        counts = self.counts()
        for kind in self.kinds:
            if node_id.rpartition("-")[0] == kind.name:
                found = next((each for each in self.of_kind(kind, counts[kind.name]) if each.node_id == node_id), None)
                if found is not None:
                    return found
        there = ", ".join(
            f"{_name(kind, 1)} to {_name(kind, counts[kind.name])}" for kind in self.kinds if counts[kind.name]
        )
        raise ValueError(f"no device of this fleet is called {node_id[:64]}; there are {there}")

    def of_kinds(self, names: Sequence[str]) -> Population:
        """The same devices without those of other kinds; no names are all of them."""
        return _of_kinds(self, tuple(names)) if names else self

    def of_kind(self, kind: Kind, count: int) -> Iterator[Member]:
        """So many devices of one kind, in the order of their names."""
        weather = kind.weather
        names = [_name(kind, number) for number in range(1, count + 1)]

        def some(share: float, what: str) -> frozenset[str]:
            return frozenset(ranked(self.seed, names, what)[: round(share * count)]) if share else frozenset()

        offline = some(weather.offline, "offline")
        unfit = some(weather.self_test_fails, "self-test")
        dark = some(weather.offline_at_night, "night")
        fates = deal(weather.climate, [_Seat(name, name not in offline) for name in names], self.seed)
        for name in names:
            fate = fates[name]
            boots, away = fate.boots // _MINUTE * _MINUTE, fate.away
            if name in dark:
                nights = _nights(self.begin % _DAY, weather.night, int(drawn(self.seed, name, "bed") * _STEPS))
                boots = boots if name in offline else nights[0][1]
                away = tuple(night for night in nights[1:] if night[0] > boots)
            yield Member(
                node_id=name,
                kind=kind,
                plan=failing(fate.plan) if name in unfit else fate.plan,
                boots_at=boots,
                comes=fate.comes,
                power=fate.power,
                away=away,
            )


@lru_cache(maxsize=1)
def _members(whole: Population) -> tuple[Member, ...]:
    """All of them. They are dealt once for all shards that one process plays."""
    counts = whole.counts()
    found = {member.node_id: member for kind in whole.kinds for member in whole.of_kind(kind, counts[kind.name])}
    return tuple(found[node_id] for node_id in ranked(whole.seed, found, "order"))


@lru_cache(maxsize=4)
def _of_kinds(population: Population, names: tuple[str, ...]) -> Population:
    counts = population.counts()
    kinds = tuple(replace(kind, share=counts[kind.name]) for kind in population.kinds if kind.name in names)
    return replace(population, kinds=kinds, devices=sum(counts[kind.name] for kind in kinds))


def parts_of(devices: int, workers: int) -> int:
    """Into how many shards so many devices are parted for so many workers: at least two for each."""
    return max(min(max(2 * workers, devices // _PART), devices), 1)


def _name(kind: Kind, number: int) -> str:
    return f"{kind.name}-{number:0{_DIGITS}}"


@lru_cache(maxsize=1024)
def _nights(second: int, night: tuple[int, int], step: int) -> tuple[tuple[float, float], ...]:
    """From when to when it is night for some, when a job begins in that second of a day: the first has begun by then.

    The first are switched off when the night begins and the last an hour later, and so it is in the morning.
    """
    down, up = (hour * _HOUR - second + step * _HOUR / _STEPS for hour in night)
    up += 0 if up > down else _DAY
    while down > 0:
        down, up = down - _DAY, up - _DAY
    return tuple((down + day * _DAY, up + day * _DAY) for day in range(_NIGHTS + 1))
