"""``kill -9`` of ``esp-ota serve`` between what happened and its telling: it is told after the restart."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from soak_admins import Admin
from soak_server import Server, free_port

from py_esp_ota.adapters.mosquitto import find_mosquitto
from py_esp_ota.firmware import Firmware

PATIENCE_S = 60.0

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(300),
]


class Receiver:
    """Reads letters; while it is ``deaf`` it never answers."""

    def __init__(self):
        self.letters = []  # (delivery, numbers of its events, whether it was answered)
        self.deaf = threading.Event()
        self.over = threading.Event()

    @contextmanager
    def listening(self, port):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                deaf = receiver.deaf.is_set()
                numbers = [event["number"] for event in body["events"]]
                receiver.letters.append((self.headers["X-Esp-Ota-Delivery"], numbers, not deaf))
                if deaf:
                    receiver.over.wait(PATIENCE_S)
                    return
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_words):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        self.over.set()
        server.shutdown()
        server.server_close()


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def test_what_nobody_was_told_when_it_was_killed_is_told_after_the_restart(tmp_path):
    receiver, port = Receiver(), free_port()
    with Server(tmp_path / "data") as server:
        server.start()
        server.wait()
        admin = Admin(server)
        hook = {"url": f"http://127.0.0.1:{port}/told", "kinds": ["image_*"]}
        admin.json("POST", "local/webhooks", json=hook)
        admin.upload("one", Firmware("lamp", "1.0.0").to_bytes())  # nobody listens there yet
        server.kill()
        admin.client.close()
        receiver.deaf.set()
        with receiver.listening(port):
            server.start()
            server.wait()
            admin = Admin(server)
            until(lambda: receiver.letters)  # it has the letter, and the server does not know
            admin.upload("two", Firmware("lamp", "2.0.0").to_bytes())
            server.kill()
            admin.client.close()
            receiver.deaf.clear()
            server.start()
            server.wait()
            admin = Admin(server)
            events = admin.json("GET", "admin/events", params={"kind": "image_uploaded"})["events"]
            expected = sorted(event["number"] for event in events)
            told = lambda: [number for _, numbers, answered in receiver.letters if answered for number in numbers]  # noqa: E731
            until(lambda: told() == expected)
            assert len(expected) == 2
            assert receiver.letters[0][1] == expected[:1], "it came before, and came again: at least once"
            until(lambda: admin.json("GET", "local/webhooks")["webhooks"][0]["tries"] == 0)
        assert server.said() == []
        admin.client.close()
