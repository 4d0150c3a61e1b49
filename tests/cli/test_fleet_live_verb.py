"""``esp-ota fleet`` over sockets: against ``esp-ota serve`` on loopback, and what it refuses before the first boot."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest
from click.testing import CliRunner
from node_process import serving
from ready import Process

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.mosquitto import find_mosquitto
from py_esp_ota.cli import main

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="Mosquitto is not installed")

FILE = """
devices = 6
[job]
version = "1.1.0"
name = "the job"
[[kind]]
name = "lamp"
share = 2
weather = { self_test_fails = 0.25 }
[[kind]]
name = "plug"
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "fleet.toml").write_text(FILE)
    return tmp_path


def ran(*words, timeout=90):
    process = Process("fleet", "fleet.toml", *words)
    output = process.communicate(timeout=timeout)[0]
    return process.returncode, output


def read(output):
    """What it says beside its JSON, and that."""
    start, end = output.index("{\n"), output.index("\n}\n") + 2
    return output[:start] + output[end:], json.loads(output[start:end])


def called(*words):
    done = CliRunner().invoke(main, ["fleet", "fleet.toml", *map(str, words)])
    assert isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.stderr.strip().splitlines()[-1].removeprefix("Error: ")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("serve") / "data") as it:
        yield it


@needs_mosquitto
@pytest.mark.sockets
def test_a_fleet_lives_against_serve_and_its_cloud_knows_the_same_of_each(room, cloud):
    code, output = ran("--serve", cloud.data, "--json", "--resume")
    said, result = read(output)
    assert code == 1
    assert (result["whole"], result["updated"], result["missed"], result["of"]) == (True, 5, 1, 6)
    assert said.startswith("TLS: 6 full handshakes, ")  # each comes back after its update
    (job,) = cloud.call("GET", "admin/otajob")["ota_jobs"]
    assert job["ota_job_name"] == "the job"
    for member in result["members"]:
        known = cloud.status(job["ota_job_id"], member["node_id"])
        assert known == (member["status"], member["additional_info"])
    (unfit,) = [member for member in result["members"] if member["status"] != "success"]
    assert unfit["replay"] == f"esp-ota fleet fleet.toml --alone {unfit['node_id']}"


@needs_mosquitto
@pytest.mark.sockets
def test_registered_nodes_of_any_broker_wait_for_a_job_and_ctrl_c_ends_it_with_a_report(room, cloud):
    ca = LocalCa(cloud.data)
    (room / "nodes" / "deep").mkdir(parents=True)
    for node_id, end in (("reg-b", ".pem"), ("deep/reg-a", ".crt")):
        files = ca.node(node_id.rpartition("/")[2])
        shutil.copy(files.cert, room / "nodes" / f"{node_id}{end}")
        shutil.copy(files.key, room / "nodes" / f"{node_id}.key")
    for name in ("ca", "server", "cloud"):  # nobody of whom is a node
        for end in (".pem", ".key"):
            shutil.copy(cloud.data / f"{name}{end}", room / "nodes")
    broker = f"mqtts://localhost:{cloud.ports['mqtt_port']}"
    words = ("--broker", broker, "--nodes", "nodes", "--ca", cloud.data / "ca.pem")
    assert called(*words) == (
        2,
        "nodes has certificates of 2 nodes, and the fleet 6 devices: --devices 2",
    )
    process = Process("fleet", "fleet.toml", *words, "--devices", "2", "--json")
    deadline = time.monotonic() + 30
    while {node for node in cloud.online() if node.startswith("reg-")} != {"reg-a", "reg-b"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    said, result = read(output)
    assert process.returncode == 130
    assert (result["whole"], result["waiting"], result["counts"]) == (False, 2, [{"status": "triggered", "devices": 2}])
    assert [member["node_id"] for member in result["members"]] == ["reg-a", "reg-b"]
    assert [member["replay"].split()[-1] for member in result["members"]] == ["lamp-000001", "plug-000001"]
    assert "It was interrupted: 2 of 2 devices are in this report" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--serve x --broker y", "--serve says what --broker says: leave one of them out"),
        ("--serve x --ca y", "--serve says what --ca says: leave one of them out"),
        ("--nodes x", "--nodes is for --broker"),
        ("--cloud x", "--cloud is for --broker"),
        ("--resume", "--resume is for a fleet over sockets: --serve DIR or --broker URL"),
        ("--within 10m", "--within is for a fleet over sockets: --serve DIR or --broker URL"),
        ("--broker x --no-job --cloud y", "--cloud is for starting the job, and --no-job starts none"),
        ("--broker x --alone y", "--alone plays one device in virtual time: leave --serve and --broker out"),
        ("--serve x", "no esp-ota serve serves from x: start one, esp-ota serve --data x"),
        ("--broker http://x", "Invalid value for --broker: 'http://x' is no mqtts://HOST[:PORT] or mqtt://HOST[:PORT]"),
        (
            "--broker mqtts://x:99999",
            "Invalid value for --broker: 'mqtts://x:99999' is no URL: Port out of range 0-65535",
        ),
        ("--broker x", "a broker with TLS knows devices by their certificates: --nodes DIR"),
        ("--broker x --nodes y", "y is no folder"),
        ("--broker x --nodes .", ". has no certificate of a node with its key beside it, as NODE.pem and NODE.key"),
        ("--broker mqtt://x --nodes .", "--nodes has certificates, which a broker without TLS cannot ask for"),
        ("--broker x --nodes . --ca y", "y: No such file or directory"),
        (
            "--broker x --nodes . --cloud nobody",
            "nobody has logged in: esp-ota cloud login --profile nobody --url https://HOST --user NAME",
        ),
        (
            "--broker x --nodes . --cloud https://cloud.test",
            "nobody has logged in there: esp-ota cloud login --url https://cloud.test --user NAME",
        ),
    ],
)
def test_what_does_not_go_together_or_is_not_there_is_one_sentence(room, words, sentence):
    code, said = called(*words.split())
    assert (code, said) == (2, sentence)


