"""What a notebook shows of a value: plain HTML without style or script, so that it looks as the notebook does."""

from __future__ import annotations

from html import escape
from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PER_LINE = 64  # sectors in a line of the map: 256 KiB
_CELL = 8  # pixels


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every text is escaped."""
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f"<table><caption>{_text(caption)}</caption>{top}<tbody>{body}</tbody></table>"


def facts(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they are; rows without a value are left out."""
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in rows if value
    )
    return f"<table><caption>{_text(caption)}</caption><tbody>{body}</tbody></table>"


def sector_map(caption: str, written: Sequence[bool]) -> str:
    """A picture of sectors, 64 to a line: what is written is filled, what is erased is empty."""
    lines = -(-len(written) // _PER_LINE)
    strokes: list[str] = []
    for line in range(lines):
        place = 0
        for filled, run in groupby(written[line * _PER_LINE : (line + 1) * _PER_LINE]):
            length = len(list(run))
            if filled:
                strokes.append(f"M{place} {line}h{length}v.8h-{length}z")
            place += length
    width, height = min(_PER_LINE, len(written)), lines
    said = f"{caption}: {sum(written)} of {len(written)} sectors are written"
    return (
        f"<figure><figcaption>{_text(said)}</figcaption>"
        f'<svg role="img" aria-label="{_text(said)}" width="{width * _CELL}" height="{height * _CELL}" '
        f'viewBox="0 0 {width} {height}"><rect width="{width}" height="{height}" fill="currentColor" '
        f'opacity=".12"/><path fill="currentColor" d="{"".join(strokes)}"/></svg></figure>'
    )


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br>")
