"""``esp-ota cloud audit|webhooks`` and ``jobs archive|unarchive|delete``: what they ask, print, and end with."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from cloud_desk import refused, run, said
from test_cloud_verbs import desk

from py_esp_ota.cloud.calls import Calls
from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware
from py_esp_ota.virtual_nodes.dump import look_at

__all__ = ["desk"]

pytestmark = pytest.mark.sockets

IMAGE = Firmware("lamp", "1.1.0").to_bytes()


def test_a_webhook_from_the_first_to_the_last(desk):
    made = run("webhooks", "add", "http://127.0.0.1:9/hook", "--kind", "job_*").stdout.split()
    assert (made[0], made[2], len(made[3])) == ("webhook", "secret", 64)
    (shown,) = said("webhooks", "list")["webhooks"]
    assert (shown["webhook_id"], shown["kinds"], shown["active"]) == (made[1], ["job_*"], True)
    assert run("webhooks", "list").stdout.splitlines()[1].split() == [made[1], "job_*", "on", "http://127.0.0.1:9/hook"]
    assert run("webhooks", "resume", made[1]).stdout == f"webhook {made[1]} is tried again\n"
    assert run("webhooks", "remove", made[1]).stdout == f"webhook {made[1]} is removed\n"
    assert said("webhooks", "list")["webhooks"] == []


def test_the_log_is_told_newest_first(desk):
    said("webhooks", "add", "http://127.0.0.1:9/hook")
    kinds = [event["kind"] for event in said("audit", "--last", "2")["events"]]
    assert kinds[0] == "webhook_created"
    assert len(kinds) == 2
    head, line = run("audit", "--kind", "webhook_created").stdout.splitlines()
    assert head.split() == ["TIME", "WHO", "WHAT", "ABOUT"]
    assert "webhook_created" in line
    assert said("audit", "--node", "nobody")["events"] == []


def test_a_job_is_put_away_brought_back_and_deleted(desk):
    desk.act(desk.service.intake.on_presence, "n9", True)
    image = desk.act(desk.service.images.find).items
    image_id = image[0].ota_image_id if image else desk.act(desk.service.images.add, "x", IMAGE).ota_image_id
    job = desk.act(lambda: desk.service.jobs.create("j", image_id, nodes=["n9"])).job.ota_job_id
    assert "cancel it first" in refused("jobs", "delete", job, code=1)
    assert run("jobs", "cancel", job).exit_code == 0
    assert run("jobs", "archive", job).stdout == f"job {job} is archived\n"
    assert run("jobs", "unarchive", job).stdout == f"job {job} is back from the archive\n"
    assert run("jobs", "delete", job).stdout == "1 job is deleted\n"
    assert "there is no job" in refused("jobs", "delete", job, code=1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["webhooks", "add", "ftp://x"], "http:// or https://"),
        (["webhooks", "add", "http://x", "--kind", "nonsense"], "no event is a"),
        (["webhooks", "remove", "x"], "there is no webhook"),
        (["audit", "--kind", "nonsense"], "kind"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(desk, words, sentence):
    assert desk.url
    assert sentence in refused(*words, code=1)


class Post:
    """A receiver that says one thing."""

    def __init__(self, status):
        self.status = status

    async def __call__(self, _url, _headers, _body):
        return self.status


@pytest.mark.parametrize(
    ("status", "code", "words"), [(204, 0, "took it: HTTP 204"), (500, 1, "did not take it: HTTP 500")]
)
def test_a_webhook_is_tried(desk, status, code, words):
    webhook = run("webhooks", "add", "http://127.0.0.1:9/hook", "--kind", "job_*").stdout.split()[1]
    calls = desk.act(
        lambda: asyncio.ensure_future(Calls(desk.service.webhooks, desk.service.ground, Post(status)).make())
    )
    done = run("webhooks", "test", webhook)
    assert (done.exit_code, done.stdout) == (code, f"webhook {webhook} {words}\n")
    answer = said("webhooks", "test", webhook, code=code)
    assert answer == {"webhook_id": webhook, "arrived": code == 0, "answer": f"HTTP {status}"}
    desk.act(calls.cancel)
    run("webhooks", "remove", webhook)
    assert "there is no webhook" in refused("webhooks", "test", webhook)


def test_a_webhook_to_which_nothing_is_brought_is_waited_for_and_no_longer(desk):
    webhook = run("webhooks", "add", "http://127.0.0.1:9/hook").stdout.split()[1]
    assert "has not had it within 1 s" in refused("webhooks", "test", webhook, "--within", "1")


def test_a_board_is_noted_by_its_flash_and_by_what_its_fuses_say(desk, tmp_path):
    desk.act(desk.service.intake.on_presence, "board1", True)
    desk.app.state.virtual_nodes = SimpleNamespace(look_at=look_at)
    device = Device("two_ota", firmware=Firmware("lamp", "1.0.0", chip="esp32c3").to_bytes())
    device.power_on()
    flash = device.flash.to_bytes()
    (tmp_path / "dump.bin").write_bytes(flash)
    told = run("nodes", "note-board", "board1", tmp_path / "dump.bin", "--secure-version", "3").stdout
    assert told.startswith("noted of the board of board1:\n")
    rows = [["chip", "esp32c3"], ["flash", "size", str(len(flash))], ["secure", "version", "3"], ["runs", "factory"]]
    assert [line.split() for line in told.splitlines()[1:]] == rows
    facts = said("nodes", "note-board", "board1", "--rollback", "--chip-revision", "301")["facts"]
    assert (facts["rollback"], facts["secure_version"], facts["chip_revision"], facts["chip"]) == (
        True,
        3,
        301,
        "esp32c3",
    )
    assert "what is there to note?" in refused("nodes", "note-board", "board1", code=2)
    assert "no such file" in refused("nodes", "note-board", "board1", tmp_path / "none.bin", code=2).lower()
    (tmp_path / "text.bin").write_text("no flash")
    assert "the dump tells neither" in refused("nodes", "note-board", "board1", tmp_path / "text.bin")
    assert "the cloud refused" in refused("nodes", "note-board", "nobody", "--rollback")
