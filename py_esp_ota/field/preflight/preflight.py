"""The answer: one verdict, all findings, and the slots of the board."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from py_esp_ota._core import Flash, Partition, inspect_image
from py_esp_ota.field.preflight.audit import audit, landing
from py_esp_ota.field.preflight.board import Board, app_config, apps_of, builds_of
from py_esp_ota.field.preflight.finding import Finding, FindingDict, by_weight
from py_esp_ota.field.preflight.play import Played, booted, play
from py_esp_ota.field.preflight.rules import Case, description, findings_of
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.idf.bootloader.start import state_of
from py_esp_ota.sdkconfig import Sdkconfig

Answer = Literal["runs", "refused"]


class SlotDict(TypedDict):
    """One app partition as JSON."""

    partition: str
    offset: int
    size: int
    project: str | None
    version: str | None
    secure_version: int | None
    idf_version: str | None
    valid: bool
    signed: bool
    state: str | None
    roles: list[str]


class PreflightDict(TypedDict):
    """The JSON of ``esp-ota preflight --json``."""

    verdict: Answer
    chip: str
    partition: str | None
    rollback_to: str | None
    can_roll_back: bool | None
    findings: list[FindingDict]
    slots: list[SlotDict]


@dataclass(frozen=True, slots=True)
class Preflight:
    """``partition`` is where the update goes, ``rollback_to`` what starts when it is taken back."""

    chip: str
    played: Played
    partition: str | None
    rollback_to: str | None
    can_roll_back: bool | None
    findings: tuple[Finding, ...]
    slots: tuple[SlotDict, ...]

    @property
    def runs(self) -> bool:
        """The update is taken, and its app starts."""
        return self.played.runs

    def to_dict(self) -> PreflightDict:
        """As JSON-ready values."""
        return {
            "verdict": "runs" if self.runs else "refused",
            "chip": self.chip,
            "partition": self.partition,
            "rollback_to": self.rollback_to,
            "can_roll_back": self.can_roll_back,
            "findings": [one.to_dict() for one in self.findings],
            "slots": [*self.slots],
        }


def preflight(board: Board, image: bytes, profile: Profile | None = None) -> Preflight:
    """What comes of updating ``board`` with ``image``, played on a copy. Never raises for bad bytes.

    With ``profile`` the board is one of that project, and what the project adds is found as well.
    """
    builds = builds_of(board)
    chip, before = booted(board.flash, board.target.name, board.efuse, builds.loader)
    app, shown = app_config(board, before.partition, builds.loader)
    aside = None if profile is None else _aside(profile, board, builds.loader, app)
    if aside is not None:
        board = replace(board, flash=aside)
        chip, before = booted(board.flash, board.target.name, board.efuse, builds.loader)
        app, shown = app_config(board, before.partition, builds.loader)
    played = play(chip, before, builds.loader, app, image)
    running = None if played.running is None else description(board.read(played.running))
    info = inspect_image(image, chip=board.target.name)
    case = Case(board, builds, app, shown, image, info, running, played)
    target = landing(case)
    return Preflight(
        chip=board.target.name,
        played=played,
        partition=None if played.slot is None else played.slot.label,
        rollback_to=None if target is None else target.label,
        can_roll_back=builds.rollback,
        findings=tuple(by_weight([*findings_of(case), *audit(case), *_added(profile, case)])),
        slots=tuple(_slot(case, row, target) for row in apps_of(board)),
    )


def cut_short(board: Board, found: Preflight) -> str | None:
    """What is missing where a dump ends so early that nothing starts, or not the app that otadata has chosen."""
    if board.parts or board.end >= board.flash.size:
        return None
    passed = [line for line in found.played.before.why if "is not bootable" in line]
    for row in found.slots:
        if board.end >= row["offset"] + row["size"]:
            continue
        name = row["partition"]
        nothing = found.played.running is None
        if nothing or any(f" {name} is not bootable" in line for line in passed):
            where = "inside" if row["offset"] < board.end else "before"
            which = f"{name}, and nothing in it starts" if nothing else f"{name}, which otadata has chosen"
            return f"{board.name} ends at 0x{board.end:x} of 0x{board.flash.size:x}, {where} {which}"
    return None


def _aside(profile: Profile, board: Board, loader: Sdkconfig, app: Sdkconfig) -> Flash | None:
    """The flash as another app finds it that does the update for this one."""
    if profile.updater != "tasmota":
        return None
    from py_esp_ota.field.preflight.by_profile import stepped_aside  # noqa: PLC0415 - only when asked

    return stepped_aside(board, loader, app)


def _added(profile: Profile | None, case: Case) -> list[Finding]:
    """What a project adds. It brings the sweep's stories along, which most answers do without."""
    if profile is None:
        return []
    from py_esp_ota.field.preflight.by_profile import findings_by  # noqa: PLC0415 - only when asked

    return [*findings_by(profile, case)]


def _slot(case: Case, row: Partition, target: Partition | None) -> SlotDict:
    info, played = case.board.look(row), case.played
    desc = info.app_desc
    named = {"runs": played.running, "update": played.slot, "rollback": target}
    return {
        "partition": row.label,
        "offset": row.offset,
        "size": row.size,
        "project": None if desc is None else desc.project_name,
        "version": None if desc is None else desc.version,
        "secure_version": None if desc is None else desc.secure_version,
        "idf_version": None if desc is None else desc.idf_ver,
        "valid": info.valid,
        "signed": bool(info.signature),
        "state": state_of(case.board.flash, row, case.builds.loader) or None,
        "roles": [role for role, place in named.items() if place is not None and place.offset == row.offset],
    }
