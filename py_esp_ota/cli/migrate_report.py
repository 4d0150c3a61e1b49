"""What ``migrate`` found, in words."""

from __future__ import annotations

from py_esp_ota.field.migrate.plan import Plan
from py_esp_ota.field.migrate.steps import Step
from py_esp_ota.field.migrate.verdict import Verdict

_MS = 1000


def report(dump: str, plan: Plan) -> list[str]:
    """The device, the steps, the proof, the other orders and what is lost, line by line."""
    facts, chosen = plan.facts, plan.chosen
    app = f"{facts.version or 'an app'} runs from {facts.running.label}"
    runs = f"{app} at 0x{facts.running.offset:x}, 0x{facts.image:x} bytes"
    boots = f"0x{len(facts.loader):x} bytes of bootloader" if facts.loader else "no bootloader in the dump"
    lines = [
        f"{dump}: {facts.dump.target.name}, {runs}; table at 0x{facts.table_offset:x}; {boots}",
        "",
        f"Plan {chosen.order.name}: {chosen.order.text}",
    ]
    number = 0
    for stage in chosen.order.stages:
        lines.append(f"  {stage.text}")
        for step in stage.steps:
            number += 1
            lines += _step(number, step)
    lines += ["", f"Proof: {proof(chosen)} ({plan.timing.name}, typical)"]
    if chosen.failure is not None:
        lines.append(f"  does not finish after {chosen.failure[0]}: {chosen.failure[1]}")
    lines += [f"  because {reason}" for reason in plan.because]
    if plan.others or plan.absent:
        lines += ["", "Other orders:"]
        lines += [f"  {other.order.name}: {proof(other)}" for other in plan.others]
        lines += [f"  {name}: not here, {why}" for name, why in plan.absent.items()]
    lines += [f"Lost: {text}" for text in chosen.order.lost]
    lines += [f"Note: {text}" for text in chosen.order.notes]
    return lines


def proof(found: Verdict) -> str:
    """One line of what the sweep of an order came to."""
    cases, operations = len(found.report.cases), len(found.report.operations)
    if not operations:
        return "nothing is written, so there is nothing to cut"
    what = f"{cases} cut cases of {operations} flash operations, {found.bricks} brick"
    where = ", ".join(
        f"operations {window.first}..{window.last} (0x{window.address:x}), {window.typical * _MS:.1f} ms"
        for window in found.windows
    )
    stuck = (
        f", {found.stuck} boot and do not finish" if found.stuck else "" if found.bricks else ": it boots and finishes"
    )
    return f"{what}{': ' if where else ''}{where}{stuck}"


def _step(number: int, step: Step) -> list[str]:
    return [f"  {number:>3}. {step.text}", f"       {step.calls}"]
