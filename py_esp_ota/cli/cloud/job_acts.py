"""``esp-ota cloud jobs cancel``: what an admin does to a job that runs."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.job_options import ID
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.cloud.watch import PATH
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say


@click.command("cancel")
@click.argument("job")
@click.option("--archive", is_flag=True, help="And put it away: lists leave it out.")
@of_a_cloud
def cancel(job: str, archive: bool, profile: str, as_json: bool) -> None:
    """End a job: no node that asks gets it any more. Nodes that have begun go on."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("PUT", PATH, body={ID: job})
        if archive:
            answer = cloud.ask("PUT", PATH, body={ID: job, "archive": True})
    if as_json:
        print_json(answer)
    else:
        say(f"job {job} is cancelled{' and archived' if archive else ''}")
