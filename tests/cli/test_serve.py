"""``esp-ota serve`` as a new user starts it: a process, its page, its API, Ctrl-C; and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner
from ready import Process

from py_esp_ota.cli import main
from py_esp_ota.cli.serving import in_a_thread
from py_esp_ota.cloud.accounts import scrypt
from py_esp_ota.world import ADMIN

pytestmark = pytest.mark.sockets
MOSQUITTO = shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="Mosquitto is not installed")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def command(data, ports, *words):
    program = "from py_esp_ota.__main__ import main; main()"
    port, https_port, mqtt_port = map(str, ports)
    options = ["--data", str(data), "--port", port, "--https-port", https_port, "--mqtt-port", mqtt_port]
    return [sys.executable, "-c", program, "serve", *options, *words]


@contextmanager
def serving(data, ports, *words):
    _python, _c, _program, *arguments = command(data, ports, *words)
    process = Process(*arguments)
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            line = process.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refused(data, ports, *words):
    # In this process: a second of imports is most of what a program would do before it says no.
    _python, _c, _program, *arguments = command(data, ports, *words)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    return done.stderr


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_page_api_and_a_simulated_device_until_ctrl_c(tmp_path, broker):
    if broker == "mosquitto" and not MOSQUITTO:
        pytest.skip("Mosquitto is not installed")
    ports = free_ports(3)
    with serving(tmp_path / "data", ports, "--broker", broker, "--devices", "1") as (process, said):
        assert broker in said
        password_file = tmp_path / "data" / "admin-password"
        assert password_file.stat().st_mode & 0o777 == 0o600
        login = {"user_name": ADMIN, "password": password_file.read_text().strip()}
        with httpx2.Client(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False) as client:
            assert "Firmware Images" in client.get("/images").text
            token = client.post("/v1/login2", json=login).json()["accesstoken"]
            deadline = time.monotonic() + 20
            nodes = []
            while not nodes and time.monotonic() < deadline:
                query = {"node_status": "online"}
                nodes = client.get("/v1/admin/nodes", params=query, headers={"Authorization": token}).json()["nodes"]
            assert nodes == ["node000001"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stdout.read() == "stopping\n"


def page_and_banner(data, ports, *words):
    """What a stranger gets for the page, and what the banner says of it."""
    with serving(data, ports, "--broker", "embedded", *words) as (_, said):
        line = next(line for line in said.splitlines() if line.startswith("web page"))
        with httpx2.Client(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False) as client:
            return client.get("/images").status_code, line.removeprefix("web page").strip()


def test_the_banner_says_who_is_admin_on_the_page(tmp_path):
    ports = free_ports(3)
    url = f"http://127.0.0.1:{ports[0]}"
    status, line = page_and_banner(tmp_path / "data", ports)
    assert (status, line) == (
        200,
        f"{url}   (no login: every user of this machine is admin; --login, --one-time-link, --no-web)",
    )
    assert page_and_banner(tmp_path / "data", ports, "--no-web") == (403, "none (--no-web)")
    assert "--no-web leaves no page" in refused(tmp_path / "data", ports, "--no-web", "--one-time-link")


def test_the_one_time_link_lets_one_browser_in(tmp_path):
    ports = free_ports(3)
    with serving(tmp_path / "data", ports, "--broker", "embedded", "--one-time-link") as (_, said):
        link = re.search(r"http://\S+/enter\?token=[0-9a-f]{64}", said)[0]
        for status in (200, 403):
            with httpx2.Client(trust_env=False, follow_redirects=True) as client:
                assert client.get(link).status_code == status


def names_shown(port, trust):
    """What the server at 127.0.0.2 proves to be."""
    plain = socket.create_connection(("127.0.0.2", port), timeout=10)
    with plain, trust.wrap_socket(plain, server_hostname="127.0.0.2") as line:
        return {name for _kind, name in line.getpeercert()["subjectAltName"]}


def test_with_names_the_certificates_are_for_them_and_are_made_anew(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    words = ("--broker", "embedded", "--listen", "127.0.0.2", "--login")
    shown, authorities = [], []
    for name in ("Cloud.test", "other.test"):
        with serving(data, ports, *words, "--name", name, "--name", "second.test") as (_, said):
            assert f"downloads       https://{name.lower()}:{ports[1]}\n" in said
            assert f"on port {ports[2]} of loopback alone, for it has no TLS\n" in said
            trust = ssl.create_default_context(cafile=data / "ca.pem")
            shown.append(names_shown(ports[1], trust))
            authorities.append((data / "ca.pem").read_bytes())
            with httpx2.Client(base_url=f"https://127.0.0.2:{ports[1]}", verify=trust, trust_env=False) as client:
                for host, status in {name: 200, "second.test": 200, "127.0.0.2": 200, "third.test": 403}.items():
                    assert client.get("/apiversions", headers={"Host": host}).status_code == status
            told = json.loads((data / "serve.json").read_text())
            assert (told["address"], told["mqtt_host"], told["tls"]) == ("127.0.0.2", "127.0.0.1", False)
            assert (data / "serve.json").stat().st_mode & 0o777 == 0o600
    loopback = {"localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", "127.0.0.2", "second.test"}
    assert shown == [loopback | {"cloud.test"}, loopback | {"other.test"}]
    assert authorities[0] == authorities[1]
    assert "--name: 'a b' is neither a host name" in refused(data, ports, "--name", "a b")


def test_elsewhere_than_on_127_0_0_1_the_certificate_says_so_and_the_page_has_a_login(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "embedded", "--listen", "127.0.0.2", "--login") as (_, said):
        url = f"https://127.0.0.2:{ports[1]}"
        assert f"web page        {url} and http://127.0.0.1:{ports[0]}   (login as for the REST API)\n" in said
        trust = ssl.create_default_context(cafile=data / "ca.pem")
        browser = {"Accept": "text/html"}
        with httpx2.Client(base_url=url, verify=trust, trust_env=False, headers=browser) as client:
            assert client.get("/images").headers["location"] == "/login?next=/images"
            form = {"user_name": ADMIN, "password": (data / "admin-password").read_text().strip()}
            assert client.post("/login", data=form, headers={"Origin": url}).status_code == 303
            assert client.get("/images").status_code == 200
        with httpx2.Client(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, headers=browser) as client:
            assert client.get("/images").status_code == 303


def test_an_address_that_this_machine_does_not_have_is_named(tmp_path):
    said = refused(tmp_path / "data", free_ports(3), "--broker", "embedded", "--listen", "192.0.2.1")
    assert "--listen: 192.0.2.1 is no address of this machine" in said


def test_logins_survive_a_restart(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    url, tokens = f"http://127.0.0.1:{ports[0]}", {}
    for start in range(3):
        with serving(data, ports, "--broker", "embedded"), httpx2.Client(base_url=url, trust_env=False) as client:
            if not tokens:
                login = {"user_name": ADMIN, "password": (data / "admin-password").read_text().strip()}
                tokens = client.post("/v1/login2", json=login).json()
            me = client.get("/v1/user", headers={"Authorization": tokens["accesstoken"]})
            renewed = client.post("/v1/login2", json={"refreshtoken": tokens["refreshtoken"]})
            alive = 401 if start == 2 else 200
            assert (me.status_code, renewed.status_code) == (alive, alive)
        if start == 1:
            (data / "admin-password").write_text("another password\n")


def test_everything_it_keeps_is_private(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "embedded"):
        modes = {file.name: file.stat().st_mode & 0o777 for file in data.rglob("*") if file.is_file()}
    public = {name for name, mode in modes.items() if mode & 0o077}
    assert {name for name in public if not name.endswith(".pem")} <= {".gitignore"}
    assert {"cloud.db", "cloud.db-wal", "cloud.db-shm", "admin-password", "ca.key"} <= modes.keys() - public
    assert data.stat().st_mode & 0o777 == 0o700


def test_an_empty_password_file_is_refused(tmp_path):
    (tmp_path / "admin-password").write_text("")
    assert "admin-password is empty" in refused(tmp_path, free_ports(3), "--broker", "embedded")


def test_the_loop_goes_on_while_a_password_is_hashed():
    async def story():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticker = asyncio.create_task(tick())
        derive = in_a_thread()
        keys = await asyncio.gather(*(derive("a long secret", b"salt" * 4, 2**16) for _ in range(3)))
        ticker.cancel()
        return ticks, keys

    ticks, keys = asyncio.run(story())
    assert ticks >= 10
    assert keys == [scrypt("a long secret", b"salt" * 4, 2**16)] * 3


def test_what_it_cannot_use_is_said_in_one_sentence(tmp_path):
    ports = free_ports(3)
    file = tmp_path / "file"
    file.write_text("")
    assert "File exists" in refused(file, ports)

    noise = tmp_path / "noise.bin"
    noise.write_bytes(b"no image at all")
    assert "ESP_ERR_IMAGE_INVALID: image header at 0x0" in refused(tmp_path / "x", ports, "--firmware", str(noise))
    assert "99999" in refused(tmp_path / "x", [99999, *ports[1:]])
    assert not (tmp_path / "x").exists()

    spoiled = tmp_path / "spoiled"
    spoiled.mkdir()
    (spoiled / "cloud.db").write_text("no database at all, and long enough to be read as one")
    assert "cloud.db: file is not a database" in refused(spoiled, ports, "--broker", "embedded")


def listener_elsewhere():
    """Another program that listens, and says on which port."""
    text = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    return subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("broker", ["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def test_a_port_that_is_taken_is_named_with_its_holder_and_the_option(tmp_path, broker):
    with listener_elsewhere() as other:
        busy = int(other.stdout.readline())
        name = Path(f"/proc/{other.pid}/comm")
        who = f" by {name.read_text().strip()} (process {other.pid})" if name.exists() else ""
        for place, option in enumerate(("--port", "--https-port", "--mqtt-port")):
            ports = free_ports(3)
            ports[place] = busy
            said = refused(tmp_path / "data", ports, "--broker", broker)
            assert said.splitlines()[-1] == f"Error: port {busy} is taken{who}: give {option} another number"
        other.stdin.close()


def test_one_port_for_two_is_refused_before_anything_is_made(tmp_path):
    assert "--port and --mqtt-port are both 8123" in refused(tmp_path / "data", [8123, 8124, 8123])
    assert not (tmp_path / "data").exists()


def test_two_servers_do_not_share_a_folder(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "embedded") as (process, _said):
        before = {file.name: file.stat().st_mtime_ns for file in data.iterdir()}
        second = command(data, free_ports(3), "--broker", "embedded")
        done = subprocess.run(second, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        assert re.fullmatch(
            rf"Error: {data} is in use by another esp-ota serve \(process {process.pid}, {since}, "
            rf"http://127\.0\.0\.1:{ports[0]}\): end that one, or give this one another --data\n",
            done.stderr,
        )
        assert {file.name: file.stat().st_mtime_ns for file in data.iterdir()} == before
        process.kill()  # whoever held it, and however it ended
        process.wait()
        with serving(data, ports, "--broker", "embedded"):
            pass
