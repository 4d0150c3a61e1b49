"""A fleet as one page that needs nothing but itself, and no script: how it went, how it ended, and what to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import expm1, log1p
from string import Template

from py_esp_ota.cloud.forecasts import clock
from py_esp_ota.cloud.reasons import ABOUT, Reason
from py_esp_ota.fleet.result import FleetResult, Group, MemberResult, Replay
from py_esp_ota.view.fleet_text import checked_words, group_words, headline, many, moments, size_words
from py_esp_ota.view.parts import part

Scale = Callable[[float], float]

_LISTED = 50  # devices of a group
_WIDTH, _HEIGHT = 960, 220
_LEFT, _BELOW = 64, 24
_MOST, _TAIL = 10, 20  # all but a tenth have ended in the first twentieth of the time
_BEGIN = 10.0  # seconds that are drawn as they are where the axis is logarithmic


def fleet_html(result: FleetResult, replay: Replay, *, name: str, devices: int) -> str:
    """The page of a result.

    Args:
        result: what became of the fleet.
        replay: the line that plays a device alone.
        name: what the fleet is called.
        devices: how many were to be played.
    """
    return Template(part("fleet.html")).substitute(
        name=escape(name),
        headline=escape(headline(result, devices)),
        style=part("base.css", "fleet.css"),
        partial="" if result.whole else _partial(result, devices),
        ends=_ends(result),
        facts=_facts(result),
        chart=_chart(result),
        course="".join(_row(clock(at), numbers) for at, *numbers in moments(result)),
        kinds="".join(_row(kind, numbers) for kind, numbers in result.kinds.items()),
        groups="".join(_group(result, group, replay) for group in result.groups) or "<p>There is none.</p>",
        slowest=_slowest(result.slowest, replay),
        replay=escape(f"{' '.join(replay.words)} --alone ID"),
    )


def _partial(result: FleetResult, devices: int) -> str:
    return (
        '<section class="partial" aria-label="Not the whole of it"><p><strong>This is not the whole of it.</strong> '
        f"It was stopped after {clock(result.seconds)} of the job: {len(result.members):,} of {devices:,} devices are "
        "here, as they were then.</p></section>"
    )


def _row(first: str, numbers: Iterable[int]) -> str:
    return f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{number:,}</td>" for number in numbers)}</tr>'


def _ends(result: FleetResult) -> str:
    total = max(len(result.members), 1)
    ends = (
        ("updated", "have the update", result.updated),
        ("missed", "ended without it", result.missed),
        ("at_it", "have not come to their end", result.waiting),
    )
    return "".join(
        f'<tr><th scope="row"><i class="swatch {style}"></i>{words}</th>'
        f"<td>{count:,}</td><td>{count / total:.1%}</td></tr>"
        for style, words, count in ends
    )


def _facts(result: FleetResult) -> str:
    longest = result.slowest[0].took if result.slowest else None
    facts = {
        "Downloaded": size_words(result.bytes),
        "Boots": f"{sum(member.boots for member in result.members):,}",
        "Slowest device": clock(longest),
        "Seed": str(result.seed),
        "Played again": checked_words(result),
    }
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())


def _chart(result: FleetResult) -> str:
    """The course as areas on top of each other: updated, missed, had their turn."""
    course = result.progress
    end, total = max(course[-1][0] if course else 0, 1), max(len(result.members), 1)

    soon = next(at for at, _, good, bad in course if (good + bad) * _MOST >= sum(course[-1][2:]) * (_MOST - 1))
    slow = soon * _TAIL < end  # nearly all is over at once: minutes are told apart, and days
    scale = (lambda second: log1p(second / _BEGIN)) if slow else float

    def x(second: float) -> float:
        return _LEFT + (_WIDTH - _LEFT) * scale(second) / scale(end)

    def y(count: float) -> float:
        return _HEIGHT * (1 - count / total)

    areas = {
        "at_it": [(at, max(turned, good + bad)) for at, turned, good, bad in course],
        "missed": [(at, good + bad) for at, _, good, bad in course],
        "updated": [(at, good) for at, _, good, _ in course],
    }
    drawn = "".join(f'<path class="{name}" d="{_area(points, x, y)}"/>' for name, points in areas.items())
    ticks = "".join(
        f'<text x="{x(at):.1f}" y="{_HEIGHT + 18}" text-anchor="{anchor}">{clock(round(at))}</text>'
        for at, anchor in ((0, "start"), (expm1(scale(end) / 2) * _BEGIN if slow else end / 2, "middle"), (end, "end"))
    )
    counts = "".join(
        f'<text x="{_LEFT - 8}" y="{y(count) + drop}" text-anchor="end">{count:,}</text>'
        for count, drop in ((total, 12), (0, 0))
    )
    said = escape(f"Of {len(result.members):,} devices {result.updated:,} are updated after {clock(end)}")
    axis = "<li>time is drawn logarithmically</li>" if slow else ""
    legend = "".join(
        f'<li><i class="swatch {style}"></i>{words}</li>'
        for style, words in (
            ("updated", "updated"),
            ("missed", "missed it"),
            ("at_it", "had their turn, and are at it"),
        )
    )
    return (
        f'<ul class="legend">{legend}{axis}</ul>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _BELOW}" role="img" aria-label="{said}">{drawn}'
        f'<path class="axis" d="M{_LEFT} 0V{_HEIGHT}H{_WIDTH}"/>{ticks}{counts}</svg>'
    )


def _area(points: Sequence[tuple[int, int]], x: Scale, y: Scale) -> str:
    """Steps from point to point, and the ground below them."""
    if not points:
        return ""
    steps = "".join(f"H{x(at):.1f}V{y(count):.1f}" for at, count in points)
    return f"M{x(0):.1f} {y(0):.1f}{steps}V{y(0):.1f}Z"


def _group(result: FleetResult, group: Group, replay: Replay) -> str:
    alike = [member for member in result.members if group.has(member) and member.turn is not None]
    items = "".join(f"<li>{_member(member, replay)}</li>" for member in alike[:_LISTED])
    more = f'<p class="hint">And {len(alike) - _LISTED:,} more, in the JSON.</p>' if len(alike) > _LISTED else ""
    about = ABOUT.get(Reason(group.reason))
    advice = f'<p class="muted">{escape(about.means)} {escape(about.do)}</p>' if about else ""
    said = f"<summary><strong>{group.devices:,}</strong> {escape(group_words(group))}</summary>"
    return f"<details>{said}{advice}<ul>{items}</ul>{more}</details>"


def _member(member: MemberResult, replay: Replay) -> str:
    met = f", met <code>{escape(member.met)}</code>" if member.met else ""
    at = "" if member.seconds is None else f", last word after {clock(member.seconds)}"
    return (
        f'{escape(member.node_id)} <span class="muted">{many(member.boots, "boot")}, {size_words(member.bytes)}{at}'
        f"{met}</span><br><code>{escape(replay.line(member))}</code>"
    )


def _slowest(members: Sequence[MemberResult], replay: Replay) -> str:
    if not members:
        return "<p>No device has come to its end.</p>"
    items = "".join(
        f"<li><strong>{clock(member.took)}</strong> {escape(member.status)}: {_member(member, replay)}</li>"
        for member in members
    )
    return f"<ol>{items}</ol>"
