"""``Post`` over real sockets: one short exchange each, however the other side behaves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx2

from py_esp_ota.errors import FetchError

TIMEOUT_S = 10.0
"""For the whole exchange: a receiver that answers later has the letter again."""


class HttpPost:
    """Sends a document; what is answered beyond the status is not read."""

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status. Raises ``FetchError``."""
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client,
                client.stream("POST", url, headers=dict(headers), content=body) as answer,
            ):
                return answer.status_code
        except (TimeoutError, httpx2.TimeoutException):
            raise FetchError("timeout", f"no answer within {TIMEOUT_S:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise FetchError("connect", str(error) or type(error).__name__) from None
