"""A hunt for the terminal: how much was played, what was found, which marks were reached, what the chip does itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from py_esp_ota.hunt.result import MARKED_BY, Breach, Report
from py_esp_ota.hunt.world import World

_HOUR = 3600


def hunt_lines(report: Report, *, elapsed_s: float | None = None, stopped: str = "") -> Iterator[str]:
    """The report, line by line."""
    took = f" in {elapsed_s:.1f} s ({report.worlds / elapsed_s:.0f} a second)" if elapsed_s else ""
    real = f"{report.real_clouds:,} of them with the real cloud"
    yield f"{report.worlds:,} worlds, {real}, {report.seconds // _HOUR:,} hours of theirs{took}"
    if stopped:
        yield f"stopped: {stopped}; this is the report of the worlds that were played"
    for _, finding in sorted(report.findings.items()):
        yield ""
        also = f", and in {finding.worlds - 1:,} worlds more" if finding.worlds > 1 else ""
        yield breach_line(finding.breach) + also
        yield f"  {replay_line(finding.world)}"
    if report.chips_own:
        yield ""
        yield "what the chip and its agent do themselves, and break a promise with:"
        for function, worlds in sorted(report.chips_own.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {worlds:>6,}  {function}"
    yield ""
    yield (
        f"marks: {len(report.marks)} reached"
        + (f", {len(report.missing)} never: " if report.missing else "")
        + (", ".join(report.missing))
    )
    if report.missing and report.worlds < MARKED_BY:
        yield f"  (of fewer than {MARKED_BY:,} worlds it is not asked that they reach every mark)"


def breach_line(breach: Breach) -> str:
    """What was broken, in one line."""
    who = "" if breach.board is None else f"board {breach.board}, "
    return f"{breach.promise} is broken ({who}{breach.at:g} s): {breach.why}"


def replay_line(world: World) -> str:
    """What plays a world again."""
    return f"esp-ota hunt --replay {shlex.quote(str(world))}"
