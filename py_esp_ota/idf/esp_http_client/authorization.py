"""Who a client is, what the server asked last, and the ``Authorization`` of its next request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult

from py_esp_ota.idf.esp_http_client import auth
from py_esp_ota.idf.esp_http_client.auth import AuthType, Challenge
from py_esp_ota.idf.esp_http_client.features import HttpClientFeatures
from py_esp_ota.sdkconfig import Sdkconfig

#: ``esp_random``: 32 bits of noise.
EspRandom = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Methods:
    """Which kinds of challenge a build answers."""

    basic: bool
    digest: bool

    @classmethod
    def of(cls, build: Sdkconfig, features: HttpClientFeatures) -> Methods:
        """As the build says; of Digest the release has a default, or no choice."""
        digest = build.esp_http_client_enable_digest_auth
        if digest is None or not features.digest_is_optional:
            digest = not features.digest_is_off
        return cls(build.esp_http_client_enable_basic_auth, digest)

    def named_by(self, header: str, features: HttpClientFeatures) -> AuthType:
        """The kind that a ``WWW-Authenticate`` begins with; ``none`` when the build does not have it."""
        if self.digest and auth.str_starts_with(header, "Digest", any_case=features.any_case):
            return "digest"
        if self.basic and auth.str_starts_with(header, "Basic", any_case=features.any_case):
            return "basic"
        return "none"


class Authorization:
    """The part of ``connection_info_t`` and ``esp_http_auth_data_t`` that makes the header ``Authorization``.

    Attributes:
        type: ``auth_type``: as configured, then what the last challenge began with.
        username: as C has it, one character a byte; ``None`` for a null pointer.
        password: likewise.
    """

    def __init__(
        self,
        auth_type: AuthType,
        username: str | None,
        password: str | None,
        methods: Methods,
        features: HttpClientFeatures,
        esp_random: EspRandom,
    ) -> None:
        self.type = auth_type
        self.username = auth.as_in_c(username)
        self.password = auth.as_in_c(password)
        self._methods = methods
        self._features = features
        self._esp_random = esp_random
        self._challenge: Challenge | None = None
        self._nc = 1

    def of_url(self, url: SplitResult) -> None:
        """``esp_http_client_set_url``: ``user:pass@`` of an URL counts, character by character, ``user@`` by half."""
        name, colon, password = url.netloc.rpartition("@")[0].partition(":")
        if colon:
            self.password = password
        if name or colon:
            self.username = name

    def forget(self) -> None:
        """Of another host none of it is true. What the last challenge began with stays."""
        self.username = self.password = self._challenge = None

    def take(self, header: str, method: str) -> bool:
        """``esp_http_client_add_auth``: a new challenge; false when this build has no answer to its kind."""
        self.type = self._methods.named_by(header, self._features)
        if self.type == "none":
            return False
        self._challenge = auth.challenge(header, method, self._features)
        self._nc = 1
        return True

    def answer(self, uri: str) -> tuple[str | None, str | None]:
        """``esp_http_client_prepare``: the header of the next request, ``None`` for as it was, and a warning."""
        if self.username is None:
            return None, None
        if self.type == "basic":
            return auth.basic(self.username, self.password), None
        asked = self._challenge
        if self.type != "digest" or not self._methods.digest or asked is None:
            return None, None
        if not self._features.uri_with_query:
            uri = uri.partition("?")[0]
        cnonce = (self._esp_random() << 32) + self._esp_random()
        answer = auth.digest(
            asked, self.username, self.password, uri=uri, nc=self._nc, cnonce=cnonce, features=self._features
        )
        if answer is None:
            return None, None
        self._nc += 1
        return answer, auth.NO_QOP if asked.qop is None and self._features.optional_qop else None
