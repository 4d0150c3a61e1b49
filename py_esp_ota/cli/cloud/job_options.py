"""What several verbs of ``esp-ota cloud jobs`` take."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.options import Duration

ID = "ota_job_id"

interval_option = click.option(
    "--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="Seconds between two looks."
)
within_option = click.option(
    "--within", type=Duration(), metavar="TIME", help="Watch no longer: 90s, 30m, 12h; exit 1 then."
)


def end(code: int) -> None:
    """End the program with what a watched job came to."""
    click.get_current_context().exit(code)
