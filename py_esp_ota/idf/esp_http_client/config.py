"""``esp_http_client_config_t``."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota.idf.esp_http_client.auth import AuthType

DEFAULT_MAX_AUTH_RETRIES = 10


def authorization_retries(configured: int) -> int:
    """``max_authorization_retries``: 0 stands for 10, -1 for none."""
    return {0: DEFAULT_MAX_AUTH_RETRIES, -1: 0}.get(configured, configured)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpClientConfig:
    """``esp_http_client_config_t``, the fields that the update path sets.

    The trust fields decide only whether ``esp_https_ota`` agrees to start; the certificates that are really used belong
    to the ``Fetch`` door, as does the time-out. Name and password may stand in the URL too, which goes before. With
    ``auth_type`` ``"basic"`` they are sent before anybody asks, in any build.
    """

    url: str
    cert_pem: str | None = None
    use_global_ca_store: bool = False
    crt_bundle_attach: bool = True
    timeout_ms: int = 5000
    buffer_size: int = 1024
    buffer_size_tx: int = 1024
    username: str | None = None
    password: str | None = None
    auth_type: AuthType = "none"
    max_authorization_retries: int = 0  # 0 stands for 10, -1 for none
