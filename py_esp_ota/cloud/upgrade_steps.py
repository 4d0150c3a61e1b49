"""The revisions of the tables, walked through as alembic has them: for who has a database of an older version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine


@contextmanager
def made_by(folder: Path, revision: str) -> Iterator[Connection]:
    """A database in memory with what one revision makes where there was nothing."""
    with create_engine("sqlite://").connect() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            ScriptDirectory(folder).get_revision(revision).module.upgrade()
        yield connection


def walk(connection: Connection, folder: Path, before: str, newest: str) -> None:
    """Everything between two revisions, each stamped when it is done; a database without a stamp gets one first."""
    script = ScriptDirectory(folder)
    context = MigrationContext.configure(connection)
    if not context.get_current_heads():
        context.stamp(script, before)
    with Operations.context(context):
        for step in reversed(list(script.iterate_revisions(newest, before))):
            step.module.upgrade()
            context.stamp(script, step.revision)
