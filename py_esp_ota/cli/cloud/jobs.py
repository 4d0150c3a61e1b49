"""``esp-ota cloud jobs``: updates of nodes, started, watched and ended from a script. One file for each family."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.job_acts import cancel, pause, resume, retry
from py_esp_ota.cli.cloud.job_export import export
from py_esp_ota.cli.cloud.job_looks import list_jobs, status
from py_esp_ota.cli.cloud.job_preview import preview
from py_esp_ota.cli.cloud.job_records import archive, delete, unarchive
from py_esp_ota.cli.cloud.job_start import start


@click.group("jobs")
def jobs() -> None:
    """OTA jobs of a cloud."""


for _verb in (start, preview, list_jobs, status, pause, resume, retry, cancel, archive, unarchive, delete, export):
    jobs.add_command(_verb)
