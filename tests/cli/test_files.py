"""What becomes of a file that a verb writes."""

from __future__ import annotations

import os
import stat

import pytest

from py_esp_ota.cli.files import Unusable, write_output


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        write_output(tmp_path / "new.bin", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new.bin") == 0o640


def test_an_old_file_keeps_its_mode(tmp_path):
    (tmp_path / "old.bin").write_bytes(b"x")
    (tmp_path / "old.bin").chmod(0o604)
    write_output(tmp_path / "old.bin", b"y")
    assert (mode(tmp_path / "old.bin"), (tmp_path / "old.bin").read_bytes()) == (0o604, b"y")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(Unusable, match="No such file"):
        write_output(tmp_path / "nowhere" / "new.bin", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unusable, match="folder"):
        write_output(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
