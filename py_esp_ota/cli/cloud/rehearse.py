"""``esp-ota cloud rehearse``: a campaign on virtual copies of its nodes, before a single board is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_esp_ota.cli.cloud.answers import Json
from py_esp_ota.cli.cloud.firmware import find, known
from py_esp_ota.cli.cloud.job_options import end
from py_esp_ota.cli.cloud.job_order import order_of, planned_options, with_image
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.files import Unusable, check_writable, print_json, read_app, read_input, write_output
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say

if TYPE_CHECKING:
    from py_esp_ota.cloud.rehearsals import Rehearsal

_PATH = "local/rehearsal/document"
_STATES = ("completed", "aborted", "paused", "unfinished")
_LAST_SEED = 2**32 - 1
_SECONDS = click.FloatRange(min=0, max=40 * 86_400)


@click.command("rehearse")
@click.argument("job", metavar="[JOB|FILE]", required=False)
@click.option(
    "--weather",
    "weathers",
    multiple=True,
    metavar="WEATHER",
    help="What the nodes meet: fine, home-wifi, bad-day, bad-image, power-cuts; or parts between semicolons, "
    "'5% drop@65536*1; speed 20000-200000'. Said again: one forecast for each.",
)
@click.option(
    "--seed", type=click.IntRange(0, _LAST_SEED), default=0, show_default=True, help="Who of them meets what."
)
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Keep what is known of job and nodes.")
@click.option(
    "--expect", type=click.Choice(_STATES), help="Exit 0 when it ends so, whatever becomes of nodes; else exit 1."
)
@click.option("--full", is_flag=True, help="Show every odd device, not a few of each kind.")
@click.option("--alone", metavar="ID", help="Play this node alone, and show its console and what it reports.")
@click.option("--turn", type=_SECONDS, default=0, metavar="SECONDS", help="With --alone: when it has its turn.")
@click.option("--back", type=_SECONDS, metavar="SECONDS", help="With --alone: when it comes, of one that is offline.")
@click.option("--stop", type=_SECONDS, metavar="SECONDS", help="With --alone: when the job was stopped.")
@planned_options
@of_a_cloud
def rehearse(
    *,
    job: str | None,
    image: str | None,
    weathers: tuple[str, ...],
    seed: int,
    save: Path | None,
    expect: str | None,
    full: bool,
    alone: str | None,
    turn: float,
    back: float | None,
    stop: float | None,
    profile: str,
    as_json: bool,
    **words: Any,
) -> None:
    """Play a job in virtual time, on virtual copies of its nodes, and tell what it would come to.

    JOB is asked of the cloud; without it, --image and the options of 'jobs start' plan one. A FILE is what --save kept,
    and needs no cloud. Nothing is sent to any node. Exit 1 when the job does not end with the update on every node.
    """
    if alone is None and (turn or back is not None or stop is not None):
        raise click.UsageError("--turn, --back and --stop are for --alone")
    if alone is not None and (expect or len(weathers) > 1):
        raise click.UsageError("--alone plays one device under one weather; --expect is for whole campaigns")
    if (job is None) == (image is None):
        raise click.UsageError("what? a JOB, a FILE, or --image IMAGE and nodes for one that is only planned")
    if save is not None:
        check_writable(save)
    data = _planned(image, words, profile) if job is None else _known(job, words, profile)
    rehearsal = _read(job or "the answer", data, save)
    name = str(save or job or "FILE")
    with needing("cloud", "cloud"):
        from py_esp_ota.rehearsal import rehearse as play
        from py_esp_ota.rehearsal import rehearse_one
        from py_esp_ota.view.forecast_text import forecast_text, headline, lone_text
    try:
        if alone is not None:
            weather = weathers[0] if weathers else ""
            lone = rehearse_one(rehearsal, alone, weather=weather, seed=seed, turn=turn, back=back, stop=stop)
            print_json(lone.to_json()) if as_json else say(*lone_text(lone))
            return
        forecasts = [play(rehearsal, weather=each, seed=seed, job=name) for each in weathers or ("fine",)]
    except ValueError as error:
        raise Unusable(str(error)) from error
    told = [forecast.to_json() for forecast in forecasts]
    if as_json:
        print_json(told[0] if len(told) == 1 else {"forecasts": told})
    elif len(forecasts) == 1:
        say(*forecast_text(told[0], every=full))
    else:
        say(*(f"{each['weather']}: {headline(each)}" for each in told))
    well = all(forecast.state == expect if expect else forecast.ok for forecast in forecasts)
    end(0 if well else 1)


def _known(job: str, words: Mapping[str, Any], profile: str) -> bytes:
    """The document of a job, or in a file."""
    if any(words.values()):
        raise click.UsageError("a job that is there has its nodes and its plan; they are for --image")
    if Path(job).is_file() or job == "-" or job.endswith(".json") or Path(job).name != job:
        with needing("cloud", "cloud"):
            from py_esp_ota.rehearsal.document import DOCUMENT_LIMIT
        return read_input(Path(job), limit=DOCUMENT_LIMIT, what="a rehearsal")
    with cloud_of(profile) as cloud:
        found: Json = cloud.ask("POST", _PATH, body={"ota_job_id": job})
    return json.dumps(found).encode()


def _planned(image: str | None, words: Mapping[str, Any], profile: str) -> bytes:
    """The document of a job in the words of ``jobs start``."""
    assert image is not None  # noqa: S101 - there is a job or an image
    order, asked = order_of(words)
    app = read_app(Path(image)) if image.endswith(".bin") else None
    with cloud_of(profile) as cloud:
        body = with_image(order, find(cloud, image) if app is None else known(cloud, app, image))
        found: Json = cloud.ask("POST", _PATH, asked, body={"job": body})
    return json.dumps(found).encode()


def _read(what: str, data: bytes, save: Path | None) -> Rehearsal:
    with needing("cloud", "cloud"):
        from py_esp_ota.rehearsal.document import read_rehearsal
    try:
        rehearsal = read_rehearsal(data)
    except ValueError as error:
        raise Unusable(f"{what}: {error}") from error
    if save is not None:
        write_output(save, data)
    return rehearsal
