"""A sweep as JUnit XML: what CI servers show as tests."""

from __future__ import annotations

from collections import defaultdict
from xml.sax.saxutils import escape, quoteattr

from py_esp_ota.sweep.result import Case, SweepReport
from py_esp_ota.view.sweep_words import ending_lines, first_plans, operation_at
from py_esp_ota.view.visible import visible


def sweep_junit(report: SweepReport, *, elapsed_s: float = 0.0) -> str:
    """One test case for each flash operation.

    It fails when a cut there breaks a promise, and is skipped when the chip breaks it too: seen, and apart.
    A sweep that was stopped has an error more. ``elapsed_s`` is how long the whole sweep took.
    """
    cases: dict[int, list[Case]] = defaultdict(list)
    for case in report.cases:
        cases[case.operation].append(case)
    tests = [_test(report, index, cases[index]) for index in sorted(cases)]
    failures = sum("<failure" in test for test in tests)
    skipped = sum("<skipped" in test for test in tests)
    if report.stopped:
        tests.append(_stopped(report))
    errors = int(bool(report.stopped))
    counts = f'tests="{len(tests)}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="{elapsed_s:.3f}"'
    name = _attribute(f"sweep.{report.story}")
    numbers: dict[str, int | str] = {
        "operations": len(report.operations),
        "cases": len(report.cases),
        "boots": report.boots,
    }
    if report.timeline:
        times = {"flash": report.timeline.pace.flash.name, "seconds": f"{report.timeline.seconds:.6f}"}
        numbers |= times | {"worst_seconds": f"{report.timeline.worst:.6f}"}
    properties = [f'<property name="{key}" value="{value}"/>' for key, value in (numbers | report.outcomes).items()]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuites {counts}>",
            f"<testsuite name={name} {counts}>",
            "<properties>",
            *properties,
            "</properties>",
            *tests,
            "</testsuite>",
            "</testsuites>",
            "",
        ]
    )


def _stopped(report: SweepReport) -> str:
    open_tag = f"<testcase classname={_attribute(f'sweep.{report.story}')} name={_attribute('the whole sweep')}>"
    return f"{open_tag}<error message={_attribute(f'not the whole sweep: {report.stopped}')}/></testcase>"


def _test(report: SweepReport, index: int, cases: list[Case]) -> str:
    name = _attribute(f"operation {index}: {operation_at(report, index)}")
    open_tag = f"<testcase classname={_attribute(f'sweep.{report.story}')} name={name}"
    children = []
    broken, known = _told(report, cases, "violation"), _told(report, cases, "as_the_chip")
    if broken:
        why, text = broken
        children.append(f"<failure message={_attribute(why)}>{_text(text)}</failure>")
    if known:
        why, text = known
        if not broken:
            children.append(f"<skipped message={_attribute(f'as the chip does: {why}')}/>")
        children.append(f"<system-out>{_text(text)}</system-out>")
    return f"{open_tag}>{''.join(children)}</testcase>" if children else f"{open_tag}/>"


def _told(report: SweepReport, cases: list[Case], outcome: str) -> tuple[str, str] | None:
    """The first reason, and each ending with its own and the plans that come to it."""
    found = [(case, report.endings[case.ending]) for case in cases if report.endings[case.ending].outcome == outcome]
    if not found:
        return None
    lines = []
    for index in dict.fromkeys(case.ending for case, _ending in found):
        ending = report.endings[index]
        plans = first_plans([case.plan for case, _ending in found if case.ending == index])
        lines += [f"{', '.join(plans)}: {ending.why}", *ending_lines(ending), ""]
    return found[0][1].why, "\n".join(lines[:-1])


def _text(words: str) -> str:
    """What stands between tags; XML 1.0 has no way to say a control character at all."""
    return escape(visible(words, keep="\n"))


def _attribute(words: str) -> str:
    return quoteattr(visible(words))
