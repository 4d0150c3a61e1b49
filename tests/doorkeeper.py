"""Who may fetch from a file server of tests: Basic and Digest as RFC 7617 and RFC 7616 have them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass
class Doorkeeper:
    """Lets in whoever knows name and password; a challenge for everybody else.

    Args:
        kind: ``Basic`` or ``Digest``; anything else is asked for and never given.
        username: the one who may come in.
        password: likewise.
        algorithm: of Digest, ``-sess`` at its end for a session.
        qop: what is offered; none for the oldest form.
        opaque: is to come back as it was.
        stale_after: how many requests a nonce is good for.
    """

    kind: str = "Digest"
    username: str = "lamp"
    password: str = "light"
    algorithm: str = "MD5"
    qop: str | None = "auth"
    opaque: str | None = None
    stale_after: int = 1000
    realm: str = "firmware"
    nonces: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def challenge(self) -> str:
        """A fresh ``WWW-Authenticate``."""
        if self.kind != "Digest":
            return f'{self.kind} realm="{self.realm}"'
        nonce = f"nonce{len(self.nonces)}"
        self.nonces[nonce] = 0
        said = f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={self.algorithm}'
        said += f', qop="{self.qop}"' if self.qop else ""
        return said + (f', opaque="{self.opaque}"' if self.opaque else "")

    def lets_in(self, method: str, url: str, authorization: str) -> bool:
        """Whether this request may be answered."""
        why = self._why_not(method, url, authorization)
        if why:
            self.refused.append(why)
        return not why

    def _why_not(self, method: str, url: str, authorization: str) -> str:
        kind, _, value = authorization.partition(" ")
        if kind != self.kind:
            return "no name" if not kind else f"{kind} instead of {self.kind}"
        if kind == "Basic":
            known = f"{self.username}:{self.password}".encode()
            return "" if base64.b64decode(value, validate=True) == known else "unknown"
        return self._judge_digest(method, url, parse_keqv_list(parse_http_list(value)))

    def _judge_digest(self, method: str, url: str, said: dict[str, str]) -> str:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if said["uri"] != target:
            return f"for {said['uri']} instead of {target}"
        if said["nonce"] not in self.nonces:
            return "unknown nonce"
        if said.get("opaque") != self.opaque:
            return "not opaque"
        if (said["username"], said["realm"]) != (self.username, self.realm):
            return "unknown"
        if said["response"] != self._response(method, target, said):
            return "wrong response"
        if self.qop:
            count = int(said["nc"], 16)
            if count <= self.nonces[said["nonce"]] or len(said["nc"]) != 8:
                return f"request {count} again"
            if count > self.stale_after:
                return "stale"
            self.nonces[said["nonce"]] = count
        return ""

    def _response(self, method: str, target: str, said: dict[str, str]) -> str:
        made = _HASHES[self.algorithm.removesuffix("-sess")]

        def hashed(*words: str) -> str:
            return made(":".join(words).encode()).hexdigest()

        first = hashed(self.username, self.realm, self.password)
        if self.algorithm.endswith("-sess"):
            first = hashed(first, said["nonce"], said["cnonce"])
        second = hashed(method, target)
        if not self.qop:
            return hashed(first, said["nonce"], second)
        return hashed(first, said["nonce"], said["nc"], said["cnonce"], said["qop"], second)
