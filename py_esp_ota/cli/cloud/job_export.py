"""``esp-ota cloud jobs export``: where a job stands, for other programs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_esp_ota.cli.cloud.answers import Refused, Unreached
from py_esp_ota.cli.cloud.options import cloud_of, profile_option
from py_esp_ota.cli.cloud.standing import CSV_HEAD
from py_esp_ota.cli.cloud.watch import standing_of
from py_esp_ota.cli.files import check_writable, write_output

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings that a spreadsheet takes for a formula: an apostrophe goes before them, as in the cloud's own sheet."""


@click.command("export")
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
        content = _document(cloud, job) if as_json else _sheet(cloud, job)
    write_output(output, content)


def _document(cloud: Cloud, job: str) -> bytes:
    import json

    return (json.dumps(standing_of(cloud, job).to_json(), indent=2) + "\n").encode()


def _sheet(cloud: Cloud, job: str) -> bytes:
    """The cloud's own, where it has one: RainMaker's has none."""
    try:
        sheet_of_its_own = cloud.file("local/otajob/export", {"ota_job_id": job, "format": "csv"})
    except (Refused, Unreached):
        sheet_of_its_own = b""  # whatever else is wrong, what is asked next says it
    if sheet_of_its_own.startswith(CSV_HEAD[0].encode()):
        return sheet_of_its_own
    found = standing_of(cloud, job)
    sheet = io.StringIO()
    plain = [[f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row] for row in found.rows()]
    csv.writer(sheet, lineterminator="\r\n").writerows([CSV_HEAD, *plain])
    return sheet.getvalue().encode(errors="backslashreplace")
