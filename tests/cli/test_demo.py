"""The demo on the user's own images, in the lab and over real sockets, and when it must not say yes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from demo_report import check_demo

from py_esp_ota.cli import main
from py_esp_ota.cli.demo import story
from py_esp_ota.firmware import Firmware, patched

OLD = Firmware("lamp", "1.0.0").to_bytes()
MOSQUITTO = shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()


@pytest.fixture
def images(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    big = Firmware("lamp", "1.0.0", size=150_000).to_bytes()
    return write, [write("old.bin", big), write("new.bin", patched(big, version="1.1.0"))]


def run(*words):
    return CliRunner().invoke(main, ["demo", *words])


def test_own_images_in_the_lab(images):
    check_demo(run("--json", *images[1]), "lab")


@pytest.mark.sockets
@pytest.mark.timeout(400)  # real reboots wait 10 s, and there are four
@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_own_images_over_real_sockets(images, broker):
    if broker == "mosquitto" and not MOSQUITTO:
        pytest.skip("Mosquitto is not installed")
    report = check_demo(run("--json", "--sockets", "--broker", broker, *images[1]), "sockets")
    assert report["broker"].startswith(broker)


def test_a_chapter_that_ends_otherwise_fails_the_demo(images, monkeypatch):
    async def lazy(_stage):
        """Nothing happens in this chapter."""

    chapters = list(story.CHAPTERS)
    chapters[1] = story.Chapter("update", "", lazy, chapters[1].expected)
    monkeypatch.setattr("py_esp_ota.cli.demo.telling.CHAPTERS", tuple(chapters[:2]))
    result = run("--json", *images[1])
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert [chapter["ok"] for chapter in report["chapters"]] == [True, False]
    assert report["ok"] is False


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (OLD, OLD, "both version '1.0.0'"),
        (OLD, Firmware("toaster", "2").to_bytes(), "is project 'lamp'"),
        (OLD, Firmware("lamp", "2", chip="esp32s3").to_bytes(), "is for esp32s3"),
        (OLD, OLD[:-1], "ESP_"),
        (b"no image at all", OLD, "ESP_ERR_IMAGE_INVALID"),
    ],
    ids=["same version", "other project", "other chip", "cut short", "noise"],
)
def test_images_that_cannot_play_are_refused_in_one_sentence(images, old, new, words):
    write, _ = images
    result = run(write("a.bin", old), write("b.bin", new))
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1
