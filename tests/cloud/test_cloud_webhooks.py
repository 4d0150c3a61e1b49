"""Webhooks: at least once, in order, signed; whoever does not answer holds up nobody."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cloud_bench import Bench, expect, failure, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cloud_events import restart

from py_esp_ota.adapters.http_post import HttpPost
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.cloud.calls import Calls
from py_esp_ota.cloud.events import Actor, By, Event, Kind
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.sentences import sentence, who
from py_esp_ota.cloud.webhooks import AT_ONCE, PATIENCE_MS, Letter, pause_after, signature, url_problem
from py_esp_ota.errors import FetchError

URL = "http://127.0.0.1:9/hook"


class Receiver:
    """Takes letters as it is told to."""

    def __init__(self, *answers: FetchError | float) -> None:
        self.answers = list(answers)
        self.letters: list[tuple[str, dict[str, str], bytes]] = []
        self.calls = 0

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = 200
        if isinstance(answer, FetchError):
            raise answer
        self.letters.append((url, headers, body))
        return answer

    def numbers(self) -> list[int]:
        return [event["number"] for _, _, body in self.letters for event in json.loads(body)["events"]]


def run(bench: Bench, receiver: Receiver, seconds: float = 10.0) -> None:
    """Let letters be brought for a while; the bench's own clock goes along."""

    async def life() -> None:
        calls = asyncio.create_task(Calls(bench.service.webhooks, bench.service.ground, receiver).make())
        for _ in range(int(seconds)):
            await asyncio.sleep(1)
            bench.clock.time += 1
        calls.cancel()
        with suppress(asyncio.CancelledError):
            await calls

    run_virtual(life())


def test_what_happens_is_told_in_order_and_signed(bench):
    hook = bench.service.webhooks.add(URL, ["job_*", "reported"])
    bench.join("n1")
    job = bench.job("n1")
    bench.fetch("n1")
    bench.report("n1", job, "success", "done")
    receiver = Receiver()
    run(bench, receiver)
    events = [event for _, _, body in receiver.letters for event in json.loads(body)["events"]]
    assert [event["kind"] for event in events] == ["job_created", "reported"]
    assert events[1]["data"]["additional_info"] == "done"
    url, headers, body = receiver.letters[0]
    assert (url, json.loads(body)["webhook_id"]) == (URL, hook.webhook_id)
    moment, mac = (part.partition("=")[2] for part in headers["x-esp-ota-signature"].split(","))
    assert mac == hmac.new(hook.secret.encode(), f"{moment}.".encode() + body, "sha256").hexdigest()
    assert headers["x-esp-ota-delivery"] == f"{hook.webhook_id}-{events[0]['number']}-{events[-1]['number']}"
    (shown,) = bench.service.webhooks.all()
    assert (shown.waiting, shown.tries, shown.last_answer) == (0, 0, "HTTP 200")


@pytest.mark.parametrize(
    "trouble", [500, 301, 404, FetchError("connect", "refused"), FetchError("timeout", "no answer")]
)
def test_what_did_not_arrive_comes_again(bench, trouble):
    bench.service.webhooks.add(URL)
    bench.join("n1")
    receiver = Receiver(trouble, trouble)
    run(bench, receiver)
    arrived = [json.loads(body)["events"][0]["kind"] for _, _, body in receiver.letters]
    assert arrived[-1] == "node_joined"
    assert bench.service.webhooks.all()[0].tries == 0
    assert receiver.calls == 3, "twice in vain, then it arrived"


def test_one_that_hangs_holds_up_nobody(bench):
    slow, quick = bench.service.webhooks.add(URL), bench.service.webhooks.add(f"{URL}2")

    class OneHangs(Receiver):
        async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
            if url == URL:
                await asyncio.sleep(100_000)
            return await super().__call__(url, headers, body)

    bench.join("n1")
    run(bench, OneHangs())
    waiting = {hook.webhook_id: hook.waiting for hook in bench.service.webhooks.all()}
    assert waiting[quick.webhook_id] == 0
    assert waiting[slow.webhook_id] > 0


