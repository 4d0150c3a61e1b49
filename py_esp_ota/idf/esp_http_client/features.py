"""What ``esp_http_client`` does differently from one ESP-IDF release to another: a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from py_esp_ota.idf.features import Version, since

#: The first release of each maintained line that has a feature, the newest line last.
SINCE: Mapping[str, tuple[Version, ...]] = {
    "refuses_downgrade": ((5, 5, 5), (6, 1, 0)),
    "one_transport": ((6, 0, 2), (6, 1, 0)),
    "header_too_long": ((6, 2, 0),),
}


@dataclass(frozen=True, slots=True)
class HttpClientFeatures:
    """What one release has."""

    refuses_downgrade: bool  # https leads nowhere but to an https URL
    one_transport: bool  # chosen by the first URL, kept over redirects
    header_too_long: bool  # ESP_ERR_HTTP_HEADER_TOO_LONG


@lru_cache
def http_client_features(version: Version) -> HttpClientFeatures:
    """The features of one release."""
    return HttpClientFeatures(**{name: since(version, releases) for name, releases in SINCE.items()})


NEWEST = http_client_features(max(releases[-1] for releases in SINCE.values()))
