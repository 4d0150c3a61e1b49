"""``esp-ota cloud jobs start``: an image for nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from py_esp_ota.cli.cloud.answers import Unreached, text
from py_esp_ota.cli.cloud.firmware import brought, find
from py_esp_ota.cli.cloud.job_options import ID, end, interval_option, within_option
from py_esp_ota.cli.cloud.job_order import order_of, order_options, with_image
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.cloud.watch import PATH, watch
from py_esp_ota.cli.files import print_json, read_app
from py_esp_ota.cli.output import say


@click.command("start")
@order_options
@click.option("--wait", is_flag=True, help="Watch it until it ends.")
@interval_option
@within_option
@of_a_cloud
def start(
    *, image: str, wait: bool, interval: float, within: int | None, profile: str, as_json: bool, **words: Any
) -> None:
    """Start a job: an image for nodes. Of a --wait the exit code is 1 when a node did not take it."""
    order, asked = order_of(words)
    if within is not None and not wait:
        raise click.UsageError("--within is for --wait")
    app = read_app(Path(image)) if image.endswith(".bin") else None
    with cloud_of(profile) as cloud:
        body = with_image(order, find(cloud, image) if app is None else brought(cloud, app))
        answer = cloud.ask("POST", PATH, asked, body=body)
        job_id = text(answer, ID)
        if not job_id:
            raise Unreached(f"{PATH} answers without {ID}: it is no RainMaker cloud, or another release of it")
        if not as_json:
            say(f"job {job_id}: {body['ota_job_name']}")
        elif not wait:
            print_json({key: text(answer, key) or text(body, key) for key in (ID, "ota_job_name", "ota_image_id")})
        if wait:
            end(watch(cloud, job_id, interval=interval, within=within, as_json=as_json))