def test_one_call_at_a_time_however_long_it_takes(bench):
    bench.service.webhooks.add(URL, ["node_joined"])
    bench.join("n1")
    under_way = most = 0

    class Counts(Receiver):
        async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(5)
            under_way -= 1
            return await super().__call__(url, headers, body)

    receiver = Counts()
    run(bench, receiver, 20)
    assert (most, len(receiver.letters)) == (1, 1)


def test_a_day_in_vain_is_enough_and_it_may_be_tried_again(bench):
    hook = bench.service.webhooks.add(URL, ["node_joined"])
    bench.join("n1")
    tries = 0
    while bench.service.webhooks.all()[0].active:
        (letter,) = bench.service.webhooks.due()
        bench.service.webhooks.in_vain(letter, "HTTP 500")
        bench.clock.time = bench.service.webhooks.all()[0].next_try / 1000
        tries += 1
    assert 20 < tries < 60
    assert sum(pause_after(number) for number in range(tries)) >= PATIENCE_MS
    assert bench.service.webhooks.due() == []
    bench.service.webhooks.resume(hook.webhook_id)
    receiver = Receiver()
    run(bench, receiver)
    assert len(receiver.letters) == 1


def test_a_thousand_events_are_letters_of_a_hundred(bench):
    bench.service.webhooks.add(URL, ["node_joined"])
    bench.join(*(f"n{number:03}" for number in range(250)))
    receiver = Receiver()
    run(bench, receiver)
    assert [len(json.loads(body)["events"]) for _, _, body in receiver.letters] == [AT_ONCE, AT_ONCE, 50]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["join", "arrived", "lost", "vain", "wait", "restart"]), max_size=30))
def test_nothing_is_lost_however_the_cloud_ends(steps):
    """``lost`` is a letter that arrived, and the cloud ended before it noted that."""
    bench = Bench()
    bench.service.webhooks.add(URL, ["node_joined"])
    told: list[int] = []
    joined = 0

    def letter() -> Letter | None:
        found = bench.service.webhooks.due()
        return found[0] if found else None

    for step in [*steps, "wait", "arrived"]:
        if step == "join":
            bench.join(f"n{joined}")
            joined += 1
        elif step == "wait":
            bench.clock.time += 7200
        elif step == "restart":
            restart(bench)
        elif found := letter():
            if step != "vain":
                told += [entry.number for entry in found.events]
            if step == "arrived":
                bench.service.webhooks.arrived(found, "HTTP 200")
            elif step == "vain":
                bench.service.webhooks.in_vain(found, "HTTP 500")
            else:
                restart(bench)
    assert len(set(told)) == joined, "each event at least once"
    firsts = list(dict.fromkeys(told))
    assert firsts == sorted(firsts)
    bench.store.close()


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://host/", "http://", "http://a:b@host/", "http://host:0/", "http://host:99999/", "http://h/ x", "http://h/#x",
     "http://h\u00e4/", "file:///etc/passwd", "http://[::1/"],
)  # fmt: skip
def test_urls_that_are_refused(bench, url):
    assert url_problem(url)
    with refused(Refusal.WEBHOOK_REFUSED):
        bench.service.webhooks.add(url)
    assert bench.service.webhooks.all() == []


