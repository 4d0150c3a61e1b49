"""``esp-ota cloud jobs pause|resume|retry|cancel``: what an admin does to a job that runs."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.answers import Json, text
from py_esp_ota.cli.cloud.job_options import ID
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.cloud.watch import PATH
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say

LOCAL = "local/otajob"  # RainMaker itself has no such calls


@click.command("pause")
@click.argument("job")
@of_a_cloud
def pause(job: str, profile: str, as_json: bool) -> None:
    """Hand a job to nobody until it is resumed. Nodes that have begun go on."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("POST", f"{LOCAL}/pause", body={ID: job})
    if as_json:
        print_json(answer)
    else:
        say(f"job {job} is paused")


@click.command("resume")
@click.argument("job")
@of_a_cloud
def resume(job: str, profile: str, as_json: bool) -> None:
    """Go on with a paused job; one that waits at a gate goes on with its next phase."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("POST", f"{LOCAL}/resume", body={ID: job})
    if as_json:
        print_json(answer)
    else:
        say(f"job {job} goes on{_phase(answer)}")


def _phase(answer: Json) -> str:
    campaign = answer.get("campaign")
    phases = campaign.get("phases") if isinstance(campaign, dict) else None
    if not isinstance(campaign, dict) or not isinstance(phases, list) or len(phases) == 1:
        return ""
    return f" with phase {text(campaign, 'phase')} of {len(phases)}"


@click.command("retry")
@click.argument("job")
@click.option("--node", "nodes", multiple=True, metavar="ID", help="Only this node, failed or not; can be said again.")
@of_a_cloud
def retry(job: str, nodes: tuple[str, ...], profile: str, as_json: bool) -> None:
    """Let nodes begin anew, with all their attempts: all that ended without the update, or those that are named."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("POST", f"{LOCAL}/retry", body={ID: job, "nodes": list(dict.fromkeys(nodes))})
    if as_json:
        print_json(answer)
    else:
        say(text(answer, "description"), *(str(node) for node in answer.get("nodes") or ()))


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
