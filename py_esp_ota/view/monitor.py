"""The OTA job monitor for a terminal: one row per node, in the device's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from py_esp_ota.view.visible import visible

_COLOURS = {
    "success": "green",
    "failed": "red",
    "rejected": "red",
    "delayed": "yellow",
    "in-progress": "cyan",
    "started": "cyan",
    "triggered": "dim",
}


def job_monitor(name: str, status: str, reports: Iterable[Mapping[str, str]], *, node_id: str) -> Table:
    """One job and everything one node said about it, oldest first."""
    table = Table(
        title=Text(visible(f"OTA job {name}: {status}"), style="table.title"),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for header in ("Node", "Status", "Additional info"):
        table.add_column(header)
    for report in reports:
        word = report["status"]
        said = Text(visible(report["additional_info"]))
        table.add_row(Text(visible(node_id)), Text(visible(word), style=_COLOURS.get(word, "")), said)
    return table
