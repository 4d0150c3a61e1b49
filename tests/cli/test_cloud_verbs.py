"""``esp-ota cloud images|jobs|nodes``: what they ask a served cloud, print, and end with."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cloud_desk import ADMIN, PASSWORD, Desk, Odd, refused, run, said

from py_esp_ota.cli.cloud import watch
from py_esp_ota.cli.cloud.client import Cloud
from py_esp_ota.firmware import Firmware

pytestmark = pytest.mark.sockets
JSON = "application/json"
PAGE = (Path(__file__).parents[2] / "docs/reference/json.md").read_text()
SPEED = ("--interval", "0.1")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ESP_OTA_PASSWORD", PASSWORD)
    for version in ("1.1.0", "1.2.0"):
        Path(f"{version}.bin").write_bytes(Firmware("lamp", version).to_bytes())
    Path("text").write_text("no image")
    Path("list").write_text("[]")
    with Desk() as desk:
        assert run("login", "--url", desk.url, "--user", ADMIN).exit_code == 0
        yield desk


def started(*words):
    return said("jobs", "start", "--image", "1.1.0.bin", *words)["ota_job_id"]


def later(*deeds):
    """Do these one after the other, while a call watches."""

    def act():
        for deed in deeds:
            time.sleep(0.5)
            deed()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


# --------------------------------------------------------------------------------------------------------------- images


def test_images_from_the_first_to_the_last(desk):
    first, second = said("images", "upload", "1.1.0.bin", "1.2.0.bin")["images"]
    assert (first["image_name"], first["fw_version"], second["file"]) == ("lamp-1.1.0", "1.1.0", "1.2.0.bin")
    assert [each["image_name"] for each in said("images", "list")["images"]] == ["lamp-1.2.0", "lamp-1.1.0"]
    assert said("images", "show", first["ota_image_id"]) == said("images", "show", "lamp-1.1.0")
    assert said("images", "archive", "lamp-1.1.0")["archived"]
    assert [each["image_name"] for each in said("images", "list")["images"]] == ["lamp-1.2.0"]
    assert [each["image_name"] for each in said("images", "list", "--archived")["images"]] == ["lamp-1.1.0"]
    assert len(said("images", "list", "--all", "--name", "lamp")["images"]) == 2
    assert not said("images", "archive", "lamp-1.1.0", "--undo")["archived"]
    assert said("images", "delete", "lamp-1.1.0")["deleted"]
    assert len(said("images", "list", "--all")["images"]) == 1
    listed = run("images", "list").stdout.splitlines()
    assert listed[0].split() == ["ID", "NAME", "VERSION", "MODEL", "UPLOADED", "(UTC)"]
    assert re.fullmatch(r"\S+ +lamp-1.2.0 +1.2.0 +lamp +2026-01-01 00:00:00", listed[1])
    assert "file_size" in run("images", "show", "lamp-1.2.0").stdout


def test_what_is_no_image_is_found_before_anything_is_sent(desk):
    assert "text: " in refused("images", "upload", "1.1.0.bin", "text", code=2)
    assert said("images", "list") == {"images": []}
    assert "--name is for one file" in refused("images", "upload", "1.1.0.bin", "1.2.0.bin", "--name", "x", code=2)


def test_a_second_one_of_a_name_is_refused_and_the_first_ones_are_told(desk):
    said("images", "upload", "1.2.0.bin")
    error = said("images", "upload", "1.1.0.bin", "1.2.0.bin", code=1)["error"]
    assert error["error_code"] == 105003
    assert error["message"].startswith("1.2.0.bin: the cloud refused: ")
    assert [each["file"] for each in error["images"]] == ["1.1.0.bin"]


def test_an_image_of_a_job_stays(desk):
    desk.join("n1")
    started("--node", "n1")
    assert "(error 105004)" in refused("images", "delete", "lamp-1.1.0")
    assert "(error 105001)" in refused("images", "show", "nothing")


# ---------------------------------------------------------------------------------------------------------------- nodes


def test_nodes_are_sifted_by_model_and_version_without_their_type(desk):
    desk.join("n1")
    desk.join("n2", version="2.0.0", online=False)
    desk.join("n3", model="bulb", type="Switch")

    def ids(*words):
        return [node["node_id"] for node in said("nodes", "list", *words)["nodes"]]

    assert ids() == ["n1", "n2", "n3"]
    assert ids("--online") == ["n1", "n3"]
    assert ids("--offline") == ["n2"]
    assert ids("--model", "lamp") == ["n1", "n2"]
    assert ids("--version", "2.0.0") == ["n2"]
    assert ids("--type", "Switch", "--model", "bulb", "--version", "1.0.0") == ["n3"]
    assert run("nodes", "list").stdout.splitlines()[2].split() == [
        "n2",
        "Lamp",
        "Lightbulb",
        "lamp",
        "2.0.0",
        "offline",
    ]
    assert said("nodes", "show", "n2")["fw_version"] == "2.0.0"
    assert "registered (UTC)" in run("nodes", "show", "n2").stdout
    assert "the cloud refused" in refused("nodes", "show", "n9")


def test_a_list_of_many_pages(desk, monkeypatch):
    from py_esp_ota.cli.cloud import client

    monkeypatch.setattr(client, "_PAGE", 2)
    for number in range(5):
        desk.join(f"n{number}")
    assert len(said("nodes", "list")["nodes"]) == 5


# ----------------------------------------------------------------------------------------------------------------- jobs


def test_a_job_with_all_that_can_be_said(desk):
    desk.join("n1")
    words = ["--node", "n1", "--node", "n1", "--name", "night", "--description", "new", "--priority", "2"]
    words += [
        "--timeout",
        "2h",
        "--window",
        "22:30-4:05",
        "--validity",
        "2026-01-01/2037-01-02T00:00Z",
        "--user-approval",
    ]
    job = said("jobs", "status", started(*words))["job"]
    assert (job["ota_job_name"], job["description"], job["priority"], job["timeout"]) == ("night", "new", 2, 7200)
    assert (job["nodes"], job["groups"], job["user_approval"], job["force_push"]) == (["n1"], [], True, False)
    end = int(datetime(2037, 1, 2, tzinfo=UTC).timestamp())
    window = {"start": 1350, "end": 245}
    assert job["metadata"] == {"download_window": window, "validity": {"start": 1_767_225_600, "end": end}}


def test_a_plan_is_written_as_options_and_as_a_file(desk):
    for node_id in ("n1", "n2", "n3", "n4"):
        desk.join(node_id)
    Path("plan.json").write_text('{"phases": ["3", "rest"], "abort": {"failed": "2"}, "rate": 7}')
    words = [
        "--phase=1", "--phase=50%", "--phase=rest", "--gate=100%", "--hold=10m", "--gate-within=2h", "--confirm",
        "--abort-failed=2", "--abort-rolled-back=2%", "--abort-no-answer=3", "--abort-least=5", "--answer-within=5m",
        "--node-timeout=1h", "--rate=60", "--start-at=2037-01-01T00:00Z",
    ]  # fmt: skip
    job = desk.service.jobs.get(started("--all", "--continuous", "--notify", "--network-serialised", *words)).job
    plan = job.plan.to_json()
    assert plan == {
        "phases": ["1", "50%", "rest"],
        "gate": {"success": "100%", "hold": 600, "within": 7200, "confirm": True},
        "abort": {"failed": "2", "rolled_back": "2%", "no_answer": "3", "least": 5},
        "answer_within": 300,
        "node_timeout": 3600,
        "rate": 60,
        "start": 2_114_380_800,
    }
    assert (job.sizes, job.continuous, job.notify, job.network_serialised) == ((1, 2, 1), True, True, True)
    job = desk.service.jobs.get(started("--group=FFFF-FFFF", "--plan", "plan.json", "--rate", "9")).job
    assert (job.sizes, job.plan.rate, str(job.plan.abort.failed)) == ((3, 1), 9, "2")


def test_a_preview_sends_nothing_and_tells_what_would_be(desk):
    desk.join("n1")
    desk.join("n2", project_name="fan")
    desk.join("n3", online=False)
    assert "upload 1.1.0.bin" in refused("jobs", "preview", "--image", "1.1.0.bin", "--all")
    said("images", "upload", "1.1.0.bin")
    words = ("jobs", "preview", "--image", "1.1.0.bin", "--all", "--phase", "1", "--phase", "rest")
    done = run(*words)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "lamp-1.1.0: 3 nodes, 2 ready, 1 offline",
        "phases: 1, 2",
        "NODES  WHAT         REASON   FOR INSTANCE",
        "1      waits        offline  It is offline and asks for updates when it connects after its next boot",
        "1      will refuse  project  The image is of project lamp, the node runs fan",
    ]
    assert said(*words)["ready"] == 2
    assert run(*words, "--reason", "project").stdout.split() == ["n2"]
    assert said("jobs", "list") == {"jobs": []}
    assert "they take 1 of the job's 3 nodes" in refused(
        "jobs", "preview", "--image", "1.1.0.bin", "--all", "--phase", "1"
    )


def test_another_chip_is_not_started_by_accident(desk):
    desk.join("n1")
    Path("s3.bin").write_bytes(Firmware("lamp", "3.0.0", chip="esp32s3").to_bytes())
    words = ("--image", "s3.bin", "--all")
    assert "n1 (esp32c3)" in refused("jobs", "start", *words)
    done = run("jobs", "preview", *words)
    assert (done.exit_code, "it would be refused: the image is for esp32s3" in done.stdout) == (1, True)
    assert said("jobs", "start", *words, "--allow-wrong-chip")["ota_job_id"]


def test_a_job_for_every_node(desk):
    for node_id in ("n1", "n2"):
        desk.join(node_id)
    job_id = started("--all", "--validity", "7d")
    found = said("jobs", "status", job_id)
    assert [node["node_id"] for node in found["nodes"]] == ["n1", "n2"]
    left = found["job"]["metadata"]["validity"]["end"] - datetime.now(UTC).timestamp()
    assert 6.9 < left / 86_400 <= 7


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "which nodes?"),
        (("--node", "n", "--all"), "which nodes?"),
        (("--all", "--window", "24:00-1:00"), "is no HH:MM-HH:MM"),
        (("--all", "--window", "1-2"), "is no HH:MM-HH:MM"),
        (("--all", "--validity", "tomorrow/later"), "is neither a time like"),
        (("--all", "--validity", "2026-02-01/2026-01-01"), "ends before it begins"),
        (("--all", "--validity", "0"), "is no time like"),
        (("--all", "--validity", "2037-01-01/2038-02-01"), "a node knows no time after 2038-01-19"),
        (("--all", "--validity", "99999d"), "a node knows no time after 2038-01-19"),
        (("--all", "--timeout", "1w"), "is no time like"),
        (("--all", "--priority", "10"), "range"),
        (("--all", "--within", "1m"), "--within is for --wait"),
        (("--all", "--image", "gone.bin"), "gone.bin"),
        (("--group", "g", "--all"), "which nodes?"),
        (("--all", "--phase", "some"), "plan.phases: phase 1: 'some' is neither"),
        (("--all", "--gate", "200%"), "plan.gate.success: 200% is more than all"),
        (("--all", "--abort-failed", "0"), "plan.abort.failed: 0 would stop the job"),
        (("--all", "--abort-no-answer", "3"), "needs answer_within"),
        (("--all", "--start-at", "at-noon"), "is neither a time like"),
        (("--all", "--plan", "text"), "text is no plan in JSON"),
        (("--all", "--plan", "list"), "list is no plan: an object"),
        (("--all", "--plan", "gone"), "gone"),
    ],
)
def test_misuse_is_named_before_anything_is_sent(desk, words, why):
    assert why in refused("jobs", "start", "--image", "x", *words, code=2)


def test_a_file_that_is_there_already_is_taken_as_it_is_and_another_of_its_name_refused(desk):
    desk.join("n1")
    refused("jobs", "start", "--image", "1.1.0.bin", "--node", "n9")
    started("--node", "n1")
    started("--node", "n1")
    assert len(said("images", "list")["images"]) == 1
    Path("1.1.0.bin").write_bytes(Firmware("lamp", "1.1.0", size=0x20000).to_bytes())
    assert "(error 105003)" in refused("jobs", "start", "--image", "1.1.0.bin", "--node", "n1")


def test_the_clouds_own_sentence_when_it_takes_no_job(desk):
    assert "unknown nodes: n9 (error 100010)" in refused("jobs", "start", "--image", "1.1.0.bin", "--node", "n9")
    error = said("jobs", "status", "nothing", code=1)["error"]
    assert (error["error_code"], error["message"].startswith("nothing: the cloud refused: ")) == (106001, True)


def test_a_watched_job_that_ends_well_is_told_change_by_change(desk):
    desk.join("n1")
    desk.join("n2")
    job_id = started("--node", "n1", "--node", "n2")
    hand = later(
        lambda: desk.report("n1", job_id, "in-progress", "Downloading"),
        lambda: desk.report("n1", job_id, "success", "verified"),
        lambda: desk.report("n2", job_id, "success", "verified"),
    )
    done = run("jobs", "status", job_id, "--watch", *SPEED)
    hand.join()
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "n1: triggered",
        "n2: triggered",
        "n1: in-progress: Downloading",
        "n1: success: verified",
        "n2: success: verified",
        f"lamp-1.1.0 ({job_id}): completed, 2 of 2 updated",
    ]


def test_a_watched_job_that_a_node_did_not_take_ends_with_one_and_says_which_and_why(desk):
    for node_id in ("n1", "n2", "n3"):
        desk.join(node_id)
    job_id = started("--all")
    desk.report("n1", job_id, "success", "verified")
    desk.report("n3", job_id, "rejected", "Firmware rolled back")
    desk.report("n2", job_id, "rejected", "Firmware rolled back")
    done = run("jobs", "status", job_id, "--watch")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-2:] == [
        f"lamp-1.1.0 ({job_id}): completed, 1 of 3 updated, 2 failed or rejected",
        "n2, n3: rejected: Firmware rolled back",
    ]
    done = run("jobs", "status", job_id, "--watch", "--json")
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (1, False)
    assert done.stderr.splitlines()[-1] == "n2, n3: rejected: Firmware rolled back"
    assert run("jobs", "status", job_id).exit_code == 0  # it was only asked


def test_a_watch_that_ends_before_the_job(desk):
    desk.join("n1")
    done = run("jobs", "start", "--image", "1.1.0.bin", "--node", "n1", "--wait", "--within", "1s", *SPEED)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-2:] == ["the job has not ended within 1 s", "n1: triggered"]


def test_a_job_that_is_cancelled_while_it_is_watched(desk):
    desk.join("n1")
    job_id = started("--node", "n1")
    hand = later(lambda: said("jobs", "cancel", job_id))
    done = run("jobs", "status", job_id, "--watch", *SPEED)
    hand.join()
    assert (done.exit_code, done.stdout.splitlines()[-2:]) == (1, ["the job was cancelled", "n1: triggered"])
    assert said("jobs", "cancel", job_id, "--archive")["archived"]
    assert said("jobs", "list") == {"jobs": []}
    assert len(said("jobs", "list", "--all")["jobs"]) == len(said("jobs", "list", "--archived")["jobs"]) == 1


def test_a_list_of_jobs(desk):
    desk.join("n1")
    job_id = started("--node", "n1", "--name", "one")
    head, row = run("jobs", "list", "--name", "one").stdout.splitlines()
    assert head.split()[:5] == ["ID", "NODES", "UPDATED", "REJECTED", "FAILED"]
    assert row.split() == [job_id, "1", "0", "0", "0", "2026-01-01", "00:00:00", "triggered", "one"]


def test_exports(desk):
    desk.join("n1")
    job_id = started("--node", "n1")
    desk.report("n1", job_id, "rejected", "a, b; =1")
    rows = list(csv.DictReader(io.StringIO(run("jobs", "export", job_id, "--csv").stdout)))
    assert [(row["node_id"], row["status"], row["additional_info"]) for row in rows] == [("n1", "rejected", "a, b; =1")]
    assert rows[0]["time_utc"] == "2026-01-01T00:00:00.000+00:00"
    assert run("jobs", "export", job_id, "--json", "-o", "job.json").exit_code == 0
    assert json.loads(Path("job.json").read_text()) == said("jobs", "status", job_id)
    assert "as what?" in refused("jobs", "export", job_id, code=2)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_a_table_is_drawn_anew_and_ctrl_c_ends_it(desk):
    import pty

    desk.join("n1")
    desk.join("n2")
    job_id = started("--all")
    ours, theirs = pty.openpty()
    program = "from py_esp_ota.__main__ import main; main()"
    words = ["cloud", "jobs", "status", job_id, "--watch", *SPEED]
    process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"n2" not in shown:
        shown += os.read(ours, 4096)
    desk.report("n2", job_id, "rejected", "Firmware rolled back")
    while b"rolled back" not in shown:
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    os.close(ours)
    text = shown.decode()
    assert "\x1b[4F\x1b[J" in text  # headline, bar, two nodes
    after = text.partition("\x1b[4F\x1b[J")[2].splitlines()
    assert [line.split()[0] for line in after[2:4]] == ["n2", "n1"]  # worst first
    assert "Traceback" not in text


def test_a_watch_outlives_a_cloud_that_is_away_for_a_while(desk, monkeypatch):
    desk.join("n1")
    job_id = started("--node", "n1")
    first = watch.standing_of
    looks = []

    def shaky(cloud, job):
        looks.append(job)
        if len(looks) in {2, 3}:
            cloud = type("Away", (), {"ask": lambda *_, **__: _away()})()
        if len(looks) == 4:
            desk.report("n1", job_id, "success")
        return first(cloud, job)

    def _away():
        raise watch.Unreached("http://cloud: no cloud answers there")

    monkeypatch.setattr(watch, "standing_of", shaky)
    done = run("jobs", "status", job_id, "--watch", *SPEED)
    assert done.exit_code == 0, done.output
    assert done.stderr == "http://cloud: no cloud answers there; trying again\n"
    monkeypatch.setattr(watch, "_PATIENCE_S", -1)
    looks.clear()
    job_id = said("jobs", "start", "--image", "lamp-1.1.0", "--node", "n1")["ota_job_id"]
    assert refused("jobs", "status", job_id, "--watch", *SPEED, code=2) == "http://cloud: no cloud answers there"


def test_a_job_that_ends_while_it_is_asked_about_is_told_as_it_ended(desk, monkeypatch):
    desk.join("n1")
    job_id = started("--node", "n1")
    ask = Cloud.pages

    def late(cloud, *asked):
        desk.report("n1", job_id, "success", "verified")
        return ask(cloud, *asked)

    monkeypatch.setattr(Cloud, "pages", late)
    done = run("jobs", "status", job_id, "--watch")
    assert done.stdout.splitlines()[-1] == f"lamp-1.1.0 ({job_id}): completed, 1 of 1 updated"


# --------------------------------------------------------------------------------------------------------- other clouds


def answering(**bodies):
    """A cloud that answers these at the ends of its paths, and lets everybody in."""

    def answer(_method, path):
        if "login2" in path:
            return 200, JSON, b'{"accesstoken": "a", "refreshtoken": "r"}'
        last = path.partition("?")[0].rsplit("/", 1)[1]
        return 200, JSON, json.dumps(bodies.get(last, {})).encode()

    return answer


@pytest.fixture
def other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ESP_OTA_PASSWORD", "x")
    opened = []

    def at(**bodies):
        server = Odd(answering(**bodies)).__enter__()
        opened.append(server)
        assert run("login", "--url", server.url, "--user", "x").exit_code == 0

    yield at
    for server in opened:
        server.__exit__()


def test_a_resource_may_come_bare_and_numbers_as_text_as_rainmaker_has_them(other):
    nodes = [{"node_id": "n1", "status": "success", "timestamp": "1767225600000"}]
    other(otajob={"ota_job_id": "j", "ota_job_name": "a", "status": "Finished"}, status={"node_ota_status": nodes})
    done = run("jobs", "status", "j", "--watch")
    assert (done.exit_code, done.stdout) == (0, "n1: success\na (j): Finished, 1 of 1 updated\n")
    assert "2026-01-01 00:00:00" in run("jobs", "export", "j", "--csv").stdout


@pytest.mark.parametrize(
    "body",
    [{}, {"node_info": 1}, {"node_info": [1]}, {"node_info": None}, {"node_info": [], "next_id": "x"}],
    ids=str,
)
def test_lists_that_are_none_or_have_no_end(other, body):
    other(nodes=body)
    sentence = refused("nodes", "list", code=2)
    assert "RainMaker cloud" in sentence or "goes in a circle" in sentence


def test_values_of_any_kind_are_printed_and_command_no_terminal(other):
    node = {"node_id": "n\x1b[2J", "name": ["x"], "status": 7, "registration_timestamp": 1e300}
    other(nodes={"node_info": [node]})
    for words in (("list",), ("show", "n")):
        done = run("nodes", *words)
        assert done.exit_code == 0, done.output
        assert "\x1b" not in done.stdout


# ------------------------------------------------------------------------------------------------------------- on paper


def test_the_page_says_every_key_of_ours(desk):
    desk.join("n1")
    uploaded = said("images", "upload", "1.2.0.bin")
    job_id = started("--node", "n1")
    printed = {
        "login": said("login"),
        "images upload": uploaded,
        "images list": said("images", "list"),
        "images archive": said("images", "archive", "lamp-1.2.0"),
        "images delete": said("images", "delete", "lamp-1.2.0"),
        "jobs start": said("jobs", "start", "--image", "lamp-1.1.0", "--node", "n1"),
        "jobs preview": said("jobs", "preview", "--image", "lamp-1.1.0", "--node", "n1", "--reason", "ready"),
        "jobs list": said("jobs", "list"),
        "jobs status": said("jobs", "status", job_id),
        "nodes list": said("nodes", "list"),
        "logout": said("logout"),
    }
    section = PAGE.partition("## `esp-ota cloud login")[2].partition("\n## ")[0]
    keys = {key for value in printed.values() for key in value} | set(uploaded["images"][0])
    assert keys <= set(re.findall(r'"(\w+)"', section))


def test_a_sheet_is_the_cloud_s_own_and_holds_no_formula(desk):
    desk.join("n1")
    job_id = started("--node", "n1")
    desk.report("n1", job_id, "in-progress", "=cmd|' /C calc'!A0")
    sheet = run("jobs", "export", job_id, "--csv").stdout_bytes
    (row,) = csv.DictReader(io.StringIO(sheet.decode(), newline=""))
    assert row["additional_info"] == "'=cmd|' /C calc'!A0"
    assert (row["phase"], row["closed"], row["failed_cycles"]) == ("1", "False", "0")
    assert sheet.count(b"\r\n") == 2
    assert "no job with this" in refused("jobs", "export", "nowhere", "--csv")


def test_of_a_cloud_that_exports_nothing_the_sheet_is_made_here(other):
    nodes = [{"node_id": "n1", "status": "failed", "timestamp": 1, "additional_info": "@SUM(A1)"}]
    other(otajob={"ota_job_id": "j", "ota_job_name": "a", "status": "x"}, status={"node_ota_status": nodes})
    assert run("jobs", "export", "j", "--csv").stdout_bytes.endswith(b",'@SUM(A1)\r\n")
