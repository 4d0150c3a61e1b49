"""A sweep as SARIF 2.1.0: what code scanners show as findings."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from py_esp_ota.sweep.result import Outcome, SweepReport
from py_esp_ota.view.sweep_words import (
    FINDINGS,
    MEANING,
    Finding,
    broken_promise,
    findings,
    first_plans,
    operation_at,
    runs,
)

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: SARIF's level and kind; only a "fail" may have a level.
_LEVELS: dict[Outcome, tuple[str, str]] = {"violation": ("error", "fail"), "as_the_chip": ("none", "informational")}


def sweep_sarif(report: SweepReport, *, artifact: str = "flash.bin") -> str:
    """Each broken promise is a rule, each operation that breaks it a result at its flash address.

    ``artifact`` is the path of the file that was swept, as the results name it; addresses are those of the flash.
    """
    artifact = quote(artifact.replace("\\", "/"), errors="surrogateescape")  # a name that is no UTF-8
    found = [finding for outcome in FINDINGS for finding in findings(report, outcome)]
    rules = {(finding.outcome, finding.ending.why): "" for finding in found}
    for number, key in enumerate(rules):
        name = f"{key[0].replace('_', '-')}/{broken_promise(key[1])}"
        rules[key] = f"{name}-{number}" if name in rules.values() else name
    order = {key: index for index, key in enumerate(rules)}
    results = [
        _result(report, finding, artifact, rules[key], order[key])
        for finding in found
        for key in [(finding.outcome, finding.ending.why)]
    ]
    driver = {
        "name": "esp-ota sweep",
        "rules": [_rule(rule_id, outcome, why) for (outcome, why), rule_id in rules.items()],
    }
    counts = {"operations": len(report.operations), "cases": len(report.cases), "boots": report.boots}
    properties: dict[str, Any] = {"story": report.story, **counts, "outcomes": report.outcomes}
    if report.timeline:
        properties["time"] = report.timeline.to_dict(report.windows())
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"esp-ota/sweep/{report.story}/"},
        "artifacts": [{"location": {"uri": artifact}}],
        "results": results,
        "properties": properties,
    }
    if report.stopped:
        said = {"level": "error", "message": {"text": f"not the whole sweep: {report.stopped}"}}
        run["invocations"] = [{"executionSuccessful": False, "toolExecutionNotifications": [said]}]
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _rule(rule_id: str, outcome: Outcome, why: str) -> dict[str, Any]:
    return {
        "id": rule_id,
        "shortDescription": {"text": why or MEANING[outcome]},
        "fullDescription": {"text": f"After a power cut: {MEANING[outcome]}. {why}".rstrip()},
        "defaultConfiguration": {"level": _LEVELS[outcome][0]},
    }


def _result(report: SweepReport, finding: Finding, artifact: str, rule_id: str, rule_index: int) -> dict[str, Any]:
    where: dict[str, Any] = {"artifactLocation": {"uri": artifact, "index": 0}}
    if finding.operation < len(report.operations):
        operation = report.operations[finding.operation]
        where["address"] = {"absoluteAddress": operation.address, "length": operation.length}
    what = f"operation {finding.operation}, {operation_at(report, finding.operation)}"
    plans = first_plans(finding.plans)
    text = f"{', '.join(plans)}: {finding.ending.why}. It ends with: {runs(finding.ending)} ({what})."
    level, kind = _LEVELS[finding.outcome]
    return {
        "ruleId": rule_id,
        "ruleIndex": rule_index,
        "level": level,
        "kind": kind,
        "message": {"text": text},
        "locations": [{"physicalLocation": where}],
        "partialFingerprints": {"plan/v1": f"{report.story}/{finding.plans[0]}"},
        "properties": {
            "cases": len(finding.plans),
            "plans": plans,
            "otadata": list(finding.ending.otadata),
            "log": list(finding.ending.log),
        },
    }
