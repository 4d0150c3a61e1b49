"""Mosquitto as a child process: mutual TLS on loopback, topic rights by certificate, presence from its log."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from py_esp_ota.adapters.certificates import CLOUD, LocalCa
from py_esp_ota.adapters.mqtt import TcpMqtt, client_context
from py_esp_ota.adapters.presence import Presence
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import MqttConnect
from py_esp_ota.posix import lacks_posix

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin")  # often not in a user's PATH
_START_TIME = 10.0  # seconds it may take until it listens
_STOP_ATTEMPTS, _STOP_PATIENCE = 25, 0.2  # seconds for each
_ATTEMPTS = 3  # another process may take the free port before Mosquitto does

# The user name is the certificate's common name, and so is the client id.
_ACL = f"""\
user {CLOUD}
topic readwrite #
topic readwrite $aws/#

pattern readwrite node/%u/#
pattern readwrite $aws/rules/+/node/%u/#
pattern readwrite $aws/things/%u/#
"""

_CONFIG = """\
listener {port} 127.0.0.1
cafile {ca}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {acl}
persistence false
max_queued_messages 1000000
set_tcp_nodelay true
sys_interval 0
log_dest stderr
log_timestamp false
log_type error
log_type warning
log_type notice
log_type information
"""

_RUNNING = re.compile(r"mosquitto version (\S+) running")
_CAME = re.compile(r"New client connected from \S+ as (\S+) \(")
_WENT = re.compile(
    r"(?:Client|Bad socket read/write on client) (\S+?)"
    r"(?:: | disconnected| closed its connection| has exceeded timeout| already connected| been disconnected)"
)


def find_mosquitto() -> Path | None:
    """The installed Mosquitto, if there is one."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    return Path(found) if found else None


class MosquittoBroker:
    """A running Mosquitto. A publish without the right to it is acknowledged and dropped, as Mosquitto does."""

    basic_ingest = True

    def __init__(self, process: Process, port: int, ca: LocalCa) -> None:
        self.name = "mosquitto"
        self.port = port
        self._ca = ca
        self._process = process
        self._last_lines: deque[str] = deque(maxlen=5)
        self._presence = Presence()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.mqtt: MqttConnect = TcpMqtt("127.0.0.1", port, tls=self._context)

    def on_presence(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(node_id, connected)`` called whenever a node comes or goes."""
        self._presence.callbacks.append(callback)

    def _context(self, client_id: str) -> ssl.SSLContext:
        if client_id not in self._contexts:
            files = self._ca.cloud() if client_id == CLOUD else self._ca.node(client_id)
            self._contexts[client_id] = client_context(self._ca.ca_file, files)
        return self._contexts[client_id]

    async def wait_until_running(self) -> None:
        """Read the log until Mosquitto listens; ``MqttError`` with its own words when it does not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_TIME):
                while (line := await self._line()) is not None:
                    if found := _RUNNING.match(line):
                        self.name = f"mosquitto {found[1]} (mutual TLS)"
                        return
        raise MqttError("mosquitto did not start: " + ("; ".join(self._last_lines) or "it said nothing"))

    async def follow(self) -> None:
        """Tell presence from the log, until Mosquitto ends."""
        while (line := await self._line()) is not None:
            if found := _CAME.match(line):
                self._presence.report(found[1], connected=True)
            elif found := _WENT.match(line):
                self._presence.report(found[1], connected=False)
        self._presence.all_gone()

    async def _line(self) -> str | None:
        line = await self._process.stderr.readline() if self._process.stderr else b""
        if not line:
            return None
        text = line.decode(errors="replace").strip()
        self._last_lines.append(text)
        return text

    async def stop(self) -> None:
        """End the process, gently first."""
        self._presence.callbacks.clear()
        # Asked more than once: Mosquitto forgets a SIGTERM that comes between its last word of starting and its loop.
        for _ in range(_STOP_ATTEMPTS):
            if self._process.returncode is not None:
                return
            self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_PATIENCE):
                    await self._process.wait()
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def open_mosquitto(
    folder: Path, ca: LocalCa, program: Path | None = None, *, port: int = 0
) -> AsyncIterator[MosquittoBroker]:
    """Run Mosquitto while the context is entered.

    Args:
        folder: where its configuration is written.
        ca: the authority of the broker's, the cloud's and the nodes' certificates.
        program: the executable; the installed one when not given.
        port: 0 takes a free one.

    Raises:
        MqttError: this is Windows, it is not installed, or does not start; the message has its own words.
    """
    if reason := lacks_posix("mosquitto as a child process"):
        raise MqttError(reason)
    program = program or find_mosquitto()
    if program is None:
        raise MqttError("mosquitto is not installed")
    broker = await _start(folder, ca, program, port, attempts=1 if port else _ATTEMPTS)
    follower = asyncio.create_task(broker.follow(), name="mosquitto's log")
    try:
        yield broker
    finally:
        await broker.stop()
        await follower


async def _start(folder: Path, ca: LocalCa, program: Path, wanted: int, attempts: int) -> MosquittoBroker:
    port = wanted or free_port()
    config = _write_config(folder, ca, port)
    # Its own session: a Ctrl-C in the terminal must not end the broker before those who use it.
    process = await asyncio.create_subprocess_exec(
        program, "-c", config, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
    )
    broker = MosquittoBroker(process, port, ca)
    try:
        await broker.wait_until_running()
    except BaseException as error:
        await broker.stop()
        if isinstance(error, MqttError) and "already in use" in str(error) and attempts > 1:
            return await _start(folder, ca, program, wanted, attempts - 1)
        raise
    return broker


def _write_config(folder: Path, ca: LocalCa, port: int) -> Path:
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    server = ca.server()
    acl, config = folder / "mosquitto.acl", folder / "mosquitto.conf"
    acl.write_text(_ACL)
    text = _CONFIG.format(
        port=port, ca=ca.ca_file.absolute(), cert=server.cert.absolute(), key=server.key.absolute(), acl=acl
    )
    if os.geteuid() == 0:
        text += "user root\n"  # else it would become another user and could not read its key
    config.write_text(text)
    return config


def free_port() -> int:
    """A TCP port on loopback that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
