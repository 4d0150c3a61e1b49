"""What the verbs of ``esp-ota cloud`` share: their options, and the words that say a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from py_esp_ota.cli.cloud.profiles import DEFAULT, Profile, ProfileName
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.needing import needing

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud

_F = TypeVar("_F", bound=Callable[..., Any])

profile_option = click.option(
    "--profile",
    type=ProfileName(),
    default=DEFAULT,
    envvar="ESP_OTA_PROFILE",
    show_default=True,
    show_envvar=True,
    help="Which of your logins.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def of_a_cloud(verb: _F) -> _F:
    """``--profile`` and ``--json``, which every verb has."""
    return profile_option(json_option(verb))


def cloud_of(name: str) -> Cloud:
    """The cloud of a profile. Raises ``Unusable``: nobody has logged in, or the extra is missing."""
    profile = Profile.find(name)
    if profile is None:
        raise Unusable(f"nobody has logged in: esp-ota cloud login --profile {name} --url https://HOST --user NAME")
    return connected(profile)


def connected(profile: Profile) -> Cloud:
    """A client for the cloud of a profile. Raises ``Unusable``."""
    with needing("cloud", "cloud"):
        from py_esp_ota.cli.cloud.client import Cloud

    return Cloud(profile)


_LAST_SECOND = 2**31 - 1
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9})([smhd]?)")
_WINDOW = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")


class Duration(click.ParamType):  # type: ignore[type-arg] # generic to newer clicks only
    """Seconds, or a number with one of the units s, m, h, d."""

    name = "duration"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds. Raises ``click.BadParameter``."""
        if isinstance(value, int):
            return value
        found = _DURATION.fullmatch(value)
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if not seconds:
            raise click.BadParameter(f"{value!r} is no time like 90, 90s, 30m, 12h or 7d", ctx, param)
        return seconds


class Window(click.ParamType):  # type: ignore[type-arg]
    """``HH:MM-HH:MM`` of the day where the node is; it may cross midnight."""

    name = "window"

    def convert(
        self, value: str | dict[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """``download_window`` of a job's metadata: minutes of the day. Raises ``click.BadParameter``."""
        if isinstance(value, dict):
            return value
        found = _WINDOW.fullmatch(value)
        if found:
            hours, minutes = (int(found[1]), int(found[3])), (int(found[2]), int(found[4]))
            if max(hours) < 24 and max(minutes) < 60:
                return {"start": hours[0] * 60 + minutes[0], "end": hours[1] * 60 + minutes[1]}
        raise click.BadParameter(f"{value!r} is no HH:MM-HH:MM between 00:00 and 23:59", ctx, param)


class Validity(click.ParamType):  # type: ignore[type-arg]
    """How long from now, as a ``Duration``; or ``START/END`` in ISO 8601, which without a zone is UTC."""

    name = "validity"

    def convert(
        self, value: str | dict[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """``validity`` of a job's metadata: seconds since 1970. Raises ``click.BadParameter``."""
        if isinstance(value, dict):
            return value
        start, slash, end = value.partition("/")
        if not slash:
            now = int(datetime.now(UTC).timestamp())
            return self._known({"end": now + Duration().convert(value, param, ctx)}, param, ctx)
        try:
            span = {"start": _seconds(start), "end": _seconds(end)}
        except (ValueError, OverflowError):
            example = "2026-01-31T22:00Z/2026-02-01T04:00Z"
            raise click.BadParameter(f"{value!r} is neither a time like 12h nor like {example}", ctx, param) from None
        if span["start"] >= span["end"]:
            raise click.BadParameter(f"{value!r} ends before it begins", ctx, param)
        return self._known(span, param, ctx)

    @staticmethod
    def _known(span: dict[str, int], param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        if max(span.values()) > _LAST_SECOND:
            raise click.BadParameter("a node knows no time after 2038-01-19: its JSON has 32 bits", ctx, param)
        return span


def _seconds(moment: str) -> int:
    found = datetime.fromisoformat(moment)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def moment(milliseconds: int) -> str:
    """A time of an answer, in UTC; nothing for one that is none. RainMaker writes some in seconds."""
    seconds = milliseconds / 1000 if milliseconds > 1e11 else milliseconds
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}" if seconds > 0 else ""
    except (OverflowError, ValueError, OSError):
        return ""
