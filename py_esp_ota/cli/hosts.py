"""Hosts that a user names."""

from __future__ import annotations

import click

from py_esp_ota.adapters.hosts import check_host


def host_of(option: str, text: str) -> str:
    """The host that an option names, in lower case. Raises ``click.BadParameter`` for what is none."""
    try:
        return check_host(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
