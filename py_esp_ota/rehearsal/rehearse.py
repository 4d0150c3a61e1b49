"""Rehearsing: a campaign with all its nodes, or one of them alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cloud.history import lines
from py_esp_ota.cloud.rehearsals import Copy, Rehearsal, RehearsedJob, too_large
from py_esp_ota.cloud.standing import Tally
from py_esp_ota.rehearsal.climate import Fate, climate_of, deal
from py_esp_ota.rehearsal.forecast import Forecast, forecast_of
from py_esp_ota.rehearsal.likeness import Likenesses
from py_esp_ota.rehearsal.play import Part, Script, Told, alone, play

SEED_LIMIT = 2**32


def _nobody(_tally: Tally, _seconds: int) -> None:
    pass


def rehearse(
    rehearsal: Rehearsal, *, weather: str = "", seed: int = 0, job: str = "FILE", told: Told = _nobody
) -> Forecast:
    """Play a campaign under ``weather`` (see ``climate``), and say what it comes to.

    Args:
        rehearsal: the campaign.
        weather: what the devices meet.
        seed: who of them meets it.
        job: what the replay lines call the campaign by.
        told: hears how far it is.

    Raises:
        ValueError: weather that is none, facts that no board can have, or more copies than memory; one sentence.
    """
    climate = climate_of(weather)
    if problem := too_large(rehearsal):
        raise ValueError(problem)
    fates = deal(climate, rehearsal.nodes, seed)
    script = _script(rehearsal, rehearsal.job, rehearsal.nodes, fates)
    played = run_virtual(play(script, told=told))
    return forecast_of(rehearsal, played, fates, climate, weather=weather or "fine", seed=seed, job=job)


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a device that is played alone: of its console, or what the cloud heard and did."""

    seconds: float  # from the campaign's first moment
    who: str  # "chip" or "cloud"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lone:
    """One device of a campaign, played alone."""

    node_id: str
    weather: str
    seed: int
    status: str
    info: str
    boots: int
    said: Sequence[Said]

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return asdict(self)


def rehearse_one(
    rehearsal: Rehearsal,
    node_id: str,
    *,
    weather: str = "",
    seed: int = 0,
    turn: float = 0,
    back: float | None = None,
    stop: float | None = None,
) -> Lone:
    """Play one device of a campaign alone, and tell everything that it prints and says.

    Args:
        rehearsal: the campaign.
        node_id: the device.
        weather: as a replay line has it, with one plan for all; or a climate, of which the device gets its share.
        seed: as in the whole play.
        turn: seconds after which the device has its turn.
        back: seconds after which it comes, when it was offline.
        stop: seconds after which the job is cancelled.

    Raises:
        ValueError: it is none of the job's, or as ``rehearse``.
    """
    copy = next((copy for copy in rehearsal.nodes if copy.node_id == node_id), None)
    if copy is None:
        raise ValueError(f"the job is not for node {node_id[:64]}")
    fate = deal(climate_of(weather), rehearsal.nodes, seed)[node_id]
    fate = fate if back is None else replace(fate, boots=back)
    script = _script(rehearsal, alone(rehearsal.job, rehearsal.now, turn), (copy,), {node_id: fate})
    return play_alone(script, seed=seed, stop=stop)


def play_alone(script: Script, *, seed: int, stop: float | None = None) -> Lone:
    """Play a script of one device, and tell everything that it prints and says; ``seed`` is told with it."""
    (part,) = script.parts
    played = run_virtual(play(script, told=_nobody, stop=stop, listen=True))
    (node,) = played.nodes
    heard = [
        Said(
            (line.timestamp - played.began) / 1000,
            "cloud",
            ": ".join(filter(None, (line.status, line.additional_info))),
        )
        for entry in played.log
        if entry.event.node_id
        for line in lines(entry)
    ]
    printed = [Said(round(seconds, 3), "chip", text) for seconds, text in played.console]
    return Lone(
        node_id=part.node_id,
        weather=part.fate.plan,
        seed=seed,
        status=node.status.value,
        info=node.additional_info,
        boots=played.boots[part.node_id],
        said=sorted([*heard, *printed], key=lambda said: said.seconds),
    )


def _script(rehearsal: Rehearsal, job: RehearsedJob, copies: Sequence[Copy], fates: Mapping[str, Fate]) -> Script:
    likenesses = Likenesses(rehearsal)
    parts = (Part(node_id=copy.node_id, like=likenesses.of(copy), fate=fates[copy.node_id]) for copy in copies)
    return Script(job=job, image=rehearsal.images[job.image], began=rehearsal.now, parts=tuple(parts))
