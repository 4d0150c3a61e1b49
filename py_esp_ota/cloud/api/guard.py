"""Keeps strangers' web pages out of a server on loopback, and endless request bodies too.

A page that is open in the user's browser can send requests to ``127.0.0.1``. Two checks stop it: the ``Host`` must be a
name of this machine (a page that had its own name resolve to loopback is turned away), and a request that changes
something must not come from another origin. Programs send neither a foreign ``Host`` nor an ``Origin`` and notice
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from py_esp_ota.cloud.api.errors import failure
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.texts import heard

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
BODY_LIMIT = 1024 * 1024
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class LocalGuard:
    """ASGI middleware around the whole app, web page included.

    Args:
        app: what is guarded.
        hosts: names besides loopback that this server goes by, asked for at each request.
    """

    def __init__(self, app: ASGIApp, hosts: Callable[[], Collection[str]]) -> None:
        self.app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass or answer 403."""
        if scope["type"] in {"http", "websocket"}:
            headers = Headers(scope=scope)
            refusal = self._judge(scope.get("method", "GET"), headers)
            if refusal is not None:
                await failure(*refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _judge(self, method: str, headers: Headers) -> tuple[Refusal, str] | None:
        host = headers.get("host", "")
        if hostname(host) not in LOOPBACK | set(self._hosts()):
            return Refusal.FOREIGN_HOST, "this server is not known by the name in the Host header"
        if method in READING:
            return None
        origin = headers.get("origin")
        if (origin is not None and _netloc(origin) != host.lower()) or headers.get("sec-fetch-site") == "cross-site":
            return Refusal.FOREIGN_ORIGIN, "a page of another origin may not change anything here"
        return None


class BodyLimit:
    """ASGI middleware that stops reading a request body where it becomes too large, and notes where one broke off.

    Args:
        app: what is guarded.
        limits: bytes by the beginning of the path; ``BODY_LIMIT`` everywhere else.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass; answer 413 at once, or while the body comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        limit = next((size for start, size in self._limits.items() if path.startswith(start)), BODY_LIMIT)
        too_large = f"the request body has more than {limit} bytes"
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced[:20]) > limit:
            log.warning("%s %s: %s", scope["method"], heard(path, 200), too_large)
            await failure(Refusal.BODY_TOO_LARGE, too_large)(scope, receive, send)
            return
        total, whole = 0, False

        async def counted() -> Message:
            nonlocal total, whole
            message = await receive()
            total += len(message.get("body", b""))
            if message["type"] == "http.disconnect" and not whole:
                log.warning("%s %s was broken off after %d bytes", scope["method"], heard(path, 200), total)
            whole = not message.get("more_body", False)
            if total > limit:
                log.warning("%s %s: %s", scope["method"], heard(path, 200), too_large)
                raise HTTPException(Refusal.BODY_TOO_LARGE.http_status, too_large)
            return message

        await self.app(scope, counted, send)


@lru_cache(64)  # each request asks for its host and for our own
def hostname(host: str) -> str:
    """The name in a ``Host`` header or authority, without port and brackets, in lower case."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
