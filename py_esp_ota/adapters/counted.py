"""Downloads with somebody who counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from py_esp_ota.ports import Fetch, Response

Progress = Callable[[int, int], None]


class CountedFetch:
    """``Fetch`` over another one, with somebody who counts: ``on_download(done, total)`` for each piece."""

    def __init__(self, fetch: Fetch, on_download: Progress) -> None:
        self._fetch = fetch
        self._on_download = on_download

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Send the request while the context is entered."""
        async with self._fetch(url, headers) as response:
            yield _Counted(response, self._on_download)


class _Counted:
    """A response that tells how much of it was read."""

    def __init__(self, response: Response, on_download: Progress) -> None:
        self._response = response
        self._on_download = on_download
        self._done = 0
        self.status = response.status
        self.headers = response.headers

    async def read(self, limit: int) -> bytes:
        data = await self._response.read(limit)
        self._done += len(data)
        total = self.headers.get("content-length", "")
        if data and total.isdigit():
            self._on_download(self._done, int(total))
        return data
