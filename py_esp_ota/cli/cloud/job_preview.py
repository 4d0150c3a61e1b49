"""``esp-ota cloud jobs preview``: what a job would meet, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from py_esp_ota.cli.cloud.answers import Json, columns, listed, number, text
from py_esp_ota.cli.cloud.firmware import find, known
from py_esp_ota.cli.cloud.job_options import end
from py_esp_ota.cli.cloud.job_order import order_of, order_options, with_image
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.files import print_json, read_app
from py_esp_ota.cli.output import say

PATH = "local/otajob/preview"


@click.command("preview")
@order_options
@click.option("--reason", metavar="REASON", help="List the nodes with this reason; 'ready': those without any.")
@of_a_cloud
def preview(*, image: str, reason: str | None, profile: str, as_json: bool, **words: Any) -> None:
    """Tell what 'start' with the same words would do: how many nodes, and by reason which will not take the image.

    Nothing is sent or stored, a .bin must be in the cloud already. Exit code 1 when the job would be refused.
    """
    order, asked = order_of(words)
    app = read_app(Path(image)) if image.endswith(".bin") else None
    with cloud_of(profile) as cloud:
        body = with_image(order, find(cloud, image) if app is None else known(cloud, app, image))
        query = {**asked, "num_records": "1000" if reason else "1"} | ({"reason": reason} if reason else {})
        found = cloud.ask("POST", PATH, query, body=body)
        nodes = listed(found, "nodes", PATH)
        while reason and found.get("next_id"):
            more = cloud.ask("POST", PATH, {**query, "start_id": text(found, "next_id")}, body=body)
            nodes += listed(more, "nodes", PATH)
            found = {**found, "next_id": more.get("next_id")}
    told = {key: value for key, value in found.items() if key not in {"nodes", "next_id", "nodes_total"}}
    if as_json:
        print_json(told | ({"nodes": nodes} if reason else {}))
    elif reason:
        say(*(text(node, "node_id") for node in nodes))
    else:
        say(*_lines(told, text(body, "ota_job_name")))
    end(1 if found.get("refusal") else 0)


def _lines(found: Json, name: str) -> list[str]:
    counts = (number(found, key) for key in ("total", "ready", "offline"))
    lines = ["{}: {} nodes, {} ready, {} offline".format(name, *counts)]
    phases = found.get("phases")
    if isinstance(phases, list) and len(phases) > 1:
        lines.append("phases: " + ", ".join(map(str, phases)))
    rows = [
        (text(each, "count"), text(each, "certainty").replace("_", " "), text(each, "reason"), text(each, "sentence"))
        for each in listed(found, "reasons", PATH)
    ]
    lines += columns([("NODES", "WHAT", "REASON", "FOR INSTANCE"), *rows]) if rows else []
    refusal = found.get("refusal")
    if isinstance(refusal, dict):
        lines.append(f"it would be refused: {text(refusal, 'description')}")
    return lines
