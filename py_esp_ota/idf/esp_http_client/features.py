"""What ``esp_http_client`` does differently from one ESP-IDF release to another: a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from py_esp_ota.idf.features import Version, since

#: The first release of each maintained line that has a feature, the newest line last.
SINCE: Mapping[str, tuple[Version, ...]] = {
    "follows_303_and_308": ((4, 3, 3), (4, 4, 2), (5, 0, 0)),
    "any_case": ((4, 4, 0),),
    "digest_is_optional": ((4, 4, 0),),
    "digest_is_off": ((5, 0, 0),),
    "forgets_challenge": ((5, 0, 0),),
    "header_timeout": ((5, 0, 0),),
    "checks_redirect": ((5, 0, 2), (5, 1, 0)),
    "optional_qop": ((5, 0, 7), (5, 1, 4), (5, 2, 1), (5, 3, 0)),
    "bare_cnonce": ((5, 1, 0),),
    "resets_counter": ((5, 0, 7), (5, 1, 5), (5, 2, 3), (5, 3, 0)),
    "digest_sha256": ((5, 3, 0),),
    "sha256_by_name": ((5, 4, 4), (5, 5, 3), (6, 0, 0)),
    "incomplete_data": ((5, 4, 3), (5, 5, 2), (6, 0, 0)),
    "auth_errors": ((5, 5, 0),),
    "uri_with_query": ((5, 5, 0),),
    "refuses_downgrade": ((5, 5, 5), (6, 1, 0)),
    "one_transport": ((6, 0, 2), (6, 1, 0)),
    "header_too_long": ((6, 2, 0),),
    "drops_credentials": ((6, 2, 0),),
    "parser_errors": ((6, 2, 0),),
}


@dataclass(frozen=True, slots=True)
class HttpClientFeatures:
    """What one release has."""

    follows_303_and_308: bool  # perform takes them for redirects
    any_case: bool  # the words of a challenge are found in any case
    digest_is_optional: bool  # ESP_HTTP_CLIENT_ENABLE_DIGEST_AUTH; before, every build has it
    digest_is_off: bool  # unless the build says otherwise
    forgets_challenge: bool  # with the next request; before, the next challenge is appended
    header_timeout: bool  # a time-out of the response header has a code of its own
    checks_redirect: bool  # a redirect that leads nowhere fails, and all are counted; before, perform alone counts
    optional_qop: bool  # an answer has one if the challenge has, and counts; before, always, with "(null)" for none
    bare_cnonce: bool  # no quotes around it, until qop is optional
    resets_counter: bool  # of redirects and challenges, when perform succeeds
    digest_sha256: bool  # the algorithm that the server wants, SHA-256 too; before, MD5 whatever it says
    sha256_by_name: bool  # spelled so in any case; before, what begins so, and SHA256 is taken for a session's
    incomplete_data: bool  # perform tells a body that ends early: ESP_ERR_HTTP_INCOMPLETE_DATA
    auth_errors: bool  # add_auth tells why there is no answer to a challenge; before, the request is sent again
    uri_with_query: bool  # in a Digest answer
    refuses_downgrade: bool  # https leads nowhere but to an https URL; perform hands on the code of a redirect
    one_transport: bool  # chosen by the first URL, kept over redirects
    header_too_long: bool  # ESP_ERR_HTTP_HEADER_TOO_LONG
    drops_credentials: bool  # on a redirect to another host
    parser_errors: bool  # a response that is no HTTP is an error at once; before, it is read until it ends


@lru_cache
def http_client_features(version: Version) -> HttpClientFeatures:
    """The features of one release."""
    return HttpClientFeatures(**{name: since(version, releases) for name, releases in SINCE.items()})


NEWEST = http_client_features(max(releases[-1] for releases in SINCE.values()))
