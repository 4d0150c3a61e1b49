"""Network faults as one line of text: ``drop@65536``, ``flip@1000*2``, ``connect@104+stall@0``.

=====================  ==================================================================
``connect@ERRNO``      nobody answers; ``ERRNO`` is the POSIX number of the reason
``status@NNN``         the server answers with this status and an empty body
``drop@N``             the connection is lost after N bytes of the body
``stall@N``            after N bytes of the body nothing comes, and the connection stays
``flip@N``             the lowest bit of body byte N (from 0) is wrong
=====================  ==================================================================

Every request suffers, or with ``*K`` behind a fault only the first K. Faults compose with ``+``, also with the flash's
own ``cut@N``. Nothing is random: the same text does the same again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from errno import ECONNRESET
from typing import Final

from py_esp_ota.errors import FetchError
from py_esp_ota.ports import Fetch, Response

_FORMS: Final = "connect@ERRNO, status@NNN, drop@N, stall@N or flip@N, with *K for the first K requests"
_FAULT = re.compile(r"(connect|status|drop|stall|flip)@(0|[1-9][0-9]{0,17})(?:\*([1-9][0-9]{0,8}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """One fault; ``str()`` gives its text back."""

    kind: str
    at: int
    requests: int | None = None  # only the first so many; None: every one

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" + (f"*{self.requests}" if self.requests else "")


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The faults of one connection; ``str()`` gives the text back."""

    faults: tuple[NetworkFault, ...] = ()

    def __str__(self) -> str:
        return "+".join(map(str, self.faults))

    def of_request(self, number: int) -> dict[str, list[int]]:
        """What the request with this number (from 0) suffers: kind and places."""
        places: dict[str, list[int]] = {}
        for fault in self.faults:
            if fault.requests is None or number < fault.requests:
                places.setdefault(fault.kind, []).append(fault.at)
        return places


def parse(plan: str) -> tuple[str, NetworkPlan]:
    """Split a composed plan into the flash's plan, as text, and the network's.

    Raises:
        ValueError: a part is no fault; the sentence names it.
    """
    flash = ""
    faults: list[NetworkFault] = []
    for part in plan.split("+") if plan else []:
        if part.startswith("cut@"):
            if flash:
                raise ValueError(f"{part!r} is one cut too many: power goes once ({flash})")
            flash = part
        else:
            faults.append(_parse_fault(part))
    return flash, NetworkPlan(tuple(faults))


def _parse_fault(part: str) -> NetworkFault:
    found = _FAULT.fullmatch(part)
    if not found:
        raise ValueError(f"{part!r} is no network fault: expected {_FORMS}")
    fault = NetworkFault(found[1], int(found[2]), int(found[3]) if found[3] else None)
    if fault.kind == "status" and not 200 <= fault.at <= 599:
        raise ValueError(f"{part!r} is no fault: a final HTTP status is 200 to 599")
    return fault


class FaultyFetch:
    """``Fetch`` over another one, through a network that fails as planned.

    Args:
        fetch: the network that works.
        plan: what goes wrong; see this module.
        timeout: seconds a read waits in a stall.

    Raises:
        ValueError: the plan does not parse, or is about the flash.
    """

    def __init__(self, fetch: Fetch, plan: str | NetworkPlan, *, timeout: float = 5.0) -> None:
        if isinstance(plan, str):
            flash, plan = parse(plan)
            if flash:
                raise ValueError(f"{flash!r} is a fault of the flash, not of the network")
        self.plan = plan
        self._fetch = fetch
        self._timeout = timeout
        self._requests = 0

    def __call__(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        """Send the request, if the plan lets it through."""
        places = self.plan.of_request(self._requests)
        self._requests += 1
        return self._exchange(url, headers, places)

    @asynccontextmanager
    async def _exchange(
        self, url: str, headers: Mapping[str, str], places: Mapping[str, list[int]]
    ) -> AsyncIterator[Response]:
        await asyncio.sleep(0)
        if "connect" in places:
            raise FetchError("connect", "no connection, as planned", places["connect"][0])
        if "status" in places:
            yield _EmptyResponse(places["status"][0])
            return
        async with self._fetch(url, headers) as response:
            yield _FaultyResponse(response, places, self._timeout)


class _EmptyResponse:
    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"content-length": "0"}

    async def read(self, limit: int) -> bytes:  # noqa: ARG002
        return b""


class _FaultyResponse:
    """A response whose body comes through the faults."""

    def __init__(self, response: Response, places: Mapping[str, list[int]], timeout: float) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._timeout = timeout
        self._position = 0
        self._drop = min(places.get("drop", []), default=None)
        self._stall = min(places.get("stall", []), default=None)
        self._flips = places.get("flip", [])

    async def read(self, limit: int) -> bytes:
        start = self._position
        if self._drop is not None:
            if start >= self._drop and limit > 0:
                raise FetchError("closed", f"the connection was lost after {self._drop} bytes, as planned", ECONNRESET)
            limit = min(limit, self._drop - start)
        if self._stall is not None and start + limit > self._stall:
            await self._wait_in_vain(self._stall)
        data = await self._response.read(limit)
        self._position += len(data)
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
