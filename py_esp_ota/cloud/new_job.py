"""A job as it is asked for: whether it may be made, before anything is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.jobs import OtaJob
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.texts import line, storable

JOB_NAME_LIMIT = 128
DESCRIPTION_LIMIT = 1024
METADATA_LIMIT = 4096
TIMEOUT_LIMIT_S = 10 * 365 * 86_400


class JobOptions(TypedDict, total=False):
    """What ``Jobs.create`` is told besides a name and an image."""

    nodes: Sequence[str]
    groups: Sequence[str]
    metadata: Mapping[str, Any] | None
    description: str
    priority: int
    timeout: int
    force_push: bool
    user_approval: bool
    notify: bool
    continuous: bool
    network_serialised: bool
    plan: Plan
    allow_wrong_chip: bool
    admin_id: str | None


def new_job(
    ota_job_id: str,
    name: str,
    ota_image_id: str,
    now: int,
    *,
    nodes: Sequence[str],
    groups: Sequence[str],
    metadata: Mapping[str, Any] | None,
    description: str,
    priority: int,
    timeout: int,
    force_push: bool,
    user_approval: bool,
    notify: bool,
    continuous: bool,
    network_serialised: bool,
    admin_id: str,
    plan: Plan,
    max_fetch_cycles: int,
) -> OtaJob:
    """The job, its version still empty.

    Raises:
        CloudError: JOB_TARGETS, JOB_METADATA, INVALID_REQUEST.
    """
    job = OtaJob(
        ota_job_id=ota_job_id,
        ota_job_name=line(name, "ota_job_name", JOB_NAME_LIMIT),
        ota_image_id=ota_image_id,
        fw_version="",
        triggered_timestamp=now,
        nodes=tuple(dict.fromkeys(nodes)),
        groups=tuple(dict.fromkeys(groups)),
        metadata=checked_metadata(metadata or {}, now),
        description=line(description, "description", DESCRIPTION_LIMIT) if description else "",
        priority=_in_range(priority, "priority", 1, 9),
        timeout=_in_range(timeout, "timeout", 1, TIMEOUT_LIMIT_S),
        force_push=force_push,
        user_approval=user_approval,
        notify=notify,
        continuous=continuous,
        network_serialised=network_serialised,
        admin_id=admin_id,
        plan=plan,
        max_fetch_cycles=max_fetch_cycles,
    )
    _check_targets(job)
    return job


def checked_metadata(metadata: Mapping[str, Any], now: int) -> dict[str, Any]:
    """What a job tells its nodes, if they can hear it; ``now`` in milliseconds. Raises ``CloudError``: JOB_METADATA."""
    problem = rules.metadata_problem(metadata, now)
    if problem is not None:
        raise CloudError(Refusal.JOB_METADATA, problem)
    try:
        document = storable(dict(metadata), "metadata")
    except ValueError as error:
        raise CloudError(Refusal.JOB_METADATA, str(error)) from None
    if len(json.dumps(document)) > METADATA_LIMIT:
        raise CloudError(Refusal.JOB_METADATA, f"metadata: at most {METADATA_LIMIT} bytes reach a node")
    return document


def _check_targets(job: OtaJob) -> None:
    problems = {
        "a job needs nodes or groups": not job.nodes and not job.groups,
        f"a job has at most {rules.MAX_NODES} nodes, not {len(job.nodes)}; FFFF-FFFF means all": (
            len(job.nodes) > rules.MAX_NODES
        ),
        f"a job has at most {rules.MAX_GROUPS} groups, not {len(job.groups)}": len(job.groups) > rules.MAX_GROUPS,
        "only groups can be joined later: a continuous job needs one": job.continuous and not job.groups,
    }
    for problem, applies in problems.items():
        if applies:
            raise CloudError(Refusal.JOB_TARGETS, problem)


def _in_range(value: int, what: str, low: int, high: int) -> int:
    if not low <= value <= high:
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} is a number from {low} to {high}")
    return value
