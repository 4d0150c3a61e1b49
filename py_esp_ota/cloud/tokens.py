"""Identifiers and signed links. Randomness comes in as a callable; nothing here draws a number of its own."""

from __future__ import annotations

import hmac
import string
from collections.abc import Callable

TokenHex = Callable[[int], str]
"""``secrets.token_hex`` or a stand-in: as many random bytes as asked for, in hexadecimal."""

ALPHANUMERIC = string.ascii_letters + string.digits
URL_SAFE = ALPHANUMERIC + "_-"


class Ids:
    """Makes the identifiers of images, jobs, users and requests."""

    def __init__(self, token_hex: TokenHex) -> None:
        self._token_hex = token_hex

    def image(self) -> str:
        """An ``ota_image_id``: 9 URL-safe characters."""
        return self._text(9, URL_SAFE)

    def job(self) -> str:
        """An ``ota_job_id``: 22 letters and digits, well inside the node's 63."""
        return self._text(22, ALPHANUMERIC)

    request = user = group = job

    def code(self) -> str:
        """A verification code: 6 digits."""
        return self._text(6, string.digits)

    def key(self) -> str:
        """A signing key: 32 bytes in hexadecimal."""
        return self._token_hex(32)

    def _text(self, length: int, alphabet: str) -> str:
        # Far more bits than the text holds, so that the remainder's bias is below anything that matters.
        number = int(self._token_hex(2 * length + 8), 16)
        digits = []
        for _ in range(length):
            number, digit = divmod(number, len(alphabet))
            digits.append(alphabet[digit])
        return "".join(digits)


class Links:
    """Signs and checks the tokens of download and upload links: ``<expiry in hex>.<MAC>``.

    Args:
        key: what they are signed with.
        public_url: the base of every link that is handed out, such as ``https://127.0.0.1:8443``; a callable when it
            is only known once the server listens.
    """

    def __init__(self, key: str, public_url: str | Callable[[], str]) -> None:
        self._key = key.encode()
        self._public_url = public_url

    @property
    def public_url(self) -> str:
        """The base of every link, without a slash at its end."""
        url = self._public_url if isinstance(self._public_url, str) else self._public_url()
        return url.rstrip("/")

    def sign(self, purpose: str, subject: str, expires: int) -> str:
        """A token that allows ``purpose`` on ``subject`` until ``expires`` (seconds since 1970)."""
        return f"{expires:x}.{self._mac(purpose, subject, f'{expires:x}')}"

    def allows(self, token: str, purpose: str, subject: str, now: float) -> bool:
        """Whether ``token`` is ours, for this purpose and subject, and not expired."""
        expires, _, mac = token.partition(".")
        # The MAC is judged first: after that the expiry is text we wrote ourselves.
        ours = hmac.compare_digest(mac.encode(), self._mac(purpose, subject, expires).encode())
        return ours and now < int(expires, 16)

    def _mac(self, purpose: str, subject: str, expires: str) -> str:
        return hmac.digest(self._key, f"{purpose} {subject} {expires}".encode(), "sha256").hex()
