"""``esp-ota demo --step``: what was written where, and why, in the lessons' words; it waits where somebody is."""

from __future__ import annotations

import re
import sys

import pexpect
import pytest
from click.testing import CliRunner
from demo_report import check_demo

from py_esp_ota import Flash, PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.cli.demo.step import SECTIONS, explained, written
from py_esp_ota.cli.demo.story import CHAPTERS
from py_esp_ota.firmware import Firmware


@pytest.fixture
def images(tmp_path):
    names = [tmp_path / "old.bin", tmp_path / "new.bin"]
    for name, version in zip(names, ("1.0.0", "1.1.0"), strict=True):
        name.write_bytes(Firmware("lamp", version, size=150_000).to_bytes())
    return [str(name) for name in names]


def test_each_chapter_is_explained_in_words_of_a_lesson():
    assert list(SECTIONS) == [chapter.name for chapter in CHAPTERS]
    for chapter in CHAPTERS:
        assert all(heading and len(text) > 100 for heading, text in explained(chapter.name))


def test_what_was_written_is_told_by_partition():
    flash, table = Flash(), PartitionTable.builtin("two_ota")
    flash.record(True)
    flash.erase(0xD000, 0x2000)
    flash.program(0xD000, bytes(32))
    flash.program(0x8000, b"\0")
    assert written(flash.journal(), table) == [
        "the sector at 0x8000: 0 sectors erased, 1 page programmed",
        "otadata at 0xd000: 2 sectors erased, 1 page programmed",
    ]
    assert written([], table) == ["nothing"]


def test_without_a_terminal_all_of_it_is_printed(images):
    result = CliRunner().invoke(main, ["demo", "--step", *images])
    assert result.exit_code == 0
    assert result.output.count("What was written where") == len(CHAPTERS)
    assert "otadata at 0xf000: 3 sectors erased, 3 pages programmed" in result.output
    assert "A trial (lesson 5. The life of a slot)" in result.output
    assert "Enter goes on" not in result.output
    assert "What was written where" not in CliRunner().invoke(main, ["demo", *images]).output


def test_for_a_machine_nothing_changes(images):
    check_demo(CliRunner().invoke(main, ["demo", "--step", "--json", *images]), "lab")


def test_a_real_broker_does_not_wait(images):
    result = CliRunner().invoke(main, ["demo", "--step", "--sockets", *images])
    assert result.exit_code == 2
    assert "--step goes without --sockets" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
def test_enter_goes_on_and_ctrl_c_ends_it(images):
    shown = pexpect.spawn(sys.executable, ["-m", "py_esp_ota", "demo", "--step", *images], encoding="utf-8", timeout=60)
    shown.expect_exact("Enter goes on, Ctrl-C ends it.")
    assert re.search(r"1\. .*boot", shown.before)
    shown.sendline("")
    shown.expect_exact("Enter goes on, Ctrl-C ends it.")
    assert "A trial" in shown.before
    shown.sendintr()
    shown.expect(pexpect.EOF)
    shown.close()
    assert shown.exitstatus == 130
    assert "Traceback" not in shown.before
