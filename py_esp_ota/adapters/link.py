"""A network link that takes its time: so many bytes a second, and a wait before each answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from py_esp_ota.ports import Fetch, Response

_SPELLED = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kM]?)(?:@([0-9]+(?:\.[0-9]+)?))?", re.ASCII)
_UNITS = {"": 1, "k": 1000, "M": 1_000_000}


@dataclass(frozen=True, slots=True)
class Link:
    """How fast a link is. ``round_trip`` in seconds is what a request waits for its answer to begin.

    Raises ``ValueError`` for a rate that is not above 0, and for a negative wait.
    """

    bytes_per_second: float
    round_trip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what nothing ever comes through."""
        if not self.bytes_per_second > 0 or not self.round_trip >= 0:
            raise ValueError(f"a link of {self.bytes_per_second:g} bytes a second and {self.round_trip:g} s is none")

    @classmethod
    def parse(cls, text: str) -> Link:
        """``RATE`` or ``RATE@MS``: bytes a second, ``k`` and ``M`` for thousands and millions, and a round trip.

        Raises ``ValueError`` for anything else.
        """
        found = _SPELLED.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is no link: RATE or RATE@MS, for example 125k@40 (bytes a second, milliseconds)"
            )
        number, unit, wait = found.groups()
        return cls(float(number) * _UNITS[unit], float(wait or 0) / 1000)


class SlowFetch:
    """``Fetch`` over another one, at the pace of a link."""

    def __init__(self, fetch: Fetch, link: Link) -> None:
        self._fetch = fetch
        self._link = link

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Send the request while the context is entered; the answer begins a round trip later."""
        async with self._fetch(url, headers) as response:
            await asyncio.sleep(self._link.round_trip)
            yield _Slow(response, self._link)


class _Slow:
    """A response whose bytes come one after the other."""

    def __init__(self, response: Response, link: Link) -> None:
        self._response = response
        self._link = link
        self.status = response.status
        self.headers = response.headers

    async def read(self, limit: int) -> bytes:
        data = await self._response.read(limit)
        await asyncio.sleep(len(data) / self._link.bytes_per_second)
        return data
