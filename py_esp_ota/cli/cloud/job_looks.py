"""``esp-ota cloud jobs list|status``: where jobs stand."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.answers import columns, number, text
from py_esp_ota.cli.cloud.job_options import ID, end, interval_option, within_option
from py_esp_ota.cli.cloud.options import cloud_of, moment, of_a_cloud
from py_esp_ota.cli.cloud.watch import PATH, standing_of, watch
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say


@click.command("list")
@click.option("--name", help="Only those whose name has this in it.")
@click.option("--archived", is_flag=True, help="Those that are archived.")
@click.option("--all", "every", is_flag=True, help="Those that are archived, too.")
@of_a_cloud
def list_jobs(name: str | None, archived: bool, every: bool, profile: str, as_json: bool) -> None:
    """Jobs, newest first."""
    asked = {"ota_job_name": name, "archived": "true" if archived else None, "all": "true" if every else None}
    query = {key: value for key, value in asked.items() if value}
    with cloud_of(profile) as cloud:
        found = list(cloud.pages(PATH, "ota_jobs", query))
    if as_json:
        print_json({"jobs": found})
        return
    counts = ("total_count", "completed_count", "rejected_count", "failed_count")
    head = ("ID", "NODES", "UPDATED", "REJECTED", "FAILED", "STARTED (UTC)", "STATUS", "NAME")
    rows = [
        (
            text(each, ID),
            *(text(each, key) for key in counts),
            moment(number(each, "triggered_timestamp")),
            text(each, "status"),
            text(each, "ota_job_name"),
        )
        for each in found
    ]
    say(*columns([head, *rows]))


@click.command("status")
@click.argument("job")
@click.option(
    "--watch",
    "watched",
    is_flag=True,
    help="Until it ends; exit 1 when it aborts itself, pauses at a gate it does not meet, or misses a node.",
)
@interval_option
@within_option
@of_a_cloud
def status(job: str, watched: bool, interval: float, within: int | None, profile: str, as_json: bool) -> None:
    """Where a job stands, node by node, worst first."""
    if within is not None and not watched:
        raise click.UsageError("--within is for --watch")
    with cloud_of(profile) as cloud:
        if watched:
            end(watch(cloud, job, interval=interval, within=within, as_json=as_json))
        found = standing_of(cloud, job)
    if as_json:
        print_json(found.to_json())
    else:
        say(found.headline(), *found.lines())
