"""Faults of the network: a ``Fetch`` over another one, through a network and a server that fail as planned."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from errno import ECONNRESET
from typing import Final

from py_esp_ota.errors import FetchError
from py_esp_ota.faults.grammar import Fault, Plan, parse_own
from py_esp_ota.ports import Fetch, Response

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)", re.ASCII)
_EMPTY: Final = {"content-length": "0"}
#: A server that redirects for ever must not make virtual time stand still.
_REDIRECT_S = 0.1

Places = Mapping[str, tuple[int, ...]]


def places(faults: tuple[Fault, ...], number: int) -> dict[str, tuple[int, ...]]:
    """What the request with this number (from 0) suffers: each word with its numbers, smallest first."""
    found: dict[str, list[int]] = {}
    for fault in faults:
        if fault.times is None or number < fault.times:
            found.setdefault(fault.word, []).append(fault.at)
    return {word: tuple(sorted(numbers)) for word, numbers in found.items()}


class FaultyFetch:
    """``Fetch`` over another one, through a network that fails as planned.

    Args:
        fetch: the network that works.
        plan: what goes wrong; see the package.
        timeout: seconds a read waits in a stall.

    Raises:
        ValueError: the plan does not parse, or is about something else than the network.
    """

    def __init__(self, fetch: Fetch, plan: str | Plan = "", *, timeout: float = 5.0) -> None:
        self._fetch = fetch
        self._timeout = timeout
        self.arm(plan)

    def arm(self, plan: str | Plan) -> None:
        """Follow this plan from the next request on, which is its first. Raises ``ValueError`` as the constructor."""
        self.plan = parse_own(plan, "network")
        self._faults = self.plan.of("network")
        self._requests = 0
        self._closed = False  # the connection, right after a redirect

    def __call__(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        """Send the request, if the plan lets it through."""
        hit = places(self._faults, self._requests)
        self._requests += 1
        return self._exchange(url, headers, hit) if hit or self._closed else self._fetch(url, headers)

    @asynccontextmanager
    async def _exchange(self, url: str, headers: Mapping[str, str], hit: Places) -> AsyncIterator[Response]:
        await asyncio.sleep(0)
        closed, self._closed = self._closed, False
        if closed:
            raise FetchError("closed", "the server closed the connection after its redirect, as planned", ECONNRESET)
        if "connect" in hit:
            raise FetchError("connect", "no connection, as planned", hit["connect"][0])
        answer = self._instead(url, hit)
        if answer is not None:
            await asyncio.sleep(_REDIRECT_S if "location" in answer.headers else 0)
            yield answer
            return
        async with self._fetch(url, _asked(headers, hit)) as response:
            yield _FaultyResponse(response, hit, self._timeout)

    def _instead(self, url: str, hit: Places) -> _EmptyResponse | None:
        """What is answered in the server's place, if anything."""
        if "redirect-close" in hit:
            self._closed = True
        if "redirect-close" in hit or "redirect-loop" in hit:
            return _EmptyResponse(302, {**_EMPTY, "location": url})
        if "status" in hit:
            return _EmptyResponse(hit["status"][0], _EMPTY)
        return None


def _asked(headers: Mapping[str, str], hit: Places) -> Mapping[str, str]:
    """The request as the server understands it."""
    name = next((name for name in headers if name.lower() == "range"), None)
    span = _RANGE.fullmatch(headers[name]) if name else None
    if name is None or span is None or not ("no-range" in hit or "wrong-range" in hit):
        return headers
    others = {key: value for key, value in headers.items() if key != name}
    if "no-range" in hit:
        return others
    first = hit["wrong-range"][0]
    last = first + int(span[2]) - int(span[1]) if span[2] else ""
    return {**others, name: f"bytes={first}-{last}"}


def _answered(status: int, headers: Mapping[str, str], hit: Places) -> Mapping[str, str]:
    """The response header that the client gets to see."""
    seen = dict(headers)
    short = hit["short"][0] if "short" in hit else None
    if short is not None and int(seen.get("content-length", short)) > short:
        seen["content-length"] = str(short)
    span = _CONTENT_RANGE.fullmatch(seen.get("content-range", "")) if status == 206 else None
    if span:
        first, last, total = int(span[1]), int(span[2]), span[3]
        last = last if short is None else min(last, max(first, first + short - 1))
        first = hit["content-range"][0] if "content-range" in hit else first
        seen["content-range"] = f"bytes {first}-{last}/{total}"
    if "chunked" in hit:
        seen.pop("content-length", None)
        seen["transfer-encoding"] = "chunked"
    return seen


class _EmptyResponse:
    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers

    async def read(self, limit: int) -> bytes:  # noqa: ARG002
        return b""


class _FaultyResponse:
    """A response whose body comes through the faults."""

    def __init__(self, response: Response, hit: Places, timeout: float) -> None:
        self.status = response.status
        self.headers = _answered(response.status, response.headers, hit)
        self._response = response
        self._timeout = timeout
        self._position = 0
        self._drop = hit["drop"][0] if "drop" in hit else None
        self._stall = hit["stall"][0] if "stall" in hit else None
        self._short = hit["short"][0] if "short" in hit else None
        self._slow = hit["slow"][0] if "slow" in hit else None
        self._flips = hit.get("flip", ())

    async def read(self, limit: int) -> bytes:
        start = self._position
        if self._drop is not None:
            if start >= self._drop and limit > 0:
                raise FetchError("closed", f"the connection was lost after {self._drop} bytes, as planned", ECONNRESET)
            limit = min(limit, self._drop - start)
        if self._short is not None:
            limit = min(limit, self._short - start)
        if self._stall is not None and start + limit > self._stall:
            await self._wait_in_vain(self._stall)
        data = await self._response.read(limit) if limit > 0 else b""
        self._position += len(data)
        if self._slow is not None:  # slow, but never silent for as long as a client waits
            await asyncio.sleep(len(data) / self._slow)
        return self._flipped(start, data)

    async def _wait_in_vain(self, place: int) -> None:
        await asyncio.sleep(self._timeout)
        raise FetchError("timeout", f"nothing came after {place} bytes, as planned")

    def _flipped(self, start: int, data: bytes) -> bytes:
        hits = {place - start for place in self._flips if start <= place < start + len(data)}
        if not hits:
            return data
        spoiled = bytearray(data)
        for hit in hits:
            spoiled[hit] ^= 1
        return bytes(spoiled)
