"""``esp-ota cloud audit``: who did what to what, and when."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.answers import columns, number, text
from py_esp_ota.cli.cloud.options import cloud_of, moment, of_a_cloud
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say

_ABOUT = ("ota_job_id", "node_id", "ota_image_id", "user_name")


@click.command("audit")
@click.option("--kind", help="Only events of this kind, as job_aborted.")
@click.option("--actor", type=click.Choice(["node", "admin", "user", "cloud", "clock"]), help="Only what these did.")
@click.option("--who", help="Only what this user or node did.")
@click.option("--job", "ota_job_id", help="Only what is about this job.")
@click.option("--node", "node_id", help="Only what is about this node.")
@click.option("--image", "ota_image_id", help="Only what is about this image.")
@click.option("--last", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, from the newest.")
@of_a_cloud
def audit(*, last: int, profile: str, as_json: bool, **wanted: str | None) -> None:
    """What happened in a cloud, newest first. Nothing is ever taken out of this log."""
    query = {key: value for key, value in wanted.items() if value} | {"num_records": str(last)}
    with cloud_of(profile) as cloud:
        answer = cloud.ask("GET", "admin/events", query)
    events = [each for each in answer.get("events", []) if isinstance(each, dict)]
    if as_json:
        print_json({"events": events})
        return
    rows = [("TIME", "WHO", "WHAT", "ABOUT")]
    for event in events:
        who = f"{text(event, 'actor')} {text(event, 'who')}".strip()
        about = " ".join(text(event, key) for key in _ABOUT if event.get(key))
        rows.append((moment(number(event, "timestamp")), who, text(event, "kind"), about))
    say(*columns(rows))
