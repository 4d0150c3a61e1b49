"""``esp-ota demo --step``: what a chapter wrote where, and why things went as they did, in the words of the lessons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from py_esp_ota._core import FlashOp, PartitionTable
from py_esp_ota.view.lessons import lesson, plain

#: Which sections of which lessons explain a chapter.
SECTIONS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "boot": (("partition-table", "Who reads it"), ("otadata", "Which entry counts")),
    "update": (("the-whole-job", "What the node does"), ("the-life-of-a-slot", "A trial")),
    "self-test fails": (("who-confirms", "The app says no"),),
    "same version": (("the-whole-job", "What the node refuses"),),
    "another project": (("image", "From the first byte to the last"),),
    "corrupted image": (("image", "Who notices"),),
    "power cut": (("nor", "When the power goes"), ("otadata", "Why two")),
}


def explained(chapter: str) -> list[tuple[str, str]]:
    """What the lessons say about a chapter: headings, which name the lesson, and text."""
    said = []
    for name, heading in SECTIONS[chapter]:
        whole = lesson(name)
        said.append((f"{heading} (lesson {whole.title})", plain(whole.sections[heading])))
    return said


def written(operations: Iterable[FlashOp], table: PartitionTable) -> list[str]:
    """What was done to each partition, in the order of the flash; what lies in none of them is told by its sector."""
    counts: Counter[tuple[int, str, str]] = Counter()
    for operation in operations:
        place, label = _place(operation.address, table)
        counts[place, label, operation.kind] += 1
    labels = sorted({(place, label) for place, label, _ in counts})
    return [
        f"{label} at 0x{place:x}: {_many(counts[place, label, 'erase'], 'sector')} erased, "
        f"{_many(counts[place, label, 'program'], 'page')} programmed"
        for place, label in labels
    ] or ["nothing"]


def _place(address: int, table: PartitionTable) -> tuple[int, str]:
    for row in table:
        if row.offset <= address < row.offset + row.size:
            return row.offset, row.label
    return address & ~0xFFF, "the sector"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
