"""Logins that are kept: one file for each profile in the user's folder of settings, for its owner alone."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import click

from py_esp_ota.cli.files import Unusable, close_to_others, read_text, write_output

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9_#-][A-Za-z0-9_.#-]{0,49}")  # the official CLI's, but none that is a hidden file
_SCHEMES = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Profile:
    """A cloud, who one is there, and the tokens of the login."""

    name: str
    url: str  # without /v1
    user: str
    ca: str | None = None  # a file; None trusts the system's
    accesstoken: str = ""
    refreshtoken: str = ""

    @classmethod
    def find(cls, name: str) -> Self | None:
        """The profile of this name, if there is one. Raises ``Unusable``: its file is not one of ours."""
        file = _file(name)
        if not file.is_file():
            return None
        try:
            found = json.loads(read_text(file, what="a profile"))
            texts = {key: value for key, value in found.items() if isinstance(value, str)}
            return cls(**{**texts, "name": name})
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise Unusable(f"{file} is no profile: delete it and log in anew") from None

    @classmethod
    def at(cls, url: str) -> Self | None:
        """The first profile of a cloud, if there is one. Raises ``Unusable``: a file is not one of ours."""
        names = sorted(file.stem for file in _folder().glob("*.json")) if _folder().is_dir() else []
        found = (cls.find(name) for name in names)
        return next((profile for profile in found if profile and profile.url == url.rstrip("/")), None)

    def keep(self) -> None:
        """Write it, for its owner alone. Raises ``Unusable``."""
        file = _file(self.name)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            close_to_others(file)  # it keeps its mode when it is written anew
        except OSError as error:
            raise Unusable(f"{error.filename or file}: {error.strerror}") from error
        kept = {key: value for key, value in asdict(self).items() if key != "name" and value is not None}
        write_output(file, (json.dumps(kept, indent=2) + "\n").encode(), mode=0o600)

    def forget(self) -> None:
        """Delete it. Raises ``Unusable``."""
        try:
            _file(self.name).unlink(missing_ok=True)
        except OSError as error:
            raise Unusable(f"{error.filename}: {error.strerror}") from error


class ProfileName(click.ParamType):  # type: ignore[type-arg] # generic to newer clicks only
    """The name of a profile; those that are there are completed."""

    name = "profile"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name. Raises ``click.BadParameter``."""
        if _NAME.fullmatch(value):
            return value
        rule = "letters, digits, _ - . and #, 50 at most, no dot first"
        raise click.BadParameter(f"{value!r} is no name of a profile: {rule}", ctx, param)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The profiles that begin so."""
        from click.shell_completion import CompletionItem

        names: list[str] = []
        with suppress(OSError):
            names = sorted(file.stem for file in _folder().glob("*.json"))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def base_url(text: str) -> str:
    """The URL of a cloud, without a ``/v1`` and slashes at its end. Raises ``click.BadParameter``.

    Plain HTTP is for a cloud on this machine: passwords and tokens go over the line.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no URL: {error}", param_hint="--url") from None
    if parts.scheme not in _SCHEMES or not host or not text.isprintable() or " " in text or port == 0:
        raise click.BadParameter(f"{text!r} is no URL of a cloud, as https://HOST[:PORT] is one", param_hint="--url")
    if parts.username is not None or parts.query or parts.fragment:
        raise click.BadParameter("the URL of a cloud is https://HOST[:PORT][/PATH] and no more", param_hint="--url")
    if parts.scheme == "http" and not is_loopback(host):
        raise click.BadParameter(
            f"{host} is not this machine, and a password does not go over plain HTTP: https://{host}",
            param_hint="--url",
        )
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _folder() -> Path:
    return Path(click.get_app_dir("esp-ota")) / "profiles"


def _file(name: str) -> Path:
    return _folder() / f"{name}.json"
