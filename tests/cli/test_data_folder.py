"""Where ``esp-ota serve`` keeps its secrets: nobody else reads them, no repository takes them, none is half there."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from py_esp_ota.cli.data_folder import open_folder
from py_esp_ota.cloud.store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _generous():
    """The umask of somebody who shares everything."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_folder_is_its_owners_and_no_repositorys(tmp_path):
    folder = tmp_path / "a" / ".esp-ota"
    password = open_folder(folder)
    assert len(password) >= 16
    assert mode(folder) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert {file.name: mode(file) for file in folder.iterdir() if file.name != ".gitignore"} == {
        "admin-password": 0o600,
        "cloud.db": 0o600,
    }
    assert open_folder(folder) == password


def test_the_log_of_the_database_is_as_private(tmp_path):
    open_folder(tmp_path / "x")
    with Store(f"sqlite:///{tmp_path / 'x' / 'cloud.db'}") as store:
        store.setting("a", lambda: "b")
        files = list((tmp_path / "x").glob("cloud.db*"))
        assert len(files) == 3
        assert {mode(file) for file in files} == {0o600}


def test_an_earlier_start_that_was_open_is_closed(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir(0o755)
    (folder / "admin-password").write_text("a long secret\n")
    log = sqlite3.connect(folder / "cloud.db")
    log.execute("PRAGMA journal_mode=WAL")
    log.execute("CREATE TABLE t(x)")
    assert mode(folder / "cloud.db-wal") == 0o644 or mode(folder / "cloud.db-wal") == 0o666
    assert open_folder(folder) == "a long secret"
    assert mode(folder) == 0o700
    assert {mode(file) for file in folder.iterdir() if file.name != ".gitignore"} == {0o600}
    log.close()


def test_a_folder_of_somebody_else_keeps_its_mode_and_is_not_hidden_from_git(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "main.c").write_text("")
    open_folder(tmp_path)
    assert mode(tmp_path) == 0o755
    assert not (tmp_path / ".gitignore").exists()
    assert mode(tmp_path / "cloud.db") == mode(tmp_path / "admin-password") == 0o600


def test_a_gitignore_of_ones_own_stays(tmp_path):
    (tmp_path / "cloud.db").touch()
    (tmp_path / ".gitignore").write_text("*.key\n")
    open_folder(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "*.key\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty: there is no admin without a password"),
        (b" \n", "is empty: there is no admin without a password"),
        (b"short\n", "a password has 8 to 256 characters"),
        (b"x" * 257, "a password has 8 to 256 characters"),
        (b"\xff\xfe\xfd", "is no text"),
    ],
)
def test_a_password_that_is_none_is_refused_with_what_to_do(tmp_path, content, problem):
    (tmp_path / "admin-password").write_bytes(content)
    with pytest.raises(ValueError, match=problem) as caught:
        open_folder(tmp_path)
    assert str(tmp_path / "admin-password") in str(caught.value)
    assert "delete it" in str(caught.value)
    assert (tmp_path / "admin-password").read_bytes() == content


def test_a_start_that_dies_while_it_writes_leaves_no_password_and_no_rest(tmp_path, monkeypatch):
    def dies(_handle):
        assert not (tmp_path / "admin-password").exists()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dies)
        with pytest.raises(OSError, match="No space left"):
            open_folder(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} <= {".gitignore"}
    assert open_folder(tmp_path)
