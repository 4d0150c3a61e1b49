"""One cloud, asked over HTTP: RainMaker's paths, tokens that are renewed, and a sentence for all that goes wrong."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx2

from py_esp_ota.cli.cloud.answers import Json, Refused, Unreached, listed, text
from py_esp_ota.cli.cloud.profiles import Profile, is_loopback
from py_esp_ota.cli.files import Unusable

_T = TypeVar("_T")

ANSWER_LIMIT = 32 << 20
"""Bytes of one answer: a page of a thousand nodes has less than one of these millions."""

_TIMEOUT_S = 30.0
_PAGE = 100  # of a list
_UNAUTHORIZED = 401
_OK = range(200, 300)
_SHOWN = 200
_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Whom a call without TLS trusts. To read the system's CAs takes longer than such a call."""


class Cloud:
    """The cloud of a profile. Use it as a context manager; ``profile`` has the tokens as they are now."""

    def __init__(self, profile: Profile) -> None:
        """Raises ``Unusable``: the CA is no file with certificates."""
        self.profile = profile
        url = urlsplit(profile.url)
        self._http = httpx2.Client(
            verify=_NOBODY if url.scheme == "http" and profile.ca is None else _trusting(profile.ca),
            trust_env=not is_loopback(url.hostname or ""),  # no proxy knows the way to this machine
            timeout=_TIMEOUT_S,
            headers={"Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._http.close()

    # ---------------------------------------------------------------------------------------------------------- login

    def log_in(self, password: str) -> None:
        """New tokens for the user of the profile. Raises ``Refused``, ``Unreached``."""
        answer = self._asked("POST", "login2", None, {"user_name": self.profile.user, "password": password})
        if "accesstoken" not in answer and answer.get("session"):
            raise Unusable(f"{self.profile.user} logs in with a second factor, which this verb cannot ask for")
        self._take(answer)

    def log_out(self) -> None:
        """End this login in the cloud. Raises ``Refused``, ``Unreached``."""
        self.ask("POST", "logout2", {"logout_all": "false"})

    def _renew(self) -> None:
        try:
            answer = self._asked("POST", "login2", None, {"refreshtoken": self.profile.refreshtoken})
        except Refused as error:
            raise self._ended(error) from None
        self._take(answer)
        self.profile.keep()

    def _take(self, answer: Json) -> None:
        access, refresh = answer.get("accesstoken"), answer.get("refreshtoken", self.profile.refreshtoken)
        if not (isinstance(access, str) and isinstance(refresh, str) and (access + refresh).isascii()):
            raise Unreached(f"{self.profile.url} answers a login without tokens: it is no RainMaker cloud")
        self.profile = replace(self.profile, accesstoken=access, refreshtoken=refresh)

    def _ended(self, error: Refused) -> Refused:
        name = self.profile.name
        said = f"the login of profile {name} has ended: esp-ota cloud login --profile {name} ({error.message})"
        return Refused(said, error_code=error.error_code)

    # ---------------------------------------------------------------------------------------------------------- asking

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, *, body: Json | None = None) -> Json:
        """The JSON object that a call answers; an access token that has run out is renewed once.

        Raises:
            Refused: the cloud says no, in its own words.
            Unreached: nobody answers, or somebody who is no RainMaker cloud.
        """
        return self._with_token(lambda token: self._asked(method, path, query, body, token=token))

    def file(self, path: str, query: Mapping[str, str]) -> bytes:
        """What a call answers that gives a file. Raises as ``ask`` does."""
        return self._with_token(lambda token: self._given("GET", path, query, None, token=token)[1])

    def send(self, path: str, query: Mapping[str, str], data: bytes) -> Json:
        """The JSON object that is answered to bytes. Raises as ``ask`` does."""
        return self._with_token(lambda token: self._asked("POST", path, query, data, token=token))

    def _with_token(self, call: Callable[[str], _T]) -> _T:
        try:
            return call(self.profile.accesstoken)
        except Refused as error:
            if error.status != _UNAUTHORIZED:
                raise
        self._renew()
        try:
            return call(self.profile.accesstoken)
        except Refused as error:
            raise (self._ended(error) if error.status == _UNAUTHORIZED else error) from None

    def pages(self, path: str, key: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Every item of a list, page by page. Raises as ``ask`` does."""
        asked = {"num_records": str(_PAGE), **(query or {})}
        seen: set[str] = set()
        while True:
            answer = self.ask("GET", path, asked)
            yield from listed(answer, key, path)
            following = text(answer, "next_id")
            if not following:
                return
            if following in seen:
                raise Unreached(f"{self.profile.url}: the list of {path} goes in a circle")
            seen.add(following)
            asked["start_id"] = following

    def _asked(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Json | bytes | None, *, token: str = ""
    ) -> Json:
        answer, data = self._given(method, path, query, body, token=token)
        found = _object(data)
        if found is None:
            raise Unreached(f"{self.profile.url} is no RainMaker cloud: {path} answers {_kind(answer)}, no JSON object")
        return found

    def _given(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Json | bytes | None, *, token: str = ""
    ) -> tuple[httpx2.Response, bytes]:
        where = self.profile.url
        headers = {"Authorization": token} if token else {}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        try:
            url = f"{where}/v1/{path}"
            with self._http.stream(method, url, params=query or None, headers=headers, **sent) as answer:
                data = self._read(answer)
        except httpx2.RequestError as error:
            raise Unreached(self._why(error)) from None
        except (httpx2.InvalidURL, ValueError) as error:  # of a header or a name that cannot be sent
            raise Unreached(f"{where}: this cannot be asked: {error}") from None
        if answer.status_code not in _OK:
            raise self._refused(answer, _object(data))
        return answer, data

    def _read(self, answer: httpx2.Response) -> bytes:
        data = bytearray()
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > ANSWER_LIMIT:
                raise Unreached(f"{self.profile.url} answers more than {ANSWER_LIMIT} bytes: it is no RainMaker cloud")
        return bytes(data)

    def _refused(self, answer: httpx2.Response, found: Json | None) -> Refused | Unreached:
        said = (found or {}).get("description") or (found or {}).get("message")
        if not isinstance(said, str):
            return Unreached(
                f"{self.profile.url} answers {answer.status_code} with {_kind(answer)}, and does not say why"
            )
        code = (found or {}).get("error_code")
        named = code if isinstance(code, int | str) else None
        number = f"HTTP {answer.status_code}" if named is None else f"error {named}"
        return Refused(f"the cloud refused: {said} ({number})", error_code=named, status=answer.status_code)

    def _why(self, error: httpx2.RequestError) -> str:
        url = self.profile.url
        if isinstance(error, httpx2.TimeoutException):
            return f"{url}: no answer within {_TIMEOUT_S:g} s"
        said = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in said:
            trusted = self.profile.ca or "the system's CAs"
            reason = said.partition("verify failed: ")[2].partition(" (_ssl")[0] or "it is not trusted"
            return f"{url}: its certificate is not vouched for by {trusted}: {reason}; log in with another --ca"
        return f"{url}: no cloud answers there: {said[:_SHOWN] or type(error).__name__}"


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise Unusable(f"{ca} has no CA certificate in PEM") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"{ca}: {getattr(error, 'strerror', None) or error}") from None


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _kind(answer: httpx2.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0] or "an unnamed body"
