"""``esp-ota cloud login`` and ``logout``: a profile, and the tokens in it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from py_esp_ota.cli.cloud.answers import Refused, Unreached
from py_esp_ota.cli.cloud.options import cloud_of, connected, of_a_cloud
from py_esp_ota.cli.cloud.profiles import Profile, base_url
from py_esp_ota.cli.endpoints import Endpoints
from py_esp_ota.cli.files import Unusable, print_json, read_text
from py_esp_ota.cli.output import say

PASSWORD = "ESP_OTA_PASSWORD"  # noqa: S105 - the name of a variable


@click.command("login")
@click.option("--url", help="The cloud: https://HOST[:PORT]; http:// for one on this machine.")
@click.option("--user", metavar="NAME", help="Who you are there.")
@click.option("--ca", type=click.Path(path_type=Path), help="The CA to trust (PEM); the system's, without.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder of an esp-ota serve: URL, admin and password are in it.",
)
@of_a_cloud
def login(url: str | None, user: str | None, ca: Path | None, data: Path | None, profile: str, as_json: bool) -> None:
    """Log in to a cloud and keep the login as a profile. What is not said is as it was in that profile.

    The password is that of --data, of the variable ESP_OTA_PASSWORD, or asked for.
    """
    if data is not None:
        if url or user or ca:
            raise click.UsageError("--data says it all: leave --url, --user and --ca out")
        wanted, password = served_by(profile, data)
    else:
        wanted = _named(profile, url, user, ca)
        password = _password(wanted.user)
    with connected(wanted) as cloud:
        cloud.log_in(password)
        cloud.profile.keep()
    if as_json:
        print_json({"profile": profile, "url": wanted.url, "user": wanted.user})
    else:
        say(f"profile {profile}: {wanted.user} at {wanted.url}")


@click.command("logout")
@of_a_cloud
def logout(profile: str, as_json: bool) -> None:
    """End the login of a profile and delete the profile, also when its cloud is away."""
    with cloud_of(profile) as cloud:
        told = True
        try:
            cloud.log_out()
        except (Refused, Unreached) as error:
            told = False
            say(f"the cloud was not told: {error.message}", err=True)
        cloud.profile.forget()
    if as_json:
        print_json({"profile": profile, "told": told})
    else:
        say(f"profile {profile} is deleted")


def served_by(name: str, folder: Path) -> tuple[Profile, str]:
    """The admin of the ``esp-ota serve`` of a folder, and the password. Raises ``Unusable``."""
    from py_esp_ota.world import ADMIN

    url = Endpoints.read(folder).url
    return Profile(name, base_url(url), ADMIN), read_text(folder / "admin-password", what="a password").strip()


def _named(name: str, url: str | None, user: str | None, ca: Path | None) -> Profile:
    known = Profile.find(name)
    if known is None:
        if url is None or user is None:
            raise click.UsageError(f"there is no profile {name} yet: --url and --user are needed, or --data")
        known = Profile(name, base_url(url), user)
    elif url is not None and base_url(url) != known.url:
        known = replace(known, url=base_url(url), ca=None)  # a CA is trusted for its cloud alone
    return replace(
        known,
        user=user or known.user,
        ca=known.ca if ca is None else str(ca.absolute()),
        accesstoken="",
        refreshtoken="",
    )


def _password(user: str) -> str:
    said = os.environ.get(PASSWORD)
    if said:
        return said
    if sys.stdin is None or not sys.stdin.isatty():
        raise Unusable(f"there is nobody to ask for the password of {user}: put it into {PASSWORD}")
    asked: str = click.prompt(f"Password of {user}", hide_input=True, err=True)
    return asked
