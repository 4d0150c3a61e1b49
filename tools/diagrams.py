"""Diagrams of the documentation, made from the tables that the code runs by. `make picture` writes them.

`states.svg` is every step that `idf/rollback.py` makes of an otadata entry, found by calling it; `floors.svg` is the
import contract of pyproject.toml, floor by floor.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.idf import rollback
from py_esp_ota.idf.rollback import BLANK_SEQ, NEVER_SELECTED, SET_BOOT, OtaImgState

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/explain"
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.by{font-size:11px;fill:#59636e}rect{fill:#f6f8fa;stroke:#59636e}"
    ".end rect{stroke-dasharray:4 3}line,path{stroke:#59636e;fill:none}marker path{fill:#59636e}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.by{fill:#9198a1}rect{fill:#151b23;stroke:#9198a1}"
    "line,path{stroke:#9198a1}marker path{fill:#9198a1}}"
)


class Step(NamedTuple):
    """An entry in state ``before`` (``None``: there was none) becomes ``after``; ``who`` does it."""

    before: OtaImgState | None
    after: OtaImgState
    who: str


def steps() -> list[Step]:
    """Every step, found by asking the functions what they would write for an entry in each state."""
    chosen = [
        Step(None, state, f"esp_ota_set_boot_partition, app built {'with' if built else 'without'} rollback")
        for built, state in SET_BOOT.items()
    ]
    return chosen + [step for state in OtaImgState for step in _steps_from(state)]


def _steps_from(state: OtaImgState) -> Iterable[Step]:
    entries = (OtaSelectEntry(1, state), OtaSelectEntry(BLANK_SEQ, OtaImgState.UNDEFINED))
    for rewrite in rollback.unconfirmed(entries):
        yield _step(state, rewrite, "bootloader, at the next reset")
    selected = rollback.trial(entries, 0)
    if selected:
        yield _step(state, selected, "bootloader, when it boots the slot")
    runs = state not in NEVER_SELECTED and not selected
    if runs:
        confirmed = rollback.confirm(entries, 0)
        if confirmed:
            yield _step(state, confirmed, "esp_ota_mark_app_valid_cancel_rollback")
        yield _step(state, rollback.reject(entries, 0), "esp_ota_mark_app_invalid_rollback_and_reboot")


def _step(state: OtaImgState, rewrite: rollback.Rewrite, who: str) -> Step:
    return Step(state, OtaImgState(rewrite.entry.ota_state), who)


#: Where a state stands: column and row. What leads from one to another is not said here.
_PLACES = {
    OtaImgState.NEW: (0, 0),
    OtaImgState.PENDING_VERIFY: (1, 0),
    OtaImgState.ABORTED: (2, 0),
    OtaImgState.UNDEFINED: (0, 1),
    OtaImgState.VALID: (1, 1),
    OtaImgState.INVALID: (2, 1),
}
_BOX, _GAP = (150, 34), (440, 120)


def states() -> str:
    """The states as boxes; arrows say who moves an entry. No bootloader goes by an entry whose box is dashed."""
    at = {state: (20 + column * _GAP[0], 40 + row * _GAP[1]) for state, (column, row) in _PLACES.items()}
    drawn = [_box(at[state], _BOX, state.name, ended=state in NEVER_SELECTED) for state in at]
    for step in steps():
        if step.before is None:
            drawn.append(_words((at[step.after][0], at[step.after][1] - 8), step.who))
        elif abs(_PLACES[step.after][0] - _PLACES[step.before][0]) > 1:
            drawn.append(_around(at[step.before], at[step.after], step.who))
        else:
            drawn.append(_arrow(at[step.before], at[step.after], step.who))
    title = "The states of an otadata entry, and who moves it from one to the next"
    return _svg(40 + 2 * _GAP[0] + _BOX[0], 40 + _GAP[1] + _BOX[1] + 60, title, drawn)


def floors() -> str:
    """The floors of the house from the top; rooms of one floor that may not know each other stand apart."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    width, high, drawn = 900, 40, []
    for number, layer in enumerate(layers):
        rooms = [name.strip().removeprefix("py_esp_ota.") for name in re.split(r"[|:]", layer)]
        free = " : " in layer
        parts = [" · ".join(rooms)] if free else rooms
        wide = (width - 20) / len(parts)
        drawn += [
            _box((round(10 + place * wide + 3), 10 + number * high), (round(wide) - 6, high - 8), name)
            for place, name in enumerate(parts)
        ]
    return _svg(width, 20 + len(layers) * high, "Who may know whom: a floor imports only from floors below it", drawn)


def _box(at: tuple[int, int], size: tuple[int, int], name: str, *, ended: bool = False) -> str:
    (x, y), (width, height) = at, size
    kind = ' class="end"' if ended else ""
    return (
        f'<g{kind}><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>'
        f'<text x="{x + width // 2}" y="{y + height // 2 + 5}" text-anchor="middle">{escape(name)}</text></g>'
    )


def _arrow(start: tuple[int, int], end: tuple[int, int], who: str) -> str:
    """To the next column, or down in the same one."""
    width, height = _BOX
    if start[0] == end[0]:
        x, y = start[0] + width // 3, (start[1] + height + end[1]) // 2
        return _line((x, start[1] + height), (x, end[1])) + _words((x - 6, y + 4), who, anchor="end")
    begin, stop = (start[0] + width, start[1] + height // 2), (end[0], end[1] + height // 2)
    if start[1] == end[1]:
        return _line(begin, stop) + _words(((begin[0] + stop[0]) // 2, begin[1] - 6), who, anchor="middle")
    begin, stop = (start[0] + width * 5 // 6, start[1] + height), (end[0] + width // 6, end[1])
    return _line(begin, stop) + _words(((begin[0] + stop[0]) // 2 + 20, (begin[1] + stop[1]) // 2 - 4), who)


def _around(start: tuple[int, int], end: tuple[int, int], who: str) -> str:
    """Below the boxes that stand between."""
    width, height = _BOX
    left, right, y = start[0] + width // 2, end[0] + width // 2, start[1] + height
    curve = f"M{left} {y}C{left} {y + 60} {right} {y + 60} {right} {y}"
    return f'<path d="{curve}" marker-end="url(#to)"/>' + _words(((left + right) // 2, y + 38), who, anchor="middle")


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    return f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" marker-end="url(#to)"/>'


def _words(at: tuple[int, int], text: str, *, anchor: str = "start") -> str:
    return f'<text class="by" x="{at[0]}" y="{at[1]}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: int, height: int, title: str, drawn: Iterable[str]) -> str:
    marker = (
        '<marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker>'
    )
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<defs>{marker}</defs>\n{body}\n</svg>\n"
    )


DIAGRAMS = {"states.svg": states, "floors.svg": floors}


if __name__ == "__main__":
    for name, draw in DIAGRAMS.items():
        (FOLDER / name).write_text(draw())
    sys.stdout.write(f"{', '.join(DIAGRAMS)} in {FOLDER}\n")
