"""Basic and Digest: what a challenge says, and the answer (components/esp_http_client/lib, http_auth.c, http_utils.c).

Challenges are searched, not parsed: a word in quotes where upstream expects none, or the other way round, is another
word or none. Texts are those of C: bytes, here one to a character, and a null pointer prints as ``(null)``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from py_esp_ota import _core
from py_esp_ota.idf.esp_http_client.features import NEWEST, HttpClientFeatures

#: ``esp_http_client_auth_type_t``.
AuthType = Literal["none", "basic", "digest"]

NO_QOP = '"qop" directive not found. This may lead to attacks like chosen-plaintext attack'


@dataclass(frozen=True, slots=True)
class Challenge:
    """``esp_http_auth_data_t``, as the header of a 401 fills it.

    Attributes:
        method: of the request that was refused; later requests are hashed with it too, whatever their own is.
        realm: in quotes, as are ``qop``, ``nonce`` and ``opaque``; ``None`` where there is none.
        algorithm: up to the next comma or the end, quotes included; ``MD5`` where there is none.
        qop: as it stands there: of ``auth,auth-int`` nothing is chosen.
    """

    method: str
    realm: str | None
    algorithm: str
    qop: str | None
    nonce: str | None
    opaque: str | None


def get_string_between(text: str, begin: str, end: str, *, any_case: bool = True) -> str | None:
    """``http_utils_get_string_between``: what stands between the first ``begin`` and the next ``end``."""
    folded = (text, begin, end)
    if any_case:
        folded = (_lower(text), _lower(begin), _lower(end))
    at = folded[0].find(folded[1])
    if at < 0:
        return None
    at += len(begin)
    stop = folded[0].find(folded[2], at)
    return None if stop < 0 else text[at:stop]


def get_string_after(text: str, begin: str) -> str | None:
    """``http_utils_get_string_after``: all behind the first ``begin``."""
    at = _lower(text).find(_lower(begin))
    return None if at < 0 else text[at + len(begin) :]


def str_starts_with(text: str, start: str, *, any_case: bool = True) -> bool:
    """``http_utils_str_starts_with``."""
    return (_lower(text) if any_case else text).startswith(_lower(start) if any_case else start)


def challenge(header: str, method: str, features: HttpClientFeatures = NEWEST) -> Challenge:
    """``esp_http_client_add_auth``: what ``WWW-Authenticate`` asks of a request with ``method``."""

    def between(begin: str, end: str) -> str | None:
        return get_string_between(header, begin, end, any_case=features.any_case)

    algorithm = between("algorithm=", ",")
    if algorithm is None and features.digest_sha256:
        algorithm = get_string_after(header, "algorithm=")
    return Challenge(
        method,
        realm=between('realm="', '"'),
        algorithm="MD5" if algorithm is None else algorithm,
        qop=between('qop="', '"'),
        nonce=between('nonce="', '"'),
        opaque=between('opaque="', '"'),
    )


def basic(username: str, password: str | None) -> str:
    """``http_auth_basic``: the value of ``Authorization``."""
    return "Basic " + base64.b64encode(f"{username}:{_printed(password)}".encode("latin-1")).decode()


def digest(
    asked: Challenge,
    username: str,
    password: str | None,
    *,
    uri: str,
    nc: int,
    cnonce: int,
    features: HttpClientFeatures = NEWEST,
) -> str | None:
    """``http_auth_digest``: the value of ``Authorization``; ``None`` without password, nonce or realm.

    Args:
        asked: The challenge.
        username: As is.
        password: Like wise.
        uri: What the request asks for.
        nc: How many requests the nonce has served, this one included: 32 bits.
        cnonce: Noise of 64 bits.
        features: What the release knows.
    """
    realm, nonce, qop = asked.realm, asked.nonce, asked.qop
    if password is None or nonce is None or realm is None:
        return None
    hashed = _hash_function(asked.algorithm, features)
    noise = f"{cnonce:016x}"
    ha1 = hashed(f"{username}:{realm}:{password}")
    if _is_session(asked.algorithm, features):
        ha1 = hashed(f"{ha1}:{nonce}:{noise}")
    ha2 = hashed(f"{asked.method}:{uri}")
    if qop is not None and _lower(qop) == "auth-int":
        ha2 = hashed(f"{ha2}:entity")
    counted = f":{nc:08x}:{noise}:{qop}" if qop is not None else ""
    response = hashed(f"{ha1}:{nonce}{counted}:{ha2}")
    algorithm = asked.algorithm if features.digest_sha256 else '"MD5"'
    answer = (
        f'Digest username="{username}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={algorithm}, '
        f'response="{response}"'
    )
    if qop is not None or not features.optional_qop:
        bare = features.bare_cnonce and not features.optional_qop
        answer += f", qop={_printed(qop)}, nc={nc:08x}, cnonce=" + (noise if bare else f'"{noise}"')
    return answer if asked.opaque is None else f'{answer}, opaque="{asked.opaque}"'


def as_in_c(text: str | None) -> str | None:
    """A text of this side as the bytes that a C source has, one to a character."""
    return None if text is None else text.encode().decode("latin-1")


def _printed(text: str | None) -> str:
    return "(null)" if text is None else text


def _lower(text: str) -> str:
    """``tolower`` of the C locale: nothing above ASCII has another case."""
    return "".join(char.lower() if char.isascii() else char for char in text)


def _md5(text: str) -> str:
    """``md5_printf``: in hexadecimal."""
    return _core.md5(text.encode("latin-1")).hex()


def _sha256(text: str) -> str:
    """``sha256_sprintf``: in hexadecimal."""
    return _core.sha256(text.encode("latin-1")).hex()


def _hash_function(algorithm: str, features: HttpClientFeatures) -> Callable[[str], str]:
    """SHA-256 by the names that the release looks for; MD5 for everything else, ``SHA-256-sess`` included."""
    if not features.digest_sha256:
        return _md5
    if features.sha256_by_name:
        return _sha256 if _lower(algorithm) in {"sha256", "sha-256"} else _md5
    return _sha256 if algorithm.startswith(("SHA256", "SHA-256")) else _md5


def _is_session(algorithm: str, features: HttpClientFeatures) -> bool:
    """Releases before the last word on it take ``SHA256`` for a session's algorithm, and ``SHA-256-sess`` for none."""
    if features.sha256_by_name:
        return _lower(algorithm) in {"md5-sess", "sha-256-sess"}
    return _lower(algorithm) in ({"md5-sess", "sha256"} if features.digest_sha256 else {"md5-sess"})
