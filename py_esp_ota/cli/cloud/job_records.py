"""``esp-ota cloud jobs archive|unarchive|delete``: what is kept of a job that is over."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.job_options import ID
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.cloud.watch import PATH
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say


@click.command("archive")
@click.argument("job")
@of_a_cloud
def archive(job: str, profile: str, as_json: bool) -> None:
    """Put a cancelled job away: lists leave it out, its reports stay."""
    _put_away(job, profile, as_json, archived=True)


@click.command("unarchive")
@click.argument("job")
@of_a_cloud
def unarchive(job: str, profile: str, as_json: bool) -> None:
    """Bring a job back from the archive. It stays cancelled."""
    _put_away(job, profile, as_json, archived=False)


def _put_away(job: str, profile: str, as_json: bool, *, archived: bool) -> None:
    with cloud_of(profile) as cloud:
        answer = cloud.ask("PUT", PATH, body={ID: job, "archive": archived})
    if as_json:
        print_json(answer)
    else:
        say(f"job {job} is {'archived' if archived else 'back from the archive'}")


@click.command("delete")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@of_a_cloud
def delete(jobs: tuple[str, ...], profile: str, as_json: bool) -> None:
    """Delete jobs that are over, all or none. The audit log keeps what happened; their image can go then, too."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("POST", "local/otajob/delete", body={"ota_job_ids": list(jobs)})
    if as_json:
        print_json(answer)
    else:
        say(f"{len(jobs)} {'job is' if len(jobs) == 1 else 'jobs are'} deleted")
