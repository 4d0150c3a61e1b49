"""The tutorial notebook shows what its cells show today."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from notebook import NOTEBOOK, cells, outputs


def test_every_cell_shows_what_it_says():
    notebook = json.loads(NOTEBOOK.read_text())
    kept = [cell["outputs"] for cell in cells(notebook)]
    assert len(kept) > 8
    assert outputs(notebook) == kept, "make picture runs it again"
    assert [cell["execution_count"] for cell in cells(notebook)] == list(range(1, len(kept) + 1))


def test_a_cell_that_shows_something_else_is_found():
    notebook = json.loads(NOTEBOOK.read_text())
    first = cells(notebook)[0]
    first["source"] = [line.replace('"1.0.0"', '"1.0.9"') for line in first["source"]]
    assert outputs(notebook)[0] != first["outputs"]
