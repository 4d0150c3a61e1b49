"""The Start OTA form: what was typed into it, and the job that it says. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from py_esp_ota.cloud.jobs import ALL_NODES, DEFAULT_PRIORITY
from py_esp_ota.cloud.new_job import JobOptions
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.strict_json import read_json

T = TypeVar("T")

TEXTS = {
    "job_name": "",
    "description": "",
    "priority": str(DEFAULT_PRIORITY),
    "timeout": "15d",
    "window_start": "",
    "window_end": "",
    "valid_from": "",
    "valid_until": "",
    "metadata": "",
    "phases": "",
    "gate": "90%",
    "hold": "",
    "gate_within": "",
    "abort_failed": "",
    "abort_rolled_back": "",
    "abort_no_answer": "",
    "abort_least": "",
    "answer_within": "",
    "node_timeout": "",
    "rate": "",
    "start_at": "",
}
"""Fields of text, and what stands in them at first."""

FLAGS = (
    "force_push",
    "user_approval",
    "notify",
    "continuous",
    "network_serialised",
    "host_mcu",
    "confirm",
    "allow_wrong_chip",
)
LISTS = ("nodes", "groups")
TARGETS = ("nodes", "groups", "all")
ROLLOUT = tuple(TEXTS)[9:]
"""The fields of the plan: they are folded away while nothing stands in them."""
ADVANCED = ("description", "priority", "timeout", "window_start", "window_end", "valid_from", "valid_until", "metadata")

FIELDS = ("target", *TEXTS)
"""Where a refusal can stand."""

_DURATION = re.compile(r"(\d{1,9})\s*([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"(\d\d):(\d\d)")
_SPLIT = re.compile(r"[\s,;]+")

_PLACES: tuple[tuple[str, str], ...] = (
    ("ota_job_name", "job_name"),
    ("description", "description"),
    ("priority", "priority"),
    ("timeout", "timeout"),
    ("metadata.download_window", "window_start"),
    ("metadata.validity", "valid_until"),
    ("metadata", "metadata"),
    ("plan.phases", "phases"),
    ("plan.gate.hold", "hold"),
    ("plan.gate.within", "gate_within"),
    ("plan.gate", "gate"),
    ("plan.abort.failed", "abort_failed"),
    ("plan.abort.rolled_back", "abort_rolled_back"),
    ("plan.abort.no_answer needs", "answer_within"),
    ("plan.abort.no_answer", "abort_no_answer"),
    ("plan.abort.least", "abort_least"),
    ("plan.answer_within", "answer_within"),
    ("plan.node_timeout", "node_timeout"),
    ("plan.rate", "rate"),
    ("plan.start", "start_at"),
)
"""How refusals begin, and the fields that they are about."""
_OF_TARGETS = frozenset({Refusal.JOB_TARGETS, Refusal.NODE_NOT_OF_USER, Refusal.GROUP_UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartForm:
    """The form as it stands."""

    target: str = "nodes"
    nodes: Sequence[str] = ()
    groups: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=lambda: TEXTS)
    flags: frozenset[str] = frozenset()
    seen: str = ""  # the preview that whoever presses has before him

    @classmethod
    def read(cls, values: Callable[[str], Sequence[str]]) -> StartForm:
        """The form that was sent; ``values`` gives all values of a field, each of which may be missing."""

        def first(name: str, default: str) -> str:
            return (values(name) or [default])[0]

        target = first("target", "nodes")
        return cls(
            target=target if target in TARGETS else "nodes",
            nodes=tuple(values("nodes")),
            groups=tuple(values("groups")),
            texts={name: first(name, default) for name, default in TEXTS.items()},
            flags=frozenset(name for name in FLAGS if first(name, "") == "true"),
            seen=first("seen", ""),
        )

    @property
    def aims_at_nothing(self) -> bool:
        """Whether no node is chosen yet."""
        return not {"nodes": self.nodes, "groups": self.groups, "all": (ALL_NODES,)}[self.target]

    def folded(self, names: Sequence[str], flags: Sequence[str] = ()) -> bool:
        """Whether nobody has changed any of these fields."""
        return all(self.texts[name] == TEXTS[name] for name in names) and not self.flags.intersection(flags)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with the form, and at which field; empty when it is none of them."""

    field: str
    sentence: str


def wrong_of(refused: CloudError) -> Wrong:
    """A refusal, with the field that it is about."""
    if refused.refusal in _OF_TARGETS:
        return Wrong("target", refused.description)
    place = next((name for start, name in _PLACES if refused.description.startswith(start)), "")
    return Wrong(place, refused.description)