def test_credentials_are_looked_at_before_anything_boots(room, ca_of_room):
    one, other = ca_of_room.node("n1"), ca_of_room.node("n2")
    nodes = room / "nodes"
    nodes.mkdir()

    def refused():
        return called("--broker", "x", "--nodes", "nodes", "--devices", 1)[1]

    shutil.copy(one.cert, nodes / "a.pem")
    shutil.copy(other.key, nodes / "a.key")
    assert refused() == "nodes/a.pem, nodes/a.key: the key is not that of the certificate"
    shutil.copy(one.key, nodes / "a.key")
    shutil.copy(one.cert, nodes / "b.pem")
    shutil.copy(one.key, nodes / "b.key")
    assert refused() == "nodes/a.pem and nodes/b.pem are both certificates of node n1"
    (nodes / "b.pem").write_text("none")
    assert refused().startswith("nodes/b.pem: the certificate is none in PEM")


@pytest.fixture(scope="module")
def ca_of_room(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


def test_more_devices_than_open_files_or_memory_are_told_before_anything_is_made(room, monkeypatch):
    monkeypatch.setattr("py_esp_ota.adapters.open_files.open_files", lambda: 400)
    monkeypatch.setattr("py_esp_ota.adapters.open_files.raise_open_files", lambda _wanted: None)
    code, said = called("--serve", "x", "--devices", 5000)
    assert code == 2
    assert said == (
        "5,000 devices need 5,000 connections, and this process may open 400 files: "
        "--devices 128, or a higher limit (ulimit -n 10256)"
    )
    monkeypatch.setattr("py_esp_ota.adapters.room.free_memory", lambda: 1 << 30)
    code, said = called("--serve", "x", "--devices", 5000)
    assert code == 2
    assert said == (
        "5,000 whole devices need 1.8 GiB of memory, 384 KiB each, and 1.0 GiB are free: "
        "--devices 2730, or play them in virtual time"
    )


JOBS = """
[[job]]
version = "2"
name = "plugs"
chip = "esp32"
[[job]]
version = "2"
name = "lamps"
force_push = false
priority = 2
timeout = 600
plan = { phases = ["10", "rest"] }
"""


class _Asked:
    """A cloud that says yes to everything, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def pages(self, _path, _key, _query):
        return iter(())

    def ask(self, method, path, query=None, *, body=None):
        self.asked.append((method, path, query, body))
        return {"ota_image_id": "i1", "group_id": "g1", "ota_job_id": "j1"}


def test_a_job_names_its_nodes_and_where_they_are_more_than_it_may_name_they_are_a_group():
    from py_esp_ota.cli.fleet_job import Button
    from py_esp_ota.fleet import read_fleet

    text = FILE.replace("devices = 6", "devices = 360").replace('[job]\nversion = "1.1.0"\nname = "the job"', JOBS)
    fleet = read_fleet(text.replace('name = "plug"', 'name = "plug"\nchip = "esp32"'))
    cloud, members = _Asked(), fleet.population.members()
    button = Button(cloud, fleet.jobs, members)
    assert [path for method, path, _, _ in cloud.asked if method == "POST"] == ["admin/otaimage"] * 2
    cloud.asked.clear()
    button.press()
    lamps, plugs = ([one.node_id for one in members if one.kind.name == name] for name in ("lamp", "plug"))
    assert (len(lamps), len(plugs)) == (240, 120)
    assert cloud.asked == [
        ("POST", "admin/node_group", None, {"group_name": "fleet: plugs", "nodes": plugs[:100]}),
        ("PUT", "admin/node_group", {"group_id": "g1"}, {"operation": "add", "nodes": plugs[100:]}),
        ("POST", "admin/otajob", {"force_push": "true"}, cloud.asked[2][3]),
        ("POST", "admin/node_group", None, {"group_name": "fleet: lamps", "nodes": lamps[:100]}),
        ("PUT", "admin/node_group", {"group_id": "g1"}, {"operation": "add", "nodes": lamps[100:200]}),
        ("PUT", "admin/node_group", {"group_id": "g1"}, {"operation": "add", "nodes": lamps[200:]}),
        ("POST", "admin/otajob", {}, cloud.asked[6][3]),
    ]
    first, second = cloud.asked[2][3], cloud.asked[6][3]
    assert (first["ota_job_name"], first["ota_image_id"], first["groups"]) == ("plugs", "i1", ["g1"])
    assert "plan" not in first
    assert (second["priority"], second["timeout"], second["plan"]["phases"]) == (2, 600, ["10", "rest"])

    few = Button(cloud, fleet.jobs[:1], [one for one in members if one.node_id in plugs[:100]])
    cloud.asked.clear()
    few.press()
    ((_, _, _, body),) = cloud.asked
    assert (body["nodes"], "groups" in body) == (plugs[:100], False)
