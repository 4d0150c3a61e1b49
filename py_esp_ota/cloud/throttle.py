"""How often something may be tried: so many times at once, and one time more after each while.

Counted are a user name, whether or not there is such a user, and the network address that the tries come from. All of
it is in memory: who can start the cloud anew need not guess a password.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.ports import Clock

KEYS = 10_000
"""Names and addresses that are remembered; those that were used longest ago are forgotten first."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` times at once, then once in ``every`` seconds."""

    burst: int
    every: float


class Try(Enum):
    """What is counted, with its rate for one name and for one address."""

    LOGIN = Rate(10, 30), Rate(50, 5)
    MAIL = Rate(3, 300), Rate(20, 60)  # a code is sent
    CODE = Rate(15, 60), Rate(60, 10)  # a code comes back

    def __init__(self, name_rate: Rate, address_rate: Rate) -> None:
        self.name_rate = name_rate
        self.address_rate = address_rate


_Key = tuple[Try, str, str]


def wait(full_at: float, now: float, rate: Rate) -> float:
    """Seconds until the next try is allowed, 0 when it is now. ``full_at``: when all of the burst will be there."""
    return max(0.0, _known(full_at, now, rate) - now - (rate.burst - 1) * rate.every)


def after(full_at: float, now: float, rate: Rate) -> float:
    """When all of the burst will be there again, once this try is counted."""
    return max(now, _known(full_at, now, rate)) + rate.every


def _known(full_at: float, now: float, rate: Rate) -> float:
    """No burst takes longer: what is beyond was counted before the clock was set back, and locks nobody out."""
    return full_at if full_at <= now + rate.burst * rate.every else now


class Throttle:
    """Counts tries by name and by address.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_at: dict[_Key, float] = {}

    def count(self, what: Try, name: str, address: str) -> None:
        """Count a try before anything is done about it. Raises ``CloudError`` (TOO_OFTEN), and counts nothing then."""
        now = self._clock.now()
        rates = _rates(what, name, address)
        seconds = max(wait(self._full_at.get(key, now), now, rate) for key, rate in rates.items())
        if seconds > 0:
            whole = int(seconds) + 1
            raise CloudError(Refusal.TOO_OFTEN, f"too many tries; the next one in {whole} s", retry_after=whole)
        for key, rate in rates.items():
            self._full_at[key] = after(self._full_at.pop(key, now), now, rate)
        self._forget(now)

    def give_back(self, what: Try, name: str, address: str) -> None:
        """The try was a good one, and does not count."""
        for key, rate in _rates(what, name, address).items():
            if key in self._full_at:
                self._full_at[key] -= rate.every

    def _forget(self, now: float) -> None:
        if len(self._full_at) > KEYS:
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        while len(self._full_at) > KEYS:
            del self._full_at[next(iter(self._full_at))]


def _rates(what: Try, name: str, address: str) -> Mapping[_Key, Rate]:
    rates = {(what, "name", name): what.name_rate}
    if address:  # who calls from inside has none
        rates[what, "address", network(address)] = what.address_rate
    return rates


def network(address: str) -> str:
    """What counts as one address: of IPv6 the 64 bits that one household has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
