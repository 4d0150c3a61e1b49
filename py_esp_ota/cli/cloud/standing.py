"""Where a job stands, and what is said of it: values and rules, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from py_esp_ota.cli.cloud.answers import Json, columns, number, text
from py_esp_ota.cli.cloud.options import moment

#: Worst first: what somebody has to look at, what goes on, what waits, what is done.
_ORDER = ("failed", "rejected", "in-progress", "started", "delayed", "triggered", "success")
_GOOD, _BAD = "success", frozenset({"failed", "rejected"})
_FINAL = frozenset({"success", "rejected"})
_CANCELLED = frozenset({"cancelled", "canceled"})
_OVER = frozenset({"completed", "finished"}) | _CANCELLED  # RainMaker does not publish its words; these were seen
_NAMED = 10  # nodes in a sentence
_BAR = 24
CSV_HEAD = ("node_id", "status", "time_utc", "timestamp", "additional_info")


@dataclass(frozen=True, slots=True)
class Standing:
    """A job, its counts, and its nodes as the cloud tells them."""

    job: Json
    nodes: Sequence[Json]
    summary: Json = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen. ``failed`` alone is no end: such nodes fetch again."""
        return self._every or self._status in _OVER or self.stuck

    @property
    def behind(self) -> bool:
        """Whether the job's own status is of before its nodes' ends: it was asked about first."""
        return self._every and self._status not in _OVER

    @property
    def stuck(self) -> bool:
        """Whether the campaign has paused by itself, at a gate that its phase does not meet."""
        campaign = self._campaign
        return text(campaign, "state") == "paused" and campaign.get("at_gate") is True and not campaign.get("gate_met")

    @property
    def _campaign(self) -> Json:
        """How far it is in its plan; nothing of a cloud that has no campaigns."""
        found = self.job.get("campaign")
        return found if isinstance(found, dict) else {}

    @property
    def done(self) -> bool:
        """Whether it has ended with success on every node."""
        whole = self.ended and not self._cancelled and not self.stuck
        return whole and all(text(node, "status") == _GOOD for node in self.nodes)

    @property
    def _every(self) -> bool:
        return bool(self.nodes) and all(text(node, "status") in _FINAL for node in self.nodes)

    @property
    def _status(self) -> str:
        return text(self.job, "status").lower()

    @property
    def _cancelled(self) -> bool:
        return self._status in _CANCELLED

    def headline(self) -> str:
        """Name, id, status, counts: one line."""
        job, total = self.job, len(self.nodes)
        good = sum(text(node, "status") == _GOOD for node in self.nodes)
        bad = sum(text(node, "status") in _BAD for node in self.nodes)
        wrong = f", {bad} failed or rejected" if bad else ""
        name, job_id, status = (text(job, key) for key in ("ota_job_name", "ota_job_id", "status"))
        return f"{name} ({job_id}): {status}{self._stage()}, {good} of {total} updated{wrong}"

    def _stage(self) -> str:
        campaign = self._campaign
        phases, state = campaign.get("phases"), text(campaign, "state")
        phase = number(campaign, "phase")
        several = isinstance(phases, list) and len(phases) > 1 and phase > 0
        words = [f"phase {phase} of {len(phases)}"] if several and isinstance(phases, list) else []
        # Where it has a word of its own that RainMaker has not.
        words += [state] if state in {"scheduled", "paused", "aborted"} else []
        return f" ({', '.join(words)})" if words else ""

    def lines(self) -> list[str]:
        """Every node in a line, worst first."""
        return columns([_row(node) for node in sorted(self.nodes, key=_worst)])

    def table(self, width: int, height: int) -> list[str]:
        """What a terminal of this size shows of it."""
        total, good = len(self.nodes), sum(text(node, "status") == _GOOD for node in self.nodes)
        filled = _BAR * good // total if total else 0
        room = max(height - 4, 1)  # headline, bar, what is left out, and the line of the cursor
        rows, rest = self.lines(), total - room
        more = [f"and {rest} more"] if rest > 0 else []
        return [line[: width - 1] for line in (self.headline(), f"[{'#' * filled:<{_BAR}}]", *rows[:room], *more)]

    def changes(self, before: Standing | None) -> list[str]:
        """What became otherwise on which node, one line each."""
        known: Mapping[str, Json] = {} if before is None else {text(node, "node_id"): node for node in before.nodes}
        changed = [node for node in self.nodes if _said(node) != _said(known.get(text(node, "node_id"), {}))]
        return [": ".join(filter(None, _row(node))) for node in changed]

    def verdict(self) -> list[str]:
        """Why it is not well, one line for each reason; nothing for an update that all nodes took."""
        if self.done:
            return []
        reasons: dict[str, list[str]] = {}
        for node in sorted(self.nodes, key=_worst):
            if text(node, "status") != _GOOD:
                reason = ": ".join(filter(None, _said(node)))
                reasons.setdefault(reason, []).append(text(node, "node_id"))
        return [*self._stopped(), *(f"{_some(node_ids)}: {reason}" for reason, node_ids in reasons.items())]

    def _stopped(self) -> list[str]:
        why = text(self._campaign, "why")
        if text(self._campaign, "state") == "aborted":
            return [f"the job aborted itself: {why}"]
        if self.stuck:
            return [f"the job has paused: {why}"]
        return ["the job was cancelled"] if self._cancelled else []

    def to_json(self) -> Json:
        """All of it; ``ok`` is null while it goes on."""
        ok = self.done if self.ended else None
        return {"job": self.job, "summary": self.summary, "nodes": list(self.nodes), "ended": self.ended, "ok": ok}

    def rows(self) -> list[tuple[str, ...]]:
        """Every node as the cells of ``CSV_HEAD``."""
        return [
            (
                text(node, "node_id"),
                text(node, "status"),
                moment(number(node, "timestamp")),
                text(node, "timestamp"),
                text(node, "additional_info"),
            )
            for node in self.nodes
        ]


def _said(node: Json) -> tuple[str, str]:
    return text(node, "status"), text(node, "additional_info")


def _row(node: Json) -> tuple[str, str, str]:
    return text(node, "node_id"), *_said(node)


def _worst(node: Json) -> tuple[int, str]:
    status = text(node, "status")
    return _ORDER.index(status) if status in _ORDER else 0, text(node, "node_id")


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
