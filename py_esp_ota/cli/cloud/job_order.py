"""What ``jobs start`` and ``jobs preview`` are told alike: which image for which nodes, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from py_esp_ota.cli.cloud.answers import Json, text
from py_esp_ota.cli.cloud.job_plan import plan_of, plan_options
from py_esp_ota.cli.cloud.options import Duration, Validity, Window

_F = TypeVar("_F", bound=Callable[..., Any])

ALL_NODES = "FFFF-FFFF"  # the one group that is every node of an admin

_FLAGS = {
    "force_push": "Now, to nodes that are online; else each gets it when it asks.",
    "user_approval": "Only when the node's user says yes.",
    "notify": "Tell the node's users that an update waits for them.",
    "continuous": "For nodes as well that join the groups later.",
    "network_serialised": "One node of a network at a time.",
    "allow_wrong_chip": "Even to nodes of another chip than the image's, which refuse it.",
}
"""What stands in the query of a job."""

_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--image",),
        {
            "required": True,
            "metavar": "NAME|ID|FILE.bin",
            "help": "What to bring; a .bin is uploaded first, if it is not there.",
        },
    ),
    (("--node", "nodes"), {"multiple": True, "metavar": "ID", "help": "For this node; can be said again."}),
    (
        ("--group", "groups"),
        {"multiple": True, "metavar": "ID", "help": "For the nodes of this group; can be said again."},
    ),
    (("--all", "every"), {"is_flag": True, "help": "For every node of yours."}),
    (("--name",), {"help": "What the job is called; as the image, without."}),
    (("--description",), {"help": "What the users of the nodes read."}),
    *(((f"--{name.replace('_', '-')}",), {"is_flag": True, "help": told}) for name, told in _FLAGS.items()),
    (("--priority",), {"type": click.IntRange(1, 9), "help": "1 comes first, 9 last.  [default: 5]"}),
    (("--timeout",), {"type": Duration(), "metavar": "TIME", "help": "The job gives up then.  [default: 15d]"}),
    (
        ("--window",),
        {"type": Window(), "metavar": "HH:MM-HH:MM", "help": "Nodes download at these times of their day only."},
    ),
    (
        ("--validity",),
        {"type": Validity(), "metavar": "TIME|START/END", "help": "Nodes take it that long, or between these."},
    ),
)


def order_options(verb: _F) -> _F:
    """All of them, those of the plan behind."""
    return _with(verb, {})


def planned_options(verb: _F) -> _F:
    """The same, for a verb that may be told a job instead."""
    return _with(verb, {"required": False, "help": "What to bring, of a job that is only planned."})


def _with(verb: _F, of_image: Mapping[str, Any]) -> _F:
    verb = plan_options(verb)
    for names, told in reversed(_OPTIONS):
        more = of_image if names == ("--image",) else {}
        verb = click.option(*names, **{**told, **more})(verb)
    return verb


def order_of(words: Mapping[str, Any]) -> tuple[Json, dict[str, str]]:
    """Body and query of a job, its image still missing. Raises ``click.UsageError``, ``Unusable``."""
    nodes, groups, every = words["nodes"], words["groups"], words["every"]
    if bool(nodes or groups) == every:
        raise click.UsageError("which nodes? --node ID or --group ID, again for each, or --all")
    timed = {"download_window": words["window"], "validity": words["validity"]}
    body = {
        "ota_job_name": words["name"],
        "nodes": list(dict.fromkeys(nodes)),
        "groups": [ALL_NODES] if every else list(dict.fromkeys(groups)),
        "metadata": {key: value for key, value in timed.items() if value},
        "description": words["description"],
        "priority": words["priority"],
        "timeout": words["timeout"],
        "plan": plan_of(words),
    }
    given = {key: value for key, value in body.items() if value}
    return given, {flag: "true" for flag in _FLAGS if words[flag]}


def with_image(body: Json, image: Json) -> Json:
    """The body of a job that brings this image; without a name of its own it has the image's."""
    return {"ota_job_name": text(image, "image_name"), "ota_image_id": text(image, "ota_image_id"), **body}
