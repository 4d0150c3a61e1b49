"""The tutorial notebook: run its cells as a notebook would, and keep what they show. `make picture` writes it anew."""

from __future__ import annotations

import ast
import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs/tutorial/look-inside.ipynb"


def cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of code."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What each cell of code prints and shows, one after the other in one namespace."""
    names: dict[str, object] = {"__name__": "__main__"}
    return [_outputs("".join(cell["source"]), names, number) for number, cell in enumerate(cells(notebook), start=1)]


def _outputs(source: str, names: dict[str, object], number: int) -> list[dict[str, Any]]:
    tree, printed, shown = ast.parse(source), StringIO(), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)  # noqa: S102 - that is what a notebook does
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307 - as above
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())})
    if shown is not None:
        data = {"text/plain": _lines(repr(shown))}
        if html := getattr(shown, "_repr_html_", None):
            data = {"text/html": _lines(html()), **data}
        found.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    return found


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    read = json.loads(NOTEBOOK.read_text())
    for number, (cell, found) in enumerate(zip(cells(read), outputs(read), strict=True), start=1):
        cell |= {"outputs": found, "execution_count": number}
    NOTEBOOK.write_text(json.dumps(read, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{NOTEBOOK}\n")
