"""A fleet in words: for the terminal, and its live line. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from py_esp_ota.cloud.forecasts import clock
from py_esp_ota.cloud.reasons import ABOUT, Reason
from py_esp_ota.fleet.result import FleetResult, Group, MemberResult, Replay, SoFar

_BAR = 40
_MOMENTS = (0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)  # of those that come to their end
_EACH = 5  # devices of each group that are shown
_SLOW = 3  # of the slowest


def size_words(count: int) -> str:
    """``64.0 KiB``, ``3.8 MiB``; a fleet downloads much."""
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.1f} {unit}" if unit != "bytes" else f"{count} bytes"


def group_words(group: Group) -> str:
    """How its devices ended: the status, what was said with it, and the reason where that says more."""
    title = ABOUT[Reason(group.reason)].title if group.reason in ABOUT else ""
    why = "" if title.lower() in group.info.lower() else f" ({title})"
    return ": ".join(filter(None, (group.status, group.info))) + why


def headline(result: FleetResult, devices: int) -> str:
    """What it comes to, in one line; ``devices`` were to be played."""
    others = ((result.missed, "missed it"), (result.waiting, "have not come to their end"))
    counts = f"{result.updated:,} of {devices:,} updated" + "".join(
        f", {count:,} {what}" for count, what in others if count
    )
    if not result.whole:
        return f"stopped after {clock(result.seconds)}, so this is not the whole of it: {counts}"
    return f"{'done' if result.ok else 'over'} after {clock(_end(result))}: {counts}"


def checked_words(result: FleetResult) -> str:
    """How many devices were played again on whole ones of their own."""
    return f"{many(len(result.checked), 'device')} the long way, and did the same" if result.checked else "none"


def live_words(far: SoFar) -> str:
    """How far it is, behind a bar."""
    missed = f", {far.missed:,} missed" if far.missed else ""
    return f"{clock(max(far.seconds, 0))}  {far.updated:,} updated{missed}, {far.at_it:,} to come"


def fleet_text(result: FleetResult, replay: Replay, *, name: str, devices: int, every: bool = False) -> list[str]:
    """All of it, line by line; ``every`` device that has not simply taken its update, or a few of each kind."""
    lines = [f"{name}: {devices:,} devices, seed {result.seed}", headline(result, devices)]
    lines += [f"{size_words(result.bytes)} downloaded; played again: {checked_words(result)}", "", *_course(result), ""]
    for kind, (many, updated, missed) in result.kinds.items():
        lines.append(f"{kind}: {updated:,} of {many:,} updated" + (f", {missed:,} missed" if missed else ""))
    if result.groups:
        lines += ["", "without the update, each with the line that plays it alone:"]
        lines += [line for group in result.groups for line in _group(result, group, replay, every=every)]
    if result.slowest:
        lines += ["", "slowest:"]
        lines += [line for member in result.slowest[:_SLOW] for line in _slow(member, replay)]
    return lines


def moments(result: FleetResult) -> Sequence[tuple[int, int, int, int]]:
    """A few moments of its course: the first, the last, and when so many had come to their end."""
    course = result.progress
    over = sum(course[-1][2:])
    found = (next(sample for sample in course if sum(sample[2:]) >= over * part) for part in _MOMENTS)
    return sorted({course[0], *found, course[-1]})


def _end(result: FleetResult) -> int:
    return result.progress[-1][0] if result.progress else 0


def _course(result: FleetResult) -> Iterator[str]:
    """A bar for each of a few moments: updated, missed, had its turn."""
    total = max(len(result.members), 1)
    for seconds, turned, updated, missed in moments(result):
        good, bad = (_BAR * count // total for count in (updated, missed))
        begun = max(_BAR * turned // total - good - bad, 0)
        bar = "#" * good + "x" * bad + "-" * begun
        yield f"{clock(seconds):>10} [{bar:<{_BAR}}] {updated:,} updated" + (f", {missed:,} missed" if missed else "")


def _group(result: FleetResult, group: Group, replay: Replay, *, every: bool) -> Iterator[str]:
    yield f"{group.devices:>7,}  {group_words(group)}"
    alike = [member for member in result.members if group.has(member) and member.turn is not None]
    shown = alike if every else alike[:_EACH]
    for member in shown:
        met = f"met {member.met}, " if member.met else ""
        yield f"           {member.node_id} {met}{many(member.boots, 'boot')}, {size_words(member.bytes)}"
        yield f"             {replay.line(member)}"
    if len(alike) > len(shown):
        yield f"           and {len(alike) - len(shown):,} more (--full)"


def _slow(member: MemberResult, replay: Replay) -> Iterator[str]:
    met = f", met {member.met}" if member.met else ""
    yield f"{clock(member.took):>10}  {member.node_id} {member.status}{met}"
    yield f"             {replay.line(member)}"


def many(count: int, what: str) -> str:
    """``1 boot``, ``2 boots``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
