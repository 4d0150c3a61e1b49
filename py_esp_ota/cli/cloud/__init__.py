"""``esp-ota cloud``: a cloud from a script, ours or another that speaks RainMaker's API; keys for its nodes."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.audit import audit
from py_esp_ota.cli.cloud.groups import groups
from py_esp_ota.cli.cloud.images import images
from py_esp_ota.cli.cloud.jobs import jobs
from py_esp_ota.cli.cloud.login import login, logout
from py_esp_ota.cli.cloud.node_cert import node_cert
from py_esp_ota.cli.cloud.nodes import nodes
from py_esp_ota.cli.cloud.rehearse import rehearse
from py_esp_ota.cli.cloud.webhooks import webhooks


@click.group("cloud")
def command() -> None:
    """Roll out firmware from a script: log in, upload images, start jobs, watch them. And certificates for nodes.

    Exit codes: 0 done, 1 the cloud refused or a watched job ended badly, 2 misuse or no cloud that answers.
    """


for _verb in (login, logout, images, jobs, rehearse, nodes, groups, audit, webhooks, node_cert):
    command.add_command(_verb)
