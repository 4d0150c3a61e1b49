"""What a project on top of ESP-IDF adds to the answer: its updater, its table, when it confirms, its crash loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.errors import PartitionTableError, Restart
from py_esp_ota.field.preflight.board import Board, apps_of
from py_esp_ota.field.preflight.finding import Fact, Finding, Severity
from py_esp_ota.field.preflight.play import booted
from py_esp_ota.field.preflight.rules import Case
from py_esp_ota.field.profiles.fates import Fate, fate
from py_esp_ota.field.profiles.profile import Profile, When
from py_esp_ota.field.profiles.report import OUTCOME_WORDS
from py_esp_ota.field.profiles.updaters.answering import UpdaterError
from py_esp_ota.field.profiles.updaters.by_name import UPDATERS
from py_esp_ota.field.profiles.updaters.tasmota_safeboot import to_safeboot
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

_TABLE_LENGTH = 0xC00
#: By when a new app confirms itself: where the program has to, it may not.
_CONFIRMS: dict[When, Severity] = {"by-the-program": "risk"}


def findings_by(profile: Profile, case: Case) -> Iterator[Finding]:
    """What is found when the board is one of ``profile``."""
    yield from _updater(profile, case)
    yield _table(profile, case.board)
    yield _confirms(profile)
    yield from _crash_loop(profile, case)


def stepped_aside(board: Board, loader: Sdkconfig, app: Sdkconfig) -> Flash | None:
    """The flash as Tasmota leaves it before an update, for safeboot; ``None`` where its app writes itself."""
    chip, before = booted(board.flash, board.target.name, board.efuse, loader)
    if before.partition is None or not to_safeboot(OtaOps(chip, before.partition, app, Log(lambda: 0))):
        return None
    return chip.flash


def _updater(profile: Profile, case: Case) -> Iterator[Finding]:
    """The image, given to the project's own updater on a copy."""
    if profile.updater == "rainmaker" or case.played.running is None:
        return
    board, running = case.board, case.played.running
    facts: dict[str, Fact]
    chip, _ = booted(board.flash, board.target.name, board.efuse, case.builds.loader)
    try:
        UPDATERS[profile.updater](OtaOps(chip, running, case.app, Log(lambda: 0)), case.image)
    except UpdaterError as error:
        answer = error.answer
        severity: Severity = "risk" if case.played.runs else "refused"
        facts = {"code": answer.code, "name": answer.name}
        yield Finding("profile-updater", severity, str(error.fact["updater"]), str(error), facts)
        return
    except Restart as end:
        yield Finding("profile-updater", "risk", "", f"the running app ends there: {end}")
        return
    label = running.label if profile.updater == "tasmota" and running.ota_slot is None else ""
    by = f", and {label} writes it, which runs until it is there" if label else ""
    facts = {"code": 0, "name": None}
    yield Finding("profile-updater", "note", "", f"{profile.title}'s own updater takes it{by}", facts)


def _table(profile: Profile, board: Board) -> Finding:
    """Whether the table is one that the project ships."""
    offset = board.config.partition_table_offset
    name = None
    try:
        rows = _rows(PartitionTable.from_bytes(board.flash.mmap(offset, _TABLE_LENGTH)))
        name = next((one.name for one in profile.tables if _rows(_made(one.csv)) == rows), None)
    except PartitionTableError:  # the finding `table` says it
        pass
    text = (
        f"the partition table is {profile.title}'s {name}"
        if name
        else (f"the partition table is none of {profile.title}'s own: {', '.join(one.name for one in profile.tables)}")
    )
    return Finding("profile-table", "note", "", text, {"found": name})


def _made(csv: str) -> PartitionTable:
    return PartitionTable.from_csv(csv, table_offset=0xC000 if "0xD000,0x2000,encrypted" in csv else 0x8000)


def _rows(table: PartitionTable) -> list[tuple[int, int, int, int]]:
    return [(row.type, row.subtype, row.offset, row.size) for row in table]


def _confirms(profile: Profile) -> Finding:
    confirm = profile.confirm
    text = f"{profile.title} confirms a new app {profile.confirm.in_short}: {confirm.text}"
    severity = _CONFIRMS.get(confirm.when, "note")
    return Finding("profile-confirms", severity, confirm.source.place, text, {"when": confirm.when})


def _crash_loop(profile: Profile, case: Case) -> Iterator[Finding]:
    """An update that panics in setup(), played on a board of the project with such a bootloader."""
    answer = case.builds.rollback
    played = [
        _here(case, fate(profile, "setup", rollback=on)) for on in ((True, False) if answer is None else (answer,))
    ]
    told = len({one.outcome for one in played}) == 1
    for one in played[:1] if told else played:
        whose = f"with a bootloader that {'can' if one.rollback else 'cannot'} roll back "
        text = f"a new app that panics in setup(): {'' if told and answer is None else whose}it {_ended(one)}"
        severity: Severity = "unknown" if not told else "risk" if one.outcome == "loop" else "note"
        place = "" if profile.guard is None else profile.guard.source.place
        facts: dict[str, Fact] = {"outcome": one.outcome, "starts": one.starts}
        yield Finding("profile-crash-loop", severity, place, text, facts)


def _here(case: Case, one: Fate) -> Fate:
    """``EspPrepSwitchPartition`` goes to no safeboot where the table has more than one OTA slot, or none."""
    slots = sum(row.ota_slot is not None for row in apps_of(case.board))
    return replace(one, outcome="loop") if one.outcome == "recovery" and slots != 1 else one


def _ended(one: Fate) -> str:
    words = {"rolled-back": "is rolled back", "swapped": "is left for the other slot"}.get(
        one.outcome, OUTCOME_WORDS[one.outcome]
    )
    return words if one.outcome == "loop" else f"{words} after {one.starts} start{'s' * (one.starts != 1)}"
