"""``esp-ota cloud jobs start``: an image for nodes."""

from __future__ import annotations

from pathlib import Path

import click

from py_esp_ota.cli.cloud.answers import Json, Unreached, text
from py_esp_ota.cli.cloud.firmware import brought, find
from py_esp_ota.cli.cloud.job_options import ID, end, interval_option, within_option
from py_esp_ota.cli.cloud.options import Duration, Validity, Window, cloud_of, of_a_cloud
from py_esp_ota.cli.cloud.watch import PATH, watch
from py_esp_ota.cli.files import print_json, read_app
from py_esp_ota.cli.output import say

ALL_NODES = "FFFF-FFFF"  # the one group that is every node of an admin


@click.command("start")
@click.option(
    "--image",
    required=True,
    metavar="NAME|ID|FILE.bin",
    help="What to bring; a .bin is uploaded first, if it is not there.",
)
@click.option("--node", "nodes", multiple=True, metavar="ID", help="For this node; can be said again.")
@click.option("--all", "every", is_flag=True, help="For every node of yours.")
@click.option("--name", help="What the job is called; as the image, without.")
@click.option("--description", help="What the users of the nodes read.")
@click.option("--force-push", is_flag=True, help="Now, to nodes that are online; else each gets it when it asks.")
@click.option("--user-approval", is_flag=True, help="Only when the node's user says yes.")
@click.option("--priority", type=click.IntRange(1, 9), help="1 comes first, 9 last.  [default: 5]")
@click.option("--timeout", type=Duration(), metavar="TIME", help="The job gives up then.  [default: 15d]")
@click.option("--window", type=Window(), metavar="HH:MM-HH:MM", help="Nodes download at these times of their day only.")
@click.option(
    "--validity", type=Validity(), metavar="TIME|START/END", help="Nodes take it that long, or between these."
)
@click.option("--wait", is_flag=True, help="Watch it until it ends.")
@interval_option
@within_option
@of_a_cloud
def start(
    image: str,
    nodes: tuple[str, ...],
    every: bool,
    name: str | None,
    description: str | None,
    force_push: bool,
    user_approval: bool,
    priority: int | None,
    timeout: int | None,
    window: Json | None,
    validity: Json | None,
    wait: bool,
    interval: float,
    within: int | None,
    profile: str,
    as_json: bool,
) -> None:
    """Start a job: an image for nodes. Of a --wait the exit code is 1 when a node did not take it."""
    if bool(nodes) == every:
        raise click.UsageError("which nodes? --node ID, again for each, or --all")
    if within is not None and not wait:
        raise click.UsageError("--within is for --wait")
    app = read_app(Path(image)) if image.endswith(".bin") else None
    metadata = {key: value for key, value in {"download_window": window, "validity": validity}.items() if value}
    with cloud_of(profile) as cloud:
        found = find(cloud, image) if app is None else brought(cloud, app)
        body = {
            "ota_job_name": name or text(found, "image_name"),
            "ota_image_id": text(found, "ota_image_id"),
            "nodes": list(dict.fromkeys(nodes)),
            "groups": [ALL_NODES] if every else [],
            "metadata": metadata or None,
            "description": description,
            "priority": priority,
            "timeout": timeout,
        }
        flags = {"force_push": force_push, "user_approval": user_approval}
        asked = {key: "true" for key, value in flags.items() if value}
        answer = cloud.ask("POST", PATH, asked, body={key: value for key, value in body.items() if value})
        job_id = text(answer, ID)
        if not job_id:
            raise Unreached(f"{PATH} answers without {ID}: it is no RainMaker cloud, or another release of it")
        if not as_json:
            say(f"job {job_id}: {body['ota_job_name']}")
        elif not wait:
            print_json({key: text(answer, key) or text(body, key) for key in (ID, "ota_job_name", "ota_image_id")})
        if wait:
            end(watch(cloud, job_id, interval=interval, within=within, as_json=as_json))
