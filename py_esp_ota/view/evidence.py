"""The files of an evidence pack: what a sweep found, in every form, and what it says to clauses of law.

The same run makes the same bytes: nothing here knows how long it took.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from py_esp_ota.view.clauses import CLAUSES, Facts, Said
from py_esp_ota.view.junit import sweep_junit
from py_esp_ota.view.sarif import sweep_sarif
from py_esp_ota.view.sweep_html import sweep_html
from py_esp_ota.view.time_words import pace_words
from py_esp_ota.view.visible import visible

MANIFEST, SIGNATURE = "MANIFEST", "MANIFEST.sig"

_HEAD = """\
# What this run shows, and what it does not

A sweep is a test of a model of the device: of its flash, its bootloader and the update functions of ESP-IDF, not of the
product. Which clauses apply, and whether the product meets them, is for its manufacturer and for whoever assesses it to
say; this tool certifies nothing. The clauses are named and paraphrased, and the published text counts.

*held*: in the model, in every case that was cut. *not held*: in some case it was not. *recorded*: the pack holds it.
*not shown*: the run is not about it.
"""


def evidence_files(facts: Facts, run: dict[str, Any], *, command: str, artifact: str) -> dict[str, bytes]:
    """The parts of a pack by their names, but for the manifest. ``run`` is what ``run.json`` says beside the scope."""
    report = facts.report
    told: dict[str, Any] = dict(report.to_dict(0.0))
    del told["elapsed_s"]
    scope = {"not_tried": list(facts.left_out), "outcomes": report.outcomes}
    return {
        "report.html": sweep_html(report, command=command).encode(),
        "report.json": _json(told),
        "report.junit.xml": sweep_junit(report).encode(),
        "report.sarif": (sweep_sarif(report, artifact=artifact) + "\n").encode(),
        "run.json": _json({**run, "scope": scope}),
        "statements.json": _json([_row(facts, clause.say(facts), number) for number, clause in enumerate(CLAUSES)]),
        "statements.md": "\n".join(_lines(facts)).encode(),
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _row(facts: Facts, said: Said, number: int) -> dict[str, str]:
    clause = CLAUSES[number]
    return {
        "document": clause.document,
        "clause": clause.number,
        "about": clause.about,
        "answer": said.answer,
        "shows": _with_scope(facts, said),
        "does_not_show": said.open,
    }


def _with_scope(facts: Facts, said: Said) -> str:
    """What a run shows, and, where that is that something held, what it did not try."""
    left = f" Not tried: {'; '.join(facts.left_out)}." if facts.left_out and said.answer == "held" else ""
    return visible(f"{said.shows}{left}")


def _lines(facts: Facts) -> Iterator[str]:
    report = facts.report
    yield _HEAD
    yield f"Story `{visible(report.story)}`: {visible(facts.old)} to {visible(facts.new)}, {facts.cuts:,} power cuts."
    if report.timeline is not None:
        yield f"Times are those of {pace_words(report.timeline)}."
    if facts.left_out:
        yield f"Not tried: {visible('; '.join(facts.left_out))}."
    document = ""
    for clause in CLAUSES:
        said = clause.say(facts)
        if clause.document != document:
            document = clause.document
            yield f"\n## {document}"
        yield f"\n### {clause.number}: {clause.about}\n"
        yield f"- **{said.answer}**"
        yield f"- Shows: {_with_scope(facts, said)}"
        yield f"- Does not show: {said.open}"
    yield ""


def manifest(hashes: dict[str, str]) -> bytes:
    """One line for each file, as ``sha256sum`` has them and checks them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items())).encode()


def manifest_hashes(text: bytes) -> dict[str, str]:
    """The SHA-256 of each file that a manifest names. Raises ``ValueError`` naming the line that is none."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        digest, blanks, name = line.partition("  ")
        sound = len(digest) == 64 and not set(digest) - set("0123456789abcdef")
        if not (sound and blanks and name) or "/" in name or name in found:
            raise ValueError(f"line {number} of the manifest is no line of sha256sum")
        found[name] = digest
    return found
