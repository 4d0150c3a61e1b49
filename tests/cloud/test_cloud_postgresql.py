"""A database in PostgreSQL: one server at a time, lost and found again, refused in one line that holds no password."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from databases import ask, new_store
from sqlalchemy.exc import DBAPIError

from py_esp_ota.cloud.outage import outage
from py_esp_ota.cloud.store import Store


@pytest.fixture
def url(postgresql) -> str:
    return postgresql.url(postgresql.empty())


def refusal(url: str) -> str:
    with pytest.raises(ValueError, match=r"^") as caught:
        Store(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------------- alone


def test_one_server_has_it_at_a_time(url):
    with Store(url) as first:
        me = f"esp-ota, process {os.getpid()} on {platform.node()}"[:63]
        assert refusal(url).endswith(f": another server of this cloud has the database ({me})")
        assert first.setting("a", lambda: "1") == "1"
    with Store(url) as second:
        assert second.setting("a", lambda: "2") == "1"


def test_two_databases_of_one_server_are_two_clouds(postgresql):
    with closing(postgresql.store()) as first, closing(postgresql.store()) as second:
        first.setting("a", lambda: "1")
        assert second.setting("a", lambda: "2") == "2"


def test_who_is_killed_leaves_it_at_once(url):
    program = f"""
import os, signal
from py_esp_ota.cloud.store import Store
store = Store({url!r})
store.setting("kept", lambda: "yes")
with store.begin() as tx:
    tx.connection().exec_driver_sql("INSERT INTO setting VALUES ('half', 'done')")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store(url) as store:
        assert store.setting("kept", lambda: "no") == "yes"
        assert store.setting("half", lambda: "nothing of it") == "nothing of it"


# ----------------------------------------------------------------------------------------------------- lost, and found


def cut(postgresql, process: object) -> None:
    """The connection ends, as it does when the server is started anew."""
    with postgresql.connect("postgres") as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [process])


def test_a_connection_that_was_lost_between_two_transactions_is_not_missed(postgresql, url):
    with Store(url) as store:
        store.setting("a", lambda: "1")
        cut(postgresql, ask(store, "SELECT pg_backend_pid()"))
        assert store.setting("a", lambda: "2") == "1"
        assert "another server of this cloud" in refusal(url), "and the database is ours again"


def test_one_that_is_lost_in_the_middle_is_an_outage_and_leaves_nothing(postgresql, url):
    def interrupted(store: Store) -> None:
        with store.begin() as tx:
            tx.connection().exec_driver_sql("INSERT INTO setting VALUES ('half', 'done')")
            cut(postgresql, process)

    with Store(url) as store:
        process = ask(store, "SELECT pg_backend_pid()")
        with pytest.raises(DBAPIError) as caught:
            interrupted(store)
        assert outage(caught.value) == "terminating connection due to administrator command"
        assert store.setting("half", lambda: "nothing of it") == "nothing of it"


# -------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("url", "named", "why"),
    [
        ("postgresql+psycopg://ann:hunter2@127.0.0.1:1/cloud", "postgresql+psycopg://ann@127.0.0.1:1/cloud", "refused"),
        ("postgres://127.0.0.1:1/cloud?password=hunter2", "postgresql+psycopg://127.0.0.1:1/cloud", "refused"),
        ("postgresql://ann:hunter2@nowhere.invalid/cloud", "postgresql+psycopg://ann@nowhere.invalid/cloud", "resolve"),
        ("postgresql+psycopg:///cloud?host=/nowhere&password=hunter2", "postgresql+psycopg:///cloud", "No such file"),
        ("postgresql+psycopg://127.0.0.1/cloud?colour=red", "postgresql+psycopg://127.0.0.1/cloud", "colour"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_line(postgresql, url, named, why):
    text = refusal(url)
    assert text.startswith(f"{named}: ")
    assert why in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cloud.db",
        "postgresql+psycopg//ann:hunter2@x/y",
        "postgresql://x:hunter2/y",
    ],
)
def test_what_is_no_url_is_not_quoted(text):
    why = refusal(text)
    assert why == "no database URL: postgresql+psycopg://USER@HOST:PORT/NAME is one"


@pytest.mark.parametrize("text", ["mysql://ann:hunter2@x/y", "postgresql+psycopg2://ann:hunter2@x/y", "duck://"])
def test_other_databases_are_refused(text):
    assert refusal(text).endswith(": a database of this cloud is SQLite's or postgresql+psycopg's")
    assert "hunter2" not in refusal(text)


def test_a_database_that_is_not_there(postgresql):
    assert refusal(postgresql.url("nowhere")).endswith('FATAL: database "nowhere" does not exist')


@pytest.mark.parametrize(("of_before", "what"), [(False, "CREATE TABLE"), (True, "DELETE")])
def test_a_database_that_may_only_be_read(postgresql, url, of_before, what):
    if of_before:
        Store(url).close()
    with postgresql.connect("postgres") as admin:
        admin.execute(
            f"ALTER DATABASE {url.partition('@/')[2].partition('?')[0]} SET default_transaction_read_only = on"
        )
    assert refusal(url).endswith(f": cannot execute {what} in a read-only transaction")


def test_a_database_of_another_encoding(postgresql):
    with postgresql.connect("postgres") as admin:
        admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    why = "the database's encoding is LATIN1, and this cloud's texts need UTF8"
    assert refusal(postgresql.url("latin")).endswith(why)


def test_without_the_driver_the_extra_is_named():
    program = """
import sys
sys.modules["psycopg"] = None
from py_esp_ota.cloud.store import Store
try:
    Store("postgresql+psycopg://ann:hunter2@x/y")
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    sentence = "a database in PostgreSQL needs psycopg, which comes with an extra: pip install 'py_esp_ota[postgres]'\n"
    assert done.stdout == sentence, done.stderr


def test_who_asks_for_sqlite_does_not_load_the_driver():
    program = "import sys; from py_esp_ota.cloud.store import Store; Store(); print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.both_databases
def test_a_marked_test_is_in_the_database_that_it_says(request):
    with closing(new_store()) as store:
        assert store._engine.dialect.name == request.node.callspec.params["_database"]