def options_of(form: StartForm) -> JobOptions:
    """The job that the form says, but for its name. Raises ``CloudError`` (INVALID_REQUEST, JOB_METADATA, JOB_PLAN)."""
    flag = form.flags.__contains__
    return {
        "nodes": form.nodes if form.target == "nodes" else (),
        "groups": {"nodes": (), "groups": form.groups, "all": (ALL_NODES,)}[form.target],
        "metadata": _metadata(form),
        "description": form.texts["description"].strip(),
        "priority": _number(form.texts["priority"], "priority") or DEFAULT_PRIORITY,
        "timeout": _seconds(form.texts["timeout"] or TEXTS["timeout"], "timeout"),
        "force_push": flag("force_push"),
        "user_approval": flag("user_approval"),
        "notify": flag("notify"),
        "continuous": flag("continuous"),
        "network_serialised": flag("network_serialised"),
        "allow_wrong_chip": flag("allow_wrong_chip"),
        "plan": _plan(form),
    }


def _metadata(form: StartForm) -> dict[str, Any] | None:
    texts = form.texts
    document: dict[str, Any] = {}
    if texts["metadata"].strip():
        try:
            document = read_json(texts["metadata"].encode())
        except ValueError as error:
            raise CloudError(Refusal.JOB_METADATA, f"metadata is a JSON object: {error}") from None
        if not isinstance(document, dict):
            raise CloudError(Refusal.JOB_METADATA, 'metadata is a JSON object, as {"key": "value"}')
    window = _span(texts["window_start"], texts["window_end"], "metadata.download_window", _minutes)
    validity = _span(texts["valid_from"], texts["valid_until"], "metadata.validity", local_moment)
    named = {"download_window": window, "validity": validity}
    if "host_mcu" in form.flags:
        named["esp.ota.target"] = "host_mcu"  # type: ignore[assignment]
    return {**document, **{key: value for key, value in named.items() if value}} or None


def _plan(form: StartForm) -> Plan:
    texts = {name: form.texts[name].strip() for name in ROLLOUT}
    document = {
        "phases": [phase for phase in _SPLIT.split(texts["phases"]) if phase],
        "gate": {
            "success": texts["gate"] or TEXTS["gate"],
            "hold": _seconds(texts["hold"], "plan.gate.hold"),
            "within": _seconds(texts["gate_within"], "plan.gate.within"),
            "confirm": "confirm" in form.flags,
        },
        "abort": {
            "failed": texts["abort_failed"],
            "rolled_back": texts["abort_rolled_back"],
            "no_answer": texts["abort_no_answer"],
            "least": _number(texts["abort_least"], "plan.abort.least") or 1,
        },
        "answer_within": _seconds(texts["answer_within"], "plan.answer_within"),
        "node_timeout": _seconds(texts["node_timeout"], "plan.node_timeout"),
        "rate": _number(texts["rate"], "plan.rate"),
        "start": local_moment(texts["start_at"], "plan.start") if texts["start_at"] else 0,
    }
    try:
        return Plan.from_json(document)
    except ValueError as error:
        raise CloudError(Refusal.JOB_PLAN, str(error)) from None


# --------------------------------------------------------------------------------------------------------------- words


def _span(start: str, end: str, what: str, read: Callable[[str, str], int]) -> dict[str, int]:
    given = {"start": start.strip(), "end": end.strip()}
    return {key: read(text, what) for key, text in given.items() if text}


def _number(text: str, what: str) -> int:
    text = text.strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} is a whole number, not {text[:20]!r}")
    return int(text or 0)


def _seconds(text: str, what: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if text.strip() and not found:
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} is a time like 90s, 30m, 12h or 7d, not {text[:20]!r}")
    return int(found[1]) * _UNITS[found[2]] if found else 0


def _minutes(text: str, what: str) -> int:
    found = _TIME.fullmatch(text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise CloudError(Refusal.JOB_METADATA, f"{what}: a time of the day is written HH:MM, not {text[:20]!r}")
    return int(found[1]) * 60 + int(found[2])


def local_moment(text: str, what: str) -> int:
    """Seconds since 1970 of a time that, as the page shows them, is in this machine's zone."""
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp())
    except (ValueError, OverflowError, OSError):
        sentence = f"{what}: a time is written YYYY-MM-DDTHH:MM, not {text[:20]!r}"
        raise CloudError(Refusal.INVALID_REQUEST, sentence) from None
