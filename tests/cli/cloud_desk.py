"""A cloud at a port of loopback, in a thread of its own, for the verbs that ask it; nodes say what a test lets them."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from click.testing import CliRunner

from py_esp_ota.adapters.http import serve
from py_esp_ota.cli import main
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import NodeConfig, OtaStatusReport, topic

ADMIN = "admin@example.com"
PASSWORD = "a long secret"


def run(*words, typed=None):
    """One call of ``esp-ota cloud``; never a traceback."""
    done = CliRunner().invoke(main, ["cloud", *map(str, words)], input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def said(*words, code=0):
    """The JSON of a call that ends with ``code``."""
    done = run(*words, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def refused(*words, code=1):
    """The sentence of a call that is refused."""
    done = run(*words)
    assert done.exit_code == code, done.output
    return done.stderr.splitlines()[-1].removeprefix("Error: ")


class Clock:
    """Time as the test says."""

    time = 1_767_225_600.0

    def now(self):
        return self.time


class Desk:
    """The cloud of a test."""

    def __init__(self):
        self.clock = Clock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.url = self.wait(self._open())
        return self

    def __exit__(self, *_raised):
        self.wait(self._server.__aexit__(None, None, None))
        self.wait(self._closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, life):
        return asyncio.run_coroutine_threadsafe(life, self._loop).result(30)

    def act(self, deed, *words, **options):
        """Call something of the cloud's where it lives."""

        async def acted():
            return deed(*words, **options)

        return self.wait(acted())

    async def _open(self):
        numbers = random.Random(7)
        token_hex = lambda size: numbers.randbytes(size).hex()  # noqa: E731
        self.store = Store()
        self.accounts = Accounts(self.store, clock=self.clock, token_hex=token_hex, deliver=lambda *_: None, scrypt_n=2)
        self.service = CloudService(self.store, clock=self.clock, public_url="http://cloud.lab", token_hex=token_hex)
        await self.accounts.ensure_admin(ADMIN, PASSWORD)
        self.app = create_app(self.service, self.accounts, mqtt_host="broker.lab")
        self._server = serve(self.app)
        return await self._server.__aenter__()

    async def _closed(self):
        self.store.close()

    def join(self, node_id, *, version="1.0.0", online=True, **info):
        """A node connects, introduces itself, and stays or goes."""
        words = {"name": "Lamp", "type": "Lightbulb", "model": "lamp", "project_name": "lamp", **info}
        config = NodeConfig(node_id=node_id, fw_version=version, platform="esp32c3", **words)
        self.act(self.service.intake.on_presence, node_id, True)
        self._hear(node_id, "config", config.encode())
        self.act(self.service.intake.on_presence, node_id, online)
        self.act(self.service.intake.take, [])

    def report(self, node_id, job_id, status, info=""):
        """A node reports on a job."""
        report = OtaStatusReport(ota_job_id=job_id, status=status, additional_info=info, ts=5)
        self._hear(node_id, "otastatus", report.encode())

    def _hear(self, node_id, suffix, payload):
        self.act(self.service.intake.handle, Message(topic(node_id, suffix, basic_ingest=True), payload))


class Odd:
    """A server at loopback that answers as a test wants: a function of method and path gives status, type and body."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                status, kind, body = answer(self.command, self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(OSError):  # who has read enough goes
                    self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_words):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_raised):
        self._server.shutdown()
        self._server.server_close()
