"""``esp-ota teach``: which story, which stories beside it, and what does not go together."""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import partial

import pytest
from click.testing import CliRunner

from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.view.teach import LESSONS, Limits


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, version in (("old.bin", "1.0.0"), ("new.bin", "1.1.0")):
        (tmp_path / name).write_bytes(Firmware("lamp", version).to_bytes())
    (tmp_path / "boot.bin").write_bytes(bootloader())
    (tmp_path / "boot32.bin").write_bytes(bootloader(chip="esp32"))
    return tmp_path


@pytest.fixture
def shallow(monkeypatch):
    """Pages in which nothing is cut twice: how deep they go is tried elsewhere."""
    monkeypatch.setattr("py_esp_ota.cli.teach.Limits", partial(Limits, depth=1))
    monkeypatch.setattr("py_esp_ota.view.teach.page._BESIDE", Limits(depth=1))


def teach(*words):
    return CliRunner().invoke(main, ["teach", *" ".join(words).split()])


def stories(folder):
    """What is in a page, story by story."""
    text = re.search(r'id="data">([^<]*)<', (folder / "page.html").read_text())[1]
    return json.loads(zlib.decompress(base64.b64decode(text)))["stories"]


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(
    ("line", "first"), [("", "first-ota"), ("old.bin new.bin --story confirm --lessons", "confirm")]
)
def test_the_stories_of_the_lessons_stand_beside_the_first(folder, line, first):
    done = teach(line, "-o page.html --json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["story"] == first
    assert [story["story"] for story in stories(folder)] == [first, *(name for name in LESSONS if name != first)]


@pytest.mark.usefixtures("shallow")
def test_a_page_of_ones_own_images_has_one_story(folder):
    assert teach("old.bin new.bin -o page.html").exit_code == 0
    assert [story["story"] for story in stories(folder)] == ["first-ota"]


@pytest.mark.usefixtures("shallow")
def test_a_project_s_own_update_is_a_page_too(folder):
    done = teach("--profile wled --replay cut@1 -o page.html")
    assert done.exit_code == 0, done.output
    (story,) = stories(folder)
    assert story["story"] == "wled-update"
    assert story["command"] == "esp-ota sweep --profile wled"
    assert re.search(r"page\.html#v=1&story=wled-update&images=\w+-\w+&replay=cut@1\n", done.output)


def test_the_bootloader_is_in_the_flash(folder):
    assert teach("old.bin new.bin --story reject --bootloader boot.bin -o page.html").exit_code == 0
    (story,) = stories(folder)
    assert story["command"] == "esp-ota sweep old.bin new.bin --story reject --bootloader boot.bin"
    assert story["base"][0][0] == 0  # where a bootloader of this chip stands
    assert teach("old.bin new.bin --story reject -o page.html").exit_code == 0
    assert stories(folder)[0]["base"][0][0] == 0x8000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("old.bin -o page.html", "name both OLD and NEW, or none of them"),
        ("--profile wled --story reject -o page.html", "--profile has a story of its own"),
        ("--bootloader boot.bin -o page.html", "go with OLD and NEW"),
        ("old.bin new.bin --bootloader old.bin -o page.html", "old.bin is no bootloader image"),
        ("old.bin new.bin --bootloader boot32.bin -o page.html", "boot32.bin is for esp32, the apps are for esp32c3"),
        ("old.bin new.bin --replay cut@99999 -o page.html", "there is no cut@99999"),
        ("old.bin old.bin -o page.html", "are the same image"),
    ],
)
def test_what_does_not_go_together_is_a_sentence(folder, line, said):
    done = teach(line)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert not (folder / "page.html").exists()


def test_a_sweep_of_a_project_leads_to_its_page(folder, monkeypatch):
    monkeypatch.setattr("py_esp_ota.cli.sweep.teach_page", lambda story, *_, command, **__: command(story))
    words = "sweep --profile wled --cut 1 --html report.html --teach page.html"
    assert CliRunner().invoke(main, words.split()).exit_code in {0, 1}
    assert (folder / "page.html").read_text() == "esp-ota sweep --profile wled"
    told = re.search(r'id="data">([^<]*)<', (folder / "report.html").read_text())[1]
    assert json.loads(told)["teach"].startswith("page.html#v=1&story=wled-update&images=")
