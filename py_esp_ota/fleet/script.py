"""A part of a fleet as a play of ``rehearsal``: each device a whole one, on one stage."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota._core import inspect_image, sha256
from py_esp_ota.cloud.plan import sizes_of
from py_esp_ota.cloud.rehearsals import RehearsedJob
from py_esp_ota.fleet.members import JobOrder, Kind, Member
from py_esp_ota.rehearsal.climate import Fate
from py_esp_ota.rehearsal.likeness import Likeness, app_slot, flashed
from py_esp_ota.rehearsal.play import Part, Script
from py_esp_ota.releases import release_text


def script_of(members: Sequence[Member], order: JobOrder, begin: int) -> Script:
    """These devices and this job. Raises ``ValueError``: the job's phases do not add up, or a kind cannot be made."""
    desc = inspect_image(order.image).app_desc
    job = RehearsedJob(
        name=order.name,
        image=sha256(order.image).hex(),
        model=desc.project_name if desc else "",
        fw_version=desc.version if desc else "",
        metadata=order.metadata,
        priority=order.priority,
        timeout=order.timeout,
        force_push=order.force_push,
        max_fetch_cycles=order.max_fetch_cycles,
        plan=order.plan,
        sizes=sizes_of(order.plan.phases, len(members), {}),
    )
    likenesses: dict[str, Likeness] = {}
    parts = []
    for member in members:
        if member.kind.name not in likenesses:
            likenesses[member.kind.name] = likeness_of(member.kind)
        fate = Fate(plan=member.plan, boots=member.boots_at, comes=member.comes, power=member.power, away=member.away)
        parts.append(Part(node_id=member.node_id, like=likenesses[member.kind.name], fate=fate))
    return Script(job=job, image=order.image, began=begin * 1000, parts=tuple(parts))


def likeness_of(kind: Kind) -> Likeness:
    """A device of a kind as it left the factory. Raises ``ValueError``: its table has no app, or no flash holds it."""
    flash = flashed(
        kind.table,
        {app_slot(kind.table).offset: kind.image},
        chip=kind.chip,
        release=release_text(kind.config.idf_version),
    )
    return Likeness(kind.table, kind.image, kind.config, None, flash, ())
