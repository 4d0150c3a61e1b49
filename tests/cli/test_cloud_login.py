"""``esp-ota cloud login`` and ``logout``: profiles, tokens that are renewed, and clouds that are none."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from cloud_desk import ADMIN, PASSWORD, Desk, Odd, refused, run, said

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.cli.endpoints import Endpoints
from py_esp_ota.world import ADMIN as SERVES_ADMIN

pytestmark = pytest.mark.sockets
JSON = "application/json"


@pytest.fixture(scope="module")
def desk():
    with Desk() as desk:
        yield desk


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ESP_OTA_PASSWORD", PASSWORD)
    monkeypatch.delenv("ESP_OTA_PROFILE", raising=False)
    return tmp_path


def kept(name="default"):
    return Path("config/esp-ota/profiles") / f"{name}.json"


def log_in(url, *words):
    done = run("login", "--url", url, "--user", ADMIN, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_login_is_kept_for_its_owner_alone_and_ended(desk):
    assert log_in(f"{desk.url}/v1/") == f"profile default: {ADMIN} at {desk.url}\n"
    assert kept().stat().st_mode & 0o777 == 0o600
    assert kept().parent.stat().st_mode & 0o777 == 0o700
    assert PASSWORD not in kept().read_text()
    assert said("nodes", "list") == {"nodes": []}
    tokens = kept().read_text()
    assert said("logout") == {"profile": "default", "told": True}
    assert not kept().exists()
    assert "esp-ota cloud login --profile default" in refused("nodes", "list", code=2)
    kept().write_text(tokens)  # the cloud has forgotten the login, too
    assert "the login of profile default has ended" in refused("nodes", "list")


def test_an_open_file_of_a_profile_is_closed_and_the_rest_of_it_stays(desk):
    log_in(desk.url)
    kept().chmod(0o644)
    assert said("login") == {"profile": "default", "url": desk.url, "user": ADMIN}
    assert kept().stat().st_mode & 0o777 == 0o600


def test_profiles_are_apart_and_completed(desk, monkeypatch):
    from click.shell_completion import BashComplete

    from py_esp_ota.cli import main

    log_in(desk.url, "--profile", "lab")
    assert "--profile default" in refused("jobs", "list", code=2)
    monkeypatch.setenv("ESP_OTA_PROFILE", "lab")
    assert said("jobs", "list") == {"jobs": []}
    found = BashComplete(main, {}, "esp-ota", "X").get_completions(["cloud", "jobs", "list", "--profile"], "l")
    assert [item.value for item in found] == ["lab"]
    assert "no name of a profile" in refused("logout", "--profile", "../x", code=2)


def test_an_access_token_that_has_run_out_is_renewed_and_kept(desk):
    log_in(desk.url)
    before = json.loads(kept().read_text())
    desk.clock.time += 2 * 3600
    assert said("nodes", "list") == {"nodes": []}
    after = json.loads(kept().read_text())
    assert before["accesstoken"] != after["accesstoken"]
    assert before["refreshtoken"] == after["refreshtoken"]


def test_a_login_that_is_over_says_how_to_get_a_new_one(desk):
    log_in(desk.url)
    desk.clock.time += 400 * 24 * 3600
    object_ = said("images", "list", code=1)["error"]
    assert object_["message"].startswith(
        "the login of profile default has ended: esp-ota cloud login --profile default"
    )
    assert object_["error_code"] == 101016


def test_the_cloud_says_why_it_lets_nobody_in(desk, monkeypatch):
    monkeypatch.setenv("ESP_OTA_PASSWORD", "another secret")
    error = said("login", "--url", desk.url, "--user", ADMIN, code=1)["error"]
    assert (error["error_code"], error["exit_code"]) == (101009, 1)
    assert error["message"].startswith("the cloud refused: ")
    assert not kept().exists()


def test_without_a_password_and_nobody_to_ask_it_is_misuse(desk, monkeypatch):
    monkeypatch.delenv("ESP_OTA_PASSWORD")
    sentence = refused("login", "--url", desk.url, "--user", ADMIN, code=2)
    assert sentence == f"there is nobody to ask for the password of {ADMIN}: put it into ESP_OTA_PASSWORD"


def test_the_folder_of_a_server_says_it_all(home):
    def answer(_method, path):
        body = {"status": "success", "accesstoken": "a", "refreshtoken": "r"} if "login2" in path else {}
        return 200, JSON, json.dumps(body).encode()

    data = home / "data"
    data.mkdir()
    (data / "admin-password").write_text("secret\n")
    with Odd(answer) as server:
        Endpoints(server.url, "https://x", "127.0.0.1", "x", 1, tls=True, basic_ingest=True).write(data)
        assert said("login", "--data", data) == {"profile": "default", "url": server.url, "user": SERVES_ADMIN}
        assert "leave --url" in refused("login", "--data", data, "--url", server.url, code=2)
    assert "no esp-ota serve serves from" in refused("login", "--data", home / "other", code=2)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://cloud.lan", "a password does not go over plain HTTP"),
        ("ftp://cloud.lan", "is no URL of a cloud"),
        ("cloud.lan", "is no URL of a cloud"),
        ("https://", "is no URL of a cloud"),
        ("https://[::1", "is no URL"),
        ("https://x:99999", "is no URL"),
        ("https://me:pw@cloud.lan", "and no more"),
        ("https://a\nb", "is no URL"),
    ],
)
def test_what_is_no_url_of_a_cloud(url, why):
    sentence = refused("login", "--url", url, "--user", "x", code=2)
    assert why in sentence
    assert "\n" not in sentence


def test_a_server_that_is_away():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert refused("login", "--url", url, "--user", "x", code=2).startswith(f"{url}: no cloud answers there: ")


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        ((200, "text/html", b"<html>Welcome</html>"), 2, "login2 answers text/html, no JSON object"),
        ((502, "text/html", b"<html>Bad gateway</html>"), 2, "answers 502 with text/html, and does not say why"),
        (
            (500, JSON, b'{"status":"failure","error_code":100500,"description":"a mistake"}'),
            1,
            "a mistake (error 100500)",
        ),
        ((403, JSON, b'{"message":"Missing Authentication Token"}'), 1, "Missing Authentication Token (HTTP 403)"),
        ((400, JSON, b'{"error_code":"E7","description":"no\\u001b[2J"}'), 1, "no\\x1b[2J (error E7)"),
        ((302, "text/html", b""), 2, "answers 302"),
        ((200, JSON, b"[" * 100_000), 2, "no JSON object"),
        ((200, JSON, b"[]"), 2, "no JSON object"),
        ((200, JSON, b"\xff\xfe"), 2, "no JSON object"),
        ((200, JSON, b"{}"), 2, "answers a login without tokens"),
        ((200, JSON, b'{"accesstoken": 1, "refreshtoken": "r"}'), 2, "answers a login without tokens"),
        ((200, JSON, b'{"session": "s"}'), 2, "second factor"),
        ((200, JSON, b" " * (33 << 20)), 2, "answers more than 33554432 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_cloud(answer, code, why):
    with Odd(lambda _method, _path: answer) as server:
        assert why in refused("login", "--url", server.url, "--user", "x", code=code)
    assert not kept().exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"user": "x"}', '{"url": "http://127.0.0.1:1", "user": "x", "more": "y"}', "[" * 5000]
)
def test_a_file_that_is_no_profile(text):
    kept().parent.mkdir(parents=True)
    kept().write_text(text)
    assert "default.json" in refused("nodes", "list", code=2)


def test_a_ca_that_is_none_and_one_that_vouches_for_another(home):
    LocalCa(home / "ca")
    Path("noise").write_text("no PEM")
    assert "has no CA certificate" in refused(
        "login", "--url", "https://localhost:1", "--user", "x", "--ca", "noise", code=2
    )
    assert "gone" in refused("login", "--url", "https://localhost:1", "--user", "x", "--ca", "gone", code=2)


def test_https_is_for_who_trusts_the_ca(home):
    import asyncio

    from py_esp_ota.adapters.http import serve

    async def app(scope, _receive, send):
        assert scope["type"] == "http"
        body = b'{"accesstoken": "a", "refreshtoken": "r"}'
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    (home / "ca").mkdir()
    (home / "other").mkdir()
    ca, other = LocalCa(home / "ca"), LocalCa(home / "other")
    cert = ca.server()

    async def life():
        async with serve(app, certfile=cert.cert, keyfile=cert.key, name="localhost") as url:
            words = ("login", "--url", url, "--user", "x")
            good = await asyncio.to_thread(run, *words, "--ca", "ca/ca.pem")
            bad = await asyncio.to_thread(run, *words, "--ca", "other/ca.pem")
            system = await asyncio.to_thread(run, *words, "--profile", "new")
            return good, bad, system

    good, bad, system = asyncio.run(life())
    assert good.exit_code == 0, good.output
    assert bad.exit_code == system.exit_code == 2
    assert "its certificate is not vouched for by" in bad.stderr
    assert str(other.ca_file.absolute()) in bad.stderr
    assert "the system's CAs" in system.stderr
