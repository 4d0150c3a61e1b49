"""Keys: made once, for RSA ones take a second."""

from __future__ import annotations

import pytest

from py_esp_ota import signing

SCHEMES = ("rsa3072", "ecdsa192", "ecdsa256", "ecdsa384")
_KEYS: dict[str, signing.PrivateKey] = {}


def key_of(scheme: str, number: int = 0) -> signing.PrivateKey:
    """Key ``number`` of a scheme, the same for the whole run."""
    name = f"{scheme} {number}"
    if name not in _KEYS:
        _KEYS[name] = signing.generate_key(scheme)  # type: ignore[arg-type]
    return _KEYS[name]


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param
