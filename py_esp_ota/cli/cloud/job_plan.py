"""How a job is rolled out, as options: they make the ``plan`` of a job, alone or on top of a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from py_esp_ota.cli.cloud.answers import Json
from py_esp_ota.cli.cloud.options import Duration
from py_esp_ota.cli.files import Unusable, read_text
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.strict_json import JsonError, read_json

_F = TypeVar("_F", bound=Callable[..., Any])


class Moment(click.ParamType):  # type: ignore[type-arg] # generic to newer clicks only
    """How long from now, as a ``Duration``; or a time in ISO 8601, which without a zone is UTC."""

    name = "moment"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds since 1970. Raises ``click.BadParameter``."""
        if isinstance(value, int):
            return value
        if value.isalnum():
            return int(datetime.now(UTC).timestamp()) + Duration().convert(value, param, ctx)
        try:
            found = datetime.fromisoformat(value)
            return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            message = f"{value!r} is neither a time like 12h nor like 2026-01-31T22:00Z"
            raise click.BadParameter(message, ctx, param) from None


#: Each option: its place in the plan, its name, and what click is told of it.
_OPTIONS: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = (
    (
        ("phases",),
        "--phase",
        {
            "multiple": True,
            "metavar": "10|25%|rest|group:ID",
            "help": "Come to so many nodes first; can be said again, 'rest' is last.",
        },
    ),
    (
        ("gate", "success"),
        "--gate",
        {"metavar": "90%|N", "help": "What a phase must have updated before the next one begins.  [default: 90%]"},
    ),
    (
        ("gate", "hold"),
        "--hold",
        {"type": Duration(), "metavar": "TIME", "help": "Watch a phase so long after it has met its gate."},
    ),
    (
        ("gate", "within"),
        "--gate-within",
        {"type": Duration(), "metavar": "TIME", "help": "Pause when a phase has not met its gate by then."},
    ),
    (("gate", "confirm"), "--confirm", {"is_flag": True, "help": "Pause at each gate until somebody resumes."}),
    (
        ("abort", "failed"),
        "--abort-failed",
        {"metavar": "10|5%", "help": "End the job when so many nodes have failed, for whatever reason."},
    ),
    (
        ("abort", "rolled_back"),
        "--abort-rolled-back",
        {"metavar": "3|2%", "help": "End it when so many have rolled back."},
    ),
    (
        ("abort", "no_answer"),
        "--abort-no-answer",
        {"metavar": "20|20%", "help": "End it when so many say nothing for --answer-within."},
    ),
    (
        ("abort", "least"),
        "--abort-least",
        {
            "type": click.IntRange(1),
            "metavar": "N",
            "help": "Shares count once so many nodes have ended.  [default: 1]",
        },
    ),
    (
        ("answer_within",),
        "--answer-within",
        {"type": Duration(), "metavar": "TIME", "help": "A node that has the URL says something by then."},
    ),
    (
        ("node_timeout",),
        "--node-timeout",
        {"type": Duration(), "metavar": "TIME", "help": "A node that has the URL has ended by then."},
    ),
    (
        ("rate",),
        "--rate",
        {"type": click.IntRange(1), "metavar": "N", "help": "Come to no more than N nodes a minute."},
    ),
    (("start",), "--start-at", {"type": Moment(), "metavar": "TIME", "help": "Begin then: 12h, or 2026-01-31T22:00Z."}),
)


def _variable(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def plan_options(verb: _F) -> _F:
    """``--plan`` and every option that says a part of it."""
    for _, option, told in reversed(_OPTIONS):
        verb = click.option(option, **told)(verb)
    return click.option(
        "--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE.json", help="The plan from a file."
    )(verb)


def plan_of(words: Mapping[str, Any]) -> Json | None:
    """The plan in the words of a call; options come before what the file says. ``None`` when there is none.

    Raises:
        click.UsageError: it makes no sense; the sentence names what.
        Unusable: the file cannot be read.
    """
    file: Path | None = words["plan_file"]
    plan = {} if file is None else _from_file(file)
    for place, option, _ in _OPTIONS:
        value = words[_variable(option)]
        if value:
            inside = plan
            for key in place[:-1]:
                inside = inside.setdefault(key, {})
            inside[place[-1]] = list(value) if isinstance(value, tuple) else value
    if not plan:
        return None
    try:
        Plan.from_json(plan)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return plan


def _from_file(file: Path) -> dict[str, Any]:
    try:
        plan = read_json(read_text(file, what="a plan").encode())
    except JsonError as error:
        raise Unusable(f"{file} is no plan in JSON: {error}") from None
    if not isinstance(plan, dict) or not all(isinstance(plan.get(key, {}), dict) for key in ("gate", "abort")):
        raise Unusable(f"{file} is no plan: an object as {json.dumps({'phases': ['10', 'rest']})}")
    return plan
