"""Downloads with somebody who counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from py_esp_ota.ports import Fetch, Response

Progress = Callable[[int, int], None]


class CountedFetch:
    """``Fetch`` over another one, with somebody who counts.

    ``on_download(done, total)`` for the beginning of each answer and for each piece of it; a total of 0 is one that the
    server does not tell.
    """

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
        length = response.headers.get("content-length", "")
        self._total = int(length) if length.isdigit() else 0
        on_download(0, self._total)

    async def read(self, limit: int) -> bytes:
        data = await self._response.read(limit)
        self._done += len(data)
        if data:
            self._on_download(self._done, self._total)
        return data


class Meter:
    """Counts the bytes of all downloads of one device: for ``on_download``."""

    def __init__(self) -> None:
        self._before = 0
        self._done = 0

    def __call__(self, done: int, _total: int) -> None:
        """So much of an answer has come; 0 is the beginning of the next one."""
        if not done:
            self._before += self._done
        self._done = done

    @property
    def bytes(self) -> int:
        """All that came so far."""
        return self._before + self._done
