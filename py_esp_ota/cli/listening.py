"""Where ``esp-ota serve`` listens, and who is let in to its page there."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import click

PageKind = Literal["open", "link", "login"]


@dataclass(frozen=True, slots=True)
class Listening:
    """The address of the HTTPS server, and how one gets into the page; ``None`` when there is none."""

    address: str
    page: PageKind | None


def listening(address: str, *, no_web: bool, one_time_link: bool, login: bool) -> Listening:
    """What the options mean together. Beyond loopback there is no page without a login.

    Raises:
        click.UsageError: they contradict each other, or the address is none.
    """
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
        return Listening(str(parsed), None)
    if login or not parsed.is_loopback:
        return Listening(str(parsed), "login")
    return Listening(str(parsed), "link" if one_time_link else "open")
