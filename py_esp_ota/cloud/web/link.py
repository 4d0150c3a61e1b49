"""A link that lets one browser in, once: for a machine on which not everybody is to be the admin."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from py_esp_ota.cloud.tokens import TokenHex

PATH = "/enter"


class OneTimeLink:
    """Who has the link gets a session for it, and the link is spent. Both live as long as the process.

    Args:
        token_hex: ``secrets.token_hex``, or something repeatable in a test.
    """

    def __init__(self, token_hex: TokenHex) -> None:
        self._token = token_hex(32)
        self._session = token_hex(32)
        self._spent = False
        # A cookie knows no port: another cloud on this host must not overwrite ours.
        self.cookie = f"esp-ota-{token_hex(4)}"

    @property
    def path(self) -> str:
        """The link, without the server's part."""
        return f"{PATH}?token={self._token}"

    def spend(self, token: str) -> str | None:
        """The session for the token, the first time; ``None`` ever after, and for any other token."""
        right = hmac.compare_digest(token.encode(), self._token.encode())
        if not right or self._spent:
            return None
        self._spent = True
        return self._session

    def admits(self, cookies: Mapping[str, str]) -> bool:
        """Whether a browser with these cookies was let in."""
        sent = cookies.get(self.cookie, "")
        return self._spent and hmac.compare_digest(sent.encode(), self._session.encode())
