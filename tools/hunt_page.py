"""The page of what a hunt asks and where it has been: ``make hunt-page``.

::

    esp-ota hunt --seeds 20000 --json > report.json
    python -m tools.hunt_page [--write] [report.json ...]

Promises and marks are the code's own tables; how often a mark is reached is what the reports say, together, or without
any what the page said before. ``--write`` keeps it in docs/reference/hunt.md, which a test compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from py_esp_ota.hunt.marks import MEANS
from py_esp_ota.hunt.promises import PROMISES

PAGE = Path(__file__).parents[1] / "docs/reference/hunt.md"
_HEAD = """\
# What a hunt asks, and where it has been

Every world of a [hunt](../howto/hunt-for-bugs.md) has the same promises to keep. Where the chip or its agent breaks
one itself, the report names the function of upstream and the world goes on; a board that never comes to its target is
[beyond rescue](unrecoverable.md) for a reason, or the promise is broken. `make hunt-page` makes this page of
`py_esp_ota/hunt/promises` and `py_esp_ota/hunt/marks.py`, and a test holds it to them.

## Promises

They are asked in this order, and a world is reported for the first that is broken.

| Promise | Says | Asked | Since |
|---|---|---|---|
"""
_MARKS = """
## Marks

What happens sometimes: a promise that nothing ever tried is worth nothing, and so a campaign of 5,000 worlds that
misses one of these fails. *Reached* is how often each was, of {worlds} worlds.

| Mark | Means | Reached |
|---|---|---|
"""


def page(reached: Mapping[str, str], worlds: str) -> str:
    """The page, with how often each mark was reached in so many worlds."""
    promises = (
        f"| {promise.name} | {promise.text} | {', '.join(promise.asked)} | "
        + (f"`{promise.function}` {promise.rule}" if promise.function else promise.rule)
        + " |\n"
        for promise in PROMISES
    )
    marks = (f"| {mark} | {text} | {reached.get(mark, '')} |\n" for mark, text in MEANS.items())
    return _HEAD + "".join(promises) + _MARKS.format(worlds=worlds) + "".join(marks)


def said(text: str) -> tuple[dict[str, str], str]:
    """What a page says of how often marks were reached, and in how many worlds."""
    rows = (line.split("|")[1:-1] for line in text.partition("## Marks")[2].splitlines() if line.startswith("| "))
    reached = {mark.strip(): number.strip() for mark, _, number in rows}
    return {mark: reached[mark] for mark in MEANS if mark in reached}, _between(
        text, "how often each was, of ", " worlds"
    )


def _between(text: str, before: str, after: str) -> str:
    return text.partition(before)[2].partition(after)[0]


def counted(reports: Iterable[Path]) -> tuple[dict[str, str], str]:
    """The same of reports, as ``esp-ota hunt --json`` writes them."""
    worlds, reached = 0, Counter[str]()
    for path in reports:
        report = json.loads(path.read_text())
        worlds += report["worlds"]
        reached.update(report["marks"])
    return {mark: f"1 in {round(worlds / number):,}" for mark, number in reached.items()}, f"{worlds:,}"


def main() -> int:
    """Print it, or keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("reports", nargs="*", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = page(*(counted(asked.reports) if asked.reports else said(PAGE.read_text())))
    if asked.write:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
