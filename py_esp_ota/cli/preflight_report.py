"""What ``preflight`` found, in words. Imports nothing but types: this is on a short way through ``esp-ota``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from py_esp_ota.field.preflight.preflight import Preflight, SlotDict


def report(device: str, new: str, found: Preflight) -> list[str]:
    """Verdict, findings and slots of what ``preflight`` found, line by line."""
    slot = "" if found.partition is None else f" in {found.partition}"
    verdict = f"will run{slot}" if found.runs else "is REFUSED"
    lines = [f"{new} {verdict} on {device} ({found.chip})", ""]
    width = max((len(one.id) for one in found.findings), default=0)
    for one in found.findings:
        who = f" [{one.function}]" if one.function else ""
        lines.append(f"  {one.severity:<7}  {one.id:<{width}}  {one.text}{who}")
    if found.slots:
        lines += ["", "  Partition         Offset      App", *map(_slot_line, found.slots)]
    return lines


def _slot_line(slot: SlotDict) -> str:
    name = "no app" if slot["project"] is None else f"{slot['project']} {slot['version']}"
    words = {"runs": "runs now", "update": "the update goes here", "rollback": "a rollback lands here"}
    marks = [words[role] for role in slot["roles"]]
    if slot["project"] is not None and not slot["valid"]:
        marks.insert(0, "damaged")
    if slot["state"]:
        marks.insert(0, slot["state"])
    return f"  {slot['partition']:<16}  0x{slot['offset']:08x}  {', '.join([name, *marks])}"
