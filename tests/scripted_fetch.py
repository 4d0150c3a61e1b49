"""A web server for tests: each URL plays its answers, over the ``Fetch`` door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from py_esp_ota.errors import FetchError


@dataclass
class Answer:
    """What the scripted server does with one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] | None = None  # Content-Length of the body when not given
    fails: FetchError | None = None  # before the response header
    breaks_at: int | None = None  # connection reset after so many body bytes
    stalls_at: int | None = None  # nothing more comes after so many
    error: FetchError = field(default_factory=lambda: FetchError("closed", "reset", 104))


class _Response:
    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        length = {"content-length": str(len(answer.body))}
        self.headers = length if answer.headers is None else answer.headers
        self._answer = answer
        self._at = 0

    async def read(self, limit: int) -> bytes:
        answer = self._answer
        if answer.breaks_at is not None and self._at + limit > answer.breaks_at:
            raise answer.error
        if answer.stalls_at is not None and self._at + limit > answer.stalls_at:
            await asyncio.sleep(5)
            raise FetchError("timeout", "nothing came")
        data = answer.body[self._at : self._at + limit]
        self._at += len(data)
        return data


class ScriptedFetch:
    """``Fetch`` that plays answers: the same one for ever, or a list, the last of which repeats."""

    def __init__(self, routes: Mapping[str, Answer | list[Answer]] | None = None) -> None:
        self.routes = dict(routes or {})
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.open = 0

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[_Response]:
        self.requests.append((url, dict(headers)))
        answer = self.routes.get(url, Answer(status=404))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer.fails:
            raise answer.fails
        self.open += 1
        try:
            yield _Response(answer)
        finally:
            self.open -= 1
