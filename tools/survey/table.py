"""The table of all that was tried, in docs/reference/silicon.md: read, added to, and written again in one form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

#: The table stands between these two lines.
BEGIN, END = "<!-- the survey's table -->", "<!-- its end -->"
_TITLES = ("package", "version", "file", "SHA-256", "kind", "chip", "ESP-IDF", "outcome")
_HEAD = f"| {' | '.join(_TITLES)} |\n|{'---|' * len(_TITLES)}\n"
_HASH = 12
_CELL = re.compile(r"[^|\n`]+")


@dataclass(frozen=True, order=True)
class Row:
    """One build and what came of it. ``idf`` is empty where the build does not say it."""

    package: str
    version: str
    path: str
    sha256: str
    kind: str
    chip: str
    idf: str
    outcome: str

    def to_line(self) -> str:
        """As a line of the table."""
        hashed = self.sha256[:_HASH]
        cells = (self.package, self.version, self.path, hashed, self.kind, self.chip, self.idf or "-", self.outcome)
        return f"| {' | '.join(_clean(cell) for cell in cells)} |\n"


def _clean(cell: str) -> str:
    return " ".join(cell.replace("|", "/").replace("`", "'").split())


def from_line(line: str) -> Row:
    """A line of the table. Raises ``ValueError`` for what is none."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) != len(fields(Row)) or not all(_CELL.fullmatch(cell) for cell in cells):
        raise ValueError(f"{line.strip()!r} is no row of the survey")
    row = Row(*cells)
    return Row(*cells[:6], "" if row.idf == "-" else row.idf, row.outcome)


def rows_in(page: str) -> list[Row]:
    """The rows of the table in ``page``. Raises ``ValueError`` for a page without one, or a table of another form."""
    _, begins, rest = page.partition(BEGIN)
    table, ends, _ = rest.partition(END)
    if not begins or not ends or not table.strip().startswith(_HEAD.strip()):
        raise ValueError(f"no table between {BEGIN!r} and {END!r}")
    return [from_line(line) for line in table.strip().removeprefix(_HEAD.strip()).strip().splitlines()]


def kept(page: str, rows: Iterable[Row]) -> str:
    """The page with these rows in its table: a build that it has already keeps its name and gets the new outcome."""
    table = {row.sha256[:_HASH]: row for row in rows_in(page)}
    for row in sorted(rows):
        key = row.sha256[:_HASH]
        known = table.get(key, row)
        table[key] = Row(known.package, known.version, known.path, *(getattr(row, f.name) for f in fields(Row)[3:]))
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    return f"{before}{BEGIN}\n\n{as_table(table.values())}\n{END}{after}"


def as_table(rows: Iterable[Row]) -> str:
    """The table itself."""
    return _HEAD + "".join(row.to_line() for row in sorted(rows, key=lambda row: (row.chip, row.kind, row)))
