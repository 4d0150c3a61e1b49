"""Downloads that wait for their turn: each is an open file, and there are only so many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from py_esp_ota.ports import Fetch, Response


class GatedFetch:
    """``Fetch`` over another one: so many at a time. Whoever waits for its turn has all its time from then on."""

    def __init__(self, fetch: Fetch, turns: int) -> None:
        self._fetch = fetch
        self._turns = asyncio.Semaphore(turns)

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Send the request when it is its turn, while the context is entered."""
        async with self._turns, self._fetch(url, headers) as response:
            yield response
