"""Where ``esp-ota serve`` listens, and who is let in to its page there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import click

from py_esp_ota.adapters.hosts import check_host

PageKind = Literal["open", "link", "login"]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where HTTPS and Mosquitto listen, how one gets into the page (``None``: there is none), and the host's names."""

    address: str
    page: PageKind | None
    names: tuple[str, ...] = ()


def listening(address: str, names: Sequence[str] = (), *, no_web: bool, one_time_link: bool, login: bool) -> Listening:
    """What the options mean together. Beyond loopback there is no page without a login.

    Raises:
        click.UsageError: they contradict each other, the address is none, or one of the names.
    """
    return Listening(*_who(address, no_web=no_web, one_time_link=one_time_link, login=login), _checked(names))


def _checked(names: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(map(check_host, names)))
    except ValueError as error:
        raise click.UsageError(f"--name: {error}") from None


def _who(address: str, *, no_web: bool, one_time_link: bool, login: bool) -> tuple[str, PageKind | None]:
    try:
        parsed = ip_address(address)
    except ValueError:
        raise click.UsageError(f"--listen: {address!r} is no IP address") from None
    if parsed.is_unspecified:
        raise click.UsageError(
            f"--listen: {address} is every address of this machine; name one, for certificate and links carry it"
        )
    if one_time_link and not parsed.is_loopback:
        raise click.UsageError("--one-time-link is for loopback; beyond it the page has a login")
    if one_time_link and login:
        raise click.UsageError("--one-time-link and --login are two ways in: choose one")
    if no_web and (one_time_link or login):
        option = "--one-time-link" if one_time_link else "--login"
        raise click.UsageError(f"--no-web leaves no page that {option} could lead to")
    if no_web:
        return str(parsed), None
    if login or not parsed.is_loopback:
        return str(parsed), "login"
    return str(parsed), "link" if one_time_link else "open"
