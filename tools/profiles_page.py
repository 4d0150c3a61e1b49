"""Write docs/reference/profiles.md from the profiles: ``python tools/profiles_page.py``. A test compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from py_esp_ota.field.profiles.fates import fates
from py_esp_ota.field.profiles.profile import Profile, Source
from py_esp_ota.field.profiles.profiles import PROFILES
from py_esp_ota.field.profiles.report import fate_lines, overview

PAGE = Path(__file__).parents[1] / "docs/reference/profiles.md"
_HEAD = (
    "# Profiles: what projects do with an update\n\n"
    "`esp-ota profiles` prints this, and `esp-ota sweep --profile NAME` plays it. Each claim was read in\n"
    "the project's own source; the place stands beside it. What the source does not say is *not known*,\n"
    "and stays so. What becomes of a bad update is not read anywhere: it is played, on the model of the\n"
    "bootloader, with the project's confirmation and its guard against crash loops. This page is made by\n"
    "`tools/profiles_page.py`; a test holds it to the data.\n"
)


def page() -> str:
    """The page."""
    lines = [_HEAD, "```text", *overview([*PROFILES.values()]), "```"]
    for profile in PROFILES.values():
        lines += ["", *_section(profile)]
    return "\n".join(lines) + "\n"


def _section(profile: Profile) -> Iterator[str]:
    yield from (f"## {profile.title}: `--profile {profile.name}`", "", "| Claim | Read in |", "|---|---|")
    yield _row(f"**Confirms**: {profile.confirm.text}", profile.confirm.source)
    yield _row(f"**Rollback**: {profile.rollback.text}", profile.rollback.source)
    if profile.guard is not None:
        yield _row(f"**Crash loops**: {profile.guard.text}", profile.guard.source)
    for habit in profile.habits:
        yield _row(f"**Updater**: {habit.text}", habit.source)
    yield _row(f"**Answers**: {profile.answers.what}", profile.answers.source)
    for table in profile.tables:
        yield _row(f"**Table** `{table.name}`", table.source)
    for mark in profile.marks:
        yield _row(f"**Console**: `{mark.text.strip()}`", mark.source)
    for one in profile.shipped:
        yield f"| **Real build**: {one.seen} | `{one.package}` {one.version}, `{one.path}`, SHA-256 `{one.sha256}` |"
    yield from ("", "Answers:", "")
    known = (f"`{_number(one.code)}` {one.name} ({one.text})" for one in profile.answers.known)
    yield "; ".join(known) + "."
    yield from ("", "What becomes of an update:", "", "```text", *fate_lines(fates(profile)), "```")


def _row(text: str, source: Source) -> str:
    return f"| {text} | {source} |"


def _number(code: int) -> str:
    return str(code) if code < 0x80 else f"0x{code:x}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
