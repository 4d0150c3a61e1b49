"""``esp-ota cloud jobs export``: where a job stands, for other programs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from py_esp_ota.cli.cloud.options import cloud_of, profile_option
from py_esp_ota.cli.cloud.standing import CSV_HEAD
from py_esp_ota.cli.cloud.watch import standing_of
from py_esp_ota.cli.files import check_writable, write_output


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
        found = standing_of(cloud, job)
    if as_json:
        import json

        content = json.dumps(found.to_json(), indent=2) + "\n"
    else:
        sheet = io.StringIO()
        csv.writer(sheet, lineterminator="\n").writerows([CSV_HEAD, *found.rows()])
        content = sheet.getvalue()
    write_output(output, content.encode(errors="backslashreplace"))
