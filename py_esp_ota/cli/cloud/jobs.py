"""``esp-ota cloud jobs``: updates of nodes, started, watched and ended from a script."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from py_esp_ota.cli.cloud.answers import Json, Unreached, columns, number, text
from py_esp_ota.cli.cloud.firmware import brought, find
from py_esp_ota.cli.cloud.options import Duration, Validity, Window, cloud_of, moment, of_a_cloud, profile_option
from py_esp_ota.cli.cloud.standing import CSV_HEAD
from py_esp_ota.cli.cloud.watch import PATH, standing_of, watch
from py_esp_ota.cli.files import check_writable, print_json, read_app, write_output
from py_esp_ota.cli.output import say

ALL_NODES = "FFFF-FFFF"  # the one group that is every node of an admin
_ID = "ota_job_id"

_interval = click.option(
    "--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="Seconds between two looks."
)
_within = click.option("--within", type=Duration(), metavar="TIME", help="Watch no longer: 90s, 30m, 12h; exit 1 then.")


@click.group("jobs")
def jobs() -> None:
    """OTA jobs of a cloud."""


@jobs.command("start")
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
@_interval
@_within
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
        job_id = text(answer, _ID)
        if not job_id:
            raise Unreached(f"{PATH} answers without {_ID}: it is no RainMaker cloud, or another release of it")
        if not as_json:
            say(f"job {job_id}: {body['ota_job_name']}")
        elif not wait:
            print_json({key: text(answer, key) or text(body, key) for key in (_ID, "ota_job_name", "ota_image_id")})
        if wait:
            _exit(watch(cloud, job_id, interval=interval, within=within, as_json=as_json))


@jobs.command("list")
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
            text(each, _ID),
            *(text(each, key) for key in counts),
            moment(number(each, "triggered_timestamp")),
            text(each, "status"),
            text(each, "ota_job_name"),
        )
        for each in found
    ]
    say(*columns([head, *rows]))


@jobs.command("status")
@click.argument("job")
@click.option("--watch", "watched", is_flag=True, help="Until it ends; exit 1 when a node did not take it.")
@_interval
@_within
@of_a_cloud
def status(job: str, watched: bool, interval: float, within: int | None, profile: str, as_json: bool) -> None:
    """Where a job stands, node by node, worst first."""
    if within is not None and not watched:
        raise click.UsageError("--within is for --watch")
    with cloud_of(profile) as cloud:
        if watched:
            _exit(watch(cloud, job, interval=interval, within=within, as_json=as_json))
        found = standing_of(cloud, job)
    if as_json:
        print_json(found.to_json())
    else:
        say(found.headline(), *found.lines())


@jobs.command("cancel")
@click.argument("job")
@click.option("--archive", is_flag=True, help="And put it away: lists leave it out.")
@of_a_cloud
def cancel(job: str, archive: bool, profile: str, as_json: bool) -> None:
    """End a job: no node that asks gets it any more. Nodes that have begun go on."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("PUT", PATH, body={_ID: job})
        if archive:
            answer = cloud.ask("PUT", PATH, body={_ID: job, "archive": True})
    if as_json:
        print_json(answer)
    else:
        say(f"job {job} is cancelled{' and archived' if archive else ''}")


@jobs.command("export")
@click.argument("job")
@click.option("--csv", "as_csv", is_flag=True, help="One line for each node.")
@click.option("--json", "as_json", is_flag=True, help="All of it as one object.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("-"),
    help="Where it goes.  [default: standard output]",
)
@profile_option
def export(job: str, as_csv: bool, as_json: bool, output: Path, profile: str) -> None:
    """Write down where a job stands, for other programs."""
    if as_csv == as_json:
        raise click.UsageError("as what? --csv or --json")
    check_writable(output)
    with cloud_of(profile) as cloud:
        found = standing_of(cloud, job)
    if as_json:
        import json

        content = json.dumps(found.to_json(), indent=2) + "\n"
    else:
        sheet = io.StringIO()
        csv.writer(sheet, lineterminator="\n").writerows([CSV_HEAD, *found.rows()])
        content = sheet.getvalue()
    write_output(output, content.encode(errors="backslashreplace"))


def _exit(code: int) -> None:
    click.get_current_context().exit(code)
