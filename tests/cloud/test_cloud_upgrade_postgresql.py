"""The same of a database in PostgreSQL, where one transaction must do: brought up to date, or left as it was."""

from __future__ import annotations

import logging
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from cloud_bench import Clock
from sqlalchemy import MetaData, create_engine, inspect, select
from upgrade_bench import NEWEST, RELEASE, SCRIPT, killed, revise, shape

from py_esp_ota.cloud import upgrade
from py_esp_ota.cloud.database import name_of
from py_esp_ota.cloud.models import Table
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.firmware import Firmware

FAILED = "the upgrade from revision 0001 to 9000 failed and changed nothing: "
FULL = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"


@pytest.fixture
def engine(postgresql):
    engine = create_engine(postgresql.url(postgresql.empty()))
    yield engine
    engine.dispose()


@pytest.fixture
def old(engine) -> str:
    """A database as 0.1.0 left it, but in PostgreSQL; its URL."""
    with create_engine("sqlite://").connect() as release, engine.begin() as database:
        walk(database, upgrade.FIRST)
        release.connection.driver_connection.executescript(RELEASE)
        tables, here = MetaData(), MetaData()
        tables.reflect(release)
        here.reflect(database)
        for table in tables.sorted_tables:
            for row in release.execute(select(table)).mappings():
                database.execute(here.tables[table.name].insert(), dict(row))
        for name, column in counted(database).items():
            database.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max({column})) FROM \"{name}\""
            )
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def revised(tmp_path, monkeypatch):
    """Whoever calls it has a version with one revision more, which ends like this."""
    return partial(revise, tmp_path / "migrations", monkeypatch)


def walk(connection, last: str = NEWEST) -> MigrationContext:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    with Operations.context(context):
        for step in reversed(list(SCRIPT.iterate_revisions(last, "base"))):
            step.module.upgrade()
    return context


def counted(connection) -> dict[str, str]:
    """The column of each table that the database counts."""
    found = inspect(connection)
    return {
        name: column["name"]
        for name in found.get_table_names()
        for column in found.get_columns(name)
        if "nextval" in str(column["default"])
    }


def dump(engine) -> list[str]:
    """Every row of every table, whatever they are, and how they are made."""
    tables = MetaData()
    with engine.connect() as database:
        tables.reflect(database)
        rows = [f"{table.name}: {row}" for table in tables.sorted_tables for row in database.execute(select(table))]
        return [repr(shape(database)), *sorted(rows)]


def refused(url: str, engine) -> str:
    before = dump(engine)
    with pytest.raises(ValueError, match=r"^postgresql\+psycopg://") as caught:
        Store(url)
    assert dump(engine) == before
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{name_of(engine.url)}: ")


# ----------------------------------------------------------------------------------------------------------- revisions


def test_all_revisions_together_make_the_tables_of_today(engine, postgresql):
    made = create_engine(postgresql.url(postgresql.empty()))
    with engine.connect() as walked, made.connect() as new:
        context = walk(walked)
        Table.metadata.create_all(new)
        assert compare_metadata(context, Table.metadata) == []
        assert shape(walked) == shape(new)
        columns = "information_schema.columns WHERE table_schema = 'public'"
        collations = f"SELECT table_name, column_name, collation_name FROM {columns}"
        both = ({*map(tuple, each.exec_driver_sql(collations))} for each in (walked, new))
        assert next(both) == next(both)
        assert counted(walked) == counted(new)
    made.dispose()


# ------------------------------------------------------------------------------------------------------- going forward


def test_a_new_database_is_made_at_the_newest_revision(engine, caplog):
    Store(engine.url.render_as_string(hide_password=False)).close()
    with engine.connect() as database:
        assert MigrationContext.configure(database).get_current_heads() == (NEWEST,)
    assert caplog.text == ""


def test_a_database_of_0_1_0_is_read_on_and_written_on(old):
    with Store(old) as store:
        ids = iter(range(1000))
        make_id = lambda size: f"{next(ids):0{size * 2}x}"  # noqa: E731
        service = CloudService(store, clock=Clock(), public_url="http://x", token_hex=make_id)
        (job,) = service.jobs.find().items
        lines = service.jobs.history(job.job.ota_job_id, "n1")
        assert [line.status for line in lines] == ["triggered", "started", "in-progress", "success"]
        assert {node.node_id for node in service.nodes.find().items} == {"n1", "n2"}
        image = service.images.add("new", Firmware("lamp", "9.0.0").to_bytes())
        new = service.jobs.create("new", image.ota_image_id, nodes=["n1"]).job.ota_job_id
        assert [each.job.ota_job_id for each in service.jobs.find().items] == [new, job.job.ota_job_id]
        assert [line.status for line in service.jobs.history(new)] == ["triggered"]


def test_an_older_one_is_upgraded_and_no_copy_is_kept(old, engine, revised, caplog):
    revised()
    Store(old).close()
    line = (
        f"{name_of(engine.url)}: upgraded from revision 0001 to 9000; one transaction did it all, and no copy was kept"
    )
    assert caplog.record_tuples == [("py_esp_ota.cloud.store", logging.WARNING, line)]
    with Store(old) as store, store.begin() as tx:
        assert tx.connection().exec_driver_sql("SELECT count(*) FROM extra").scalar() == 500
    assert len(caplog.records) == 1, "nothing to do, nothing to say"


# -------------------------------------------------------------------------------------------- what fails half way, not


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (
            f'op.execute("{FULL}")',
            f"{FAILED}could not extend file: No space left on device",
        ),
        (
            "op.execute(\"INSERT INTO node_tag VALUES ('nobody', 'a:b')\")",
            f'{FAILED}insert or update on table "node_tag" violates foreign key constraint "node_tag_node_id_fkey"',
        ),
        ('op.execute("ALTER TABLE node DROP COLUMN name")', "no database of this cloud: table node differs in name"),
    ],
    ids=["full", "orphan", "wrong"],
)
def test_an_upgrade_that_fails_leaves_the_old_database(old, engine, revised, monkeypatch, then, why):
    revised(then)
    assert refused(old, engine) == why
    monkeypatch.undo()
    Store(old).close()  # of the version that made it


def test_an_upgrade_that_is_killed_leaves_the_old_database(old, engine, revised):
    before = dump(engine)
    revised("os.kill(os.getpid(), signal.SIGKILL)")
    killed(lambda: Store(old))
    revised()
    assert dump(engine) == before
    Store(old).close()


# -------------------------------------------------------------------------------------------------------------- refused


def test_a_newer_database_is_refused_by_name(old, engine, revised, monkeypatch):
    revised()
    Store(old).close()
    monkeypatch.undo()
    known = NEWEST if upgrade.FIRST == NEWEST else f"{upgrade.FIRST} to {NEWEST}"
    why = f"a newer version of this cloud was here: revision 9000, and this version knows {known}"
    assert refused(old, engine) == why


def test_somebody_elses_database_is_refused(engine):
    with engine.begin() as database:
        database.exec_driver_sql("CREATE TABLE bookmarks(url text)")
    assert refused(engine.url.render_as_string(hide_password=False), engine) == (
        "no database of this cloud: table blob is missing"
    )
