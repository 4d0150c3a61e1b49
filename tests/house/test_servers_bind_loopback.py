"""No server of ours may listen to the world by accident."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "py_esp_ota"


def test_no_source_names_the_wildcard_address():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert '"0.0.0.0"' not in text, path
        assert '"::"' not in text, path
