"""Databases of other versions: what 0.1.0 left, and a version with one revision more than there is."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from py_esp_ota.cloud import upgrade

RELEASE = Path(__file__).with_name("release_0_1_0.sql").read_text()
SCRIPT = ScriptDirectory(upgrade.FOLDER)
NEWEST = SCRIPT.get_current_head()

NEXT = """
from alembic import op
import os, signal, sqlalchemy as sa
revision = "9000"
down_revision = "{before}"
def upgrade():
    op.create_table("extra", sa.Column("key", sa.Text, primary_key=True))
    with op.batch_alter_table("node") as node:
        node.alter_column("model", server_default="lamp")
    op.bulk_insert(sa.table("extra", sa.column("key")), [{{"key": "x" * 1000 + str(n)}} for n in range(500)])
    {then}
"""
"""A revision as they will be: a table more, a table anew, and rows enough to need pages."""


def revise(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str = "") -> Path:
    """A version with one revision more, which ends with ``then``; where its revisions are."""
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    for known in SCRIPT.walk_revisions():
        (folder / "versions" / Path(known.path).name).write_text(Path(known.path).read_text())
    (folder / "versions" / "r9000_next.py").write_text(NEXT.format(before=NEWEST, then=then))
    monkeypatch.setattr(upgrade, "FOLDER", folder)
    return folder


def killed(opened: Callable[[], object]) -> None:
    """A process does this, until a signal kills it; forked, for what it needs is imported."""
    child = os.fork()
    if child == 0:
        try:
            opened()
        except BaseException:  # noqa: BLE001 - pytest's own end is its parent's
            traceback.print_exc()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def shape(connection):
    """Every table as the database itself describes it, whatever the order of its parts."""
    found = inspect(connection)
    return {
        name: (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(name)},
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(str(sorted(key.items())) for key in found.get_foreign_keys(name)),
            sorted(str(unique["column_names"]) for unique in found.get_unique_constraints(name)),
            sorted((index["name"], str(index["column_names"])) for index in found.get_indexes(name)),
        )
        for name in sorted({*found.get_table_names()} - {"alembic_version"})
    }