def test_over_rest(bench):
    made = bench.ok("POST", "/v1/local/webhooks", json={"url": URL, "kinds": ["job_aborted"]})
    assert len(made["secret"]) == 64
    (shown,) = bench.ok("GET", "/v1/local/webhooks")["webhooks"]
    assert (shown["webhook_id"], shown["kinds"], "secret" in shown) == (made["webhook_id"], ["job_aborted"], False)
    assert made["secret"] not in json.dumps(bench.ok("GET", "/v1/admin/events"))
    bench.ok("POST", f"/v1/local/webhooks/resume?webhook_id={made['webhook_id']}")
    bench.ok("DELETE", f"/v1/local/webhooks?webhook_id={made['webhook_id']}")
    assert bench.ok("GET", "/v1/local/webhooks")["webhooks"] == []
    for method, path in (("DELETE", "webhooks?webhook_id=x"), ("POST", "webhooks/resume?webhook_id=x")):
        assert failure(bench.call(method, f"/v1/local/{path}")) == expect(Refusal.WEBHOOK_UNKNOWN)
    nonsense = {"url": URL, "kinds": ["nonsense"]}
    assert failure(bench.call("POST", "/v1/local/webhooks", json=nonsense)) == expect(Refusal.WEBHOOK_REFUSED)


@pytest.mark.sockets
@pytest.mark.parametrize("behaviour", ["good", "endless", "closed", "garbage", "redirect"])
def test_over_sockets(behaviour):
    answers = {
        "good": b"HTTP/1.1 204 No Content\r\n\r\n",
        "endless": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 100_000,
        "closed": b"",
        "garbage": b"\0\1\2 what?\r\n\r\n",
        "redirect": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[behaviour])
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async def call() -> int | str:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                return await HttpPost()(f"http://127.0.0.1:{port}/", {"x": "y"}, b"{}")
            except FetchError as error:
                return error.kind

    expected = {"good": 204, "endless": 200, "closed": "connect", "garbage": "connect", "redirect": 302}
    assert asyncio.run(call()) == expected[behaviour]


def test_the_signature_is_that_of_the_secret():
    assert signature("s", 1, b"{}") == hmac.new(b"s", b"1.{}", "sha256").hexdigest()


@pytest.mark.parametrize("kind", Kind)
def test_every_event_is_a_sentence(kind):
    data = {"phase": 0, "released": 3, "status": "failed", "targets": ["n1"], "why": "so", "url": URL}
    event = Event(kind=kind, time=1, by=By(Actor.ADMIN, "ann"), node_id="n1", ota_job_id="j", data=data)
    assert sentence(event)[0].isupper() or sentence(event).startswith("ann")
    assert "{" not in sentence(event)
    assert who(event) == "admin ann"


@pytest.mark.sockets
def test_who_answers_drop_by_drop_has_ten_seconds_in_all(monkeypatch):
    monkeypatch.setattr("py_esp_ota.adapters.http_post.TIMEOUT_S", 0.5)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            for letter in "HTTP/1.1 200 OK\r\n" + "x" * 200:
                writer.write(letter.encode())
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    async def call() -> None:
        async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
            await HttpPost()(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}, b"{}")

    with pytest.raises(FetchError, match="no answer within"):
        asyncio.run(call())


@pytest.mark.sockets
def test_the_receiver_of_the_howto_believes_what_is_signed_and_nothing_else(tmp_path, bench):
    page = (Path(__file__).parents[2] / "docs/howto/tell-others-what-happens.md").read_text()
    (tmp_path / "receiver.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    hook = bench.service.webhooks.add(URL, ["node_joined"])
    (tmp_path / "secret").write_text(hook.secret)
    bench.join("n1")
    (letter,) = bench.service.webhooks.due()
    body = letter.body()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "receiver.py", str(port), "secret"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as receiver:

        async def send(document: bytes) -> int:
            while True:
                try:
                    return await HttpPost()(f"http://127.0.0.1:{port}/", letter.headers(body, 5), document)
                except FetchError:
                    await asyncio.sleep(0.05)

        try:
            assert asyncio.run(send(body)) == 204
            assert asyncio.run(send(body.replace(b"n1", b"n2"))) == 401
            assert receiver.stdout is not None
            assert receiver.stdout.readline().split()[1] == "node_joined"
        finally:
            receiver.kill()
        assert receiver.stdout.read() == "", "what is not signed is not believed"
