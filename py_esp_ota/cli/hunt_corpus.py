"""The folder in which ``esp-ota hunt --corpus`` keeps worlds from one campaign to the next."""

from __future__ import annotations

from pathlib import Path

from py_esp_ota.cli.files import Unusable, read_text, write_folder, write_output
from py_esp_ota.hunt.corpus import Corpus, from_text, to_text

_MARKS, _FINDINGS = "marks.txt", "findings.txt"
_LIMIT = 64 << 20


def read_corpus(folder: Path) -> Corpus:
    """What is kept there; nothing in a folder that is not there yet. Raises ``Unusable`` naming file and line."""
    return Corpus(*(_read(folder / name) for name in (_MARKS, _FINDINGS)))


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return from_text(read_text(path, what="a corpus", limit=_LIMIT))
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error


def write_corpus(folder: Path, corpus: Corpus) -> None:
    """Keep it. Raises ``Unusable``."""
    halves = {_MARKS: corpus.marks, _FINDINGS: corpus.findings}
    parts = {name: to_text(lines).encode() for name, lines in halves.items() if lines}
    if not folder.exists():
        write_folder(folder, parts)
        return
    for name, data in parts.items():
        write_output(folder / name, data)
