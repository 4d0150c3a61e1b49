"""Mosquitto as a child process: mutual TLS, topic rights by certificate, presence from its log.

What waits for a session that outlives its connection, as the cloud's does, is in a file when Mosquitto ends. It ends
when we do, however we end (``keeper``).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from py_esp_ota.adapters.certificates import CLOUD, LocalCa
from py_esp_ota.adapters.file_lock import FileLock, LockedError
from py_esp_ota.adapters.keeper import Kept, end_left_over, keep
from py_esp_ota.adapters.limits import (
    CONNECTION_LIMIT,
    INFLIGHT_LIMIT,
    KEEP_ALIVE_LIMIT,
    KEPT_BYTES,
    KEPT_LIMIT,
    PACKET_LIMIT,
    PAYLOAD_LIMIT,
)
from py_esp_ota.adapters.lives import OnEnd, watch
from py_esp_ota.adapters.mqtt import TcpMqtt, client_context
from py_esp_ota.adapters.presence import Presence
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import MqttConnect, MqttSessionConnect
from py_esp_ota.posix import lacks_posix

_log = logging.getLogger(__name__)

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin")  # often not in a user's PATH
_START_TIME = 10.0  # seconds it may take until it listens
_AUTOSAVE = 10  # seconds: so much is lost when Mosquitto itself is killed; each time it writes all that waits
_ATTEMPTS = 3  # another process may take the free port before Mosquitto does
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each new start of one that died; as many starts, and no more
_STEADY_TIME = 60.0  # seconds after which it has not died again, but for the first time

# The user name is the certificate's common name, and so is the client id.
_ACL = f"""\
user {CLOUD}
topic readwrite #
topic readwrite $aws/#

pattern readwrite node/%u/#
pattern readwrite $aws/rules/+/node/%u/#
pattern readwrite $aws/things/%u/#
"""

_LOOPBACK = "127.0.0.1"  # always: where the cloud comes in, and whoever lives in this process

# What Mosquitto has for each listener by itself.
_LISTENER = """\
listener {port} {address}
cafile {ca}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
max_connections {connections}
"""

_CONFIG = """\
{listeners}
allow_anonymous false
acl_file {acl}
persistence true
persistence_location {folder}/
persistence_file {database}
autosave_interval {autosave}
message_size_limit {payload}
max_packet_size {packet}
max_queued_messages {queued}
max_queued_bytes {queued_bytes}
max_inflight_messages {inflight}
max_keepalive {keep_alive}
set_tcp_nodelay true
sys_interval 0
log_dest stderr
log_timestamp false
log_type error
log_type warning
log_type notice
log_type information
"""

_DATABASE = "mosquitto.db"  # what waits for sessions that outlive a connection; Mosquitto gives it the mode 0600
_SAVING = "Saving in-memory database"
_RUNNING = re.compile(r"mosquitto version (\S+) running")
_CAME = re.compile(r"New client connected from \S+ as (\S+) \(")
_WENT = re.compile(
    r"(?:Client|Bad socket read/write on client) (\S+?)"
    r"(?:: | disconnected| closed its connection| has exceeded timeout| already connected| been disconnected)"
)
_DROPS = re.compile(r"Outgoing messages are being dropped for client (.+)\.")


def find_mosquitto() -> Path | None:
    """The installed Mosquitto, if there is one."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    return Path(found) if found else None


class MosquittoBroker:
    """A running Mosquitto, started again when it dies.

    A publish without the right to it is acknowledged and dropped, as Mosquitto does.

    Args:
        program: the executable.
        config: its configuration file.
        port: the port in it.
        ca: the authority of the broker's, the cloud's and the nodes' certificates.
    """

    basic_ingest = True

    def __init__(self, program: Path, config: Path, port: int, ca: LocalCa) -> None:
        self.name = "mosquitto"
        self.port = port
        self._program = program
        self._config = config
        self._ca = ca
        self.pid = 0  # of the latest one
        self._kept: Kept | None = None
        self._saving = False  # the latest line says so
        self._unsaved = False  # its latest attempt failed
        self._last_lines: deque[str] = deque(maxlen=5)
        self._presence = Presence()
        self._contexts: dict[str, ssl.SSLContext] = {}
        door = TcpMqtt(_LOOPBACK, port, tls=self._context)
        self.mqtt: MqttConnect = door
        self.session: MqttSessionConnect = door.session

    def on_presence(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(node_id, connected)`` called whenever a node comes or goes."""
        self._presence.callbacks.append(callback)

    def _context(self, client_id: str) -> ssl.SSLContext:
        if client_id not in self._contexts:
            files = self._ca.cloud() if client_id == CLOUD else self._ca.node(client_id)
            self._contexts[client_id] = client_context(self._ca.ca_file, files)
        return self._contexts[client_id]

    async def start(self) -> None:
        """Start the process and wait until it listens; ``MqttError`` with its own words when it does not."""
        lock = self._config.with_suffix(".lock")
        try:
            if (pid := await end_left_over(lock)) is not None:
                _log.warning("ended the mosquitto of an earlier start, process %d", pid)
            self._last_lines.clear()
            self._kept = await keep([self._program, "-c", self._config], lock)
        except LockedError as error:
            who = f"the mosquitto of an earlier start, process {error.words or 'unknown'},"
            raise MqttError(f"{who} does not end: end it, then start again") from None
        try:
            await self._wait_until_running()
        except BaseException:
            await self.stop()
            raise

    async def _wait_until_running(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_TIME):
                while (line := await self._line()) is not None:
                    if found := _RUNNING.match(line):
                        self.name = f"mosquitto {found[1]} (mutual TLS)"
                        self.pid = self._kept.pid if self._kept else 0
                        return
        why = "; ".join(self._last_lines) or "it said nothing"
        if "Couldn't open database" in why:
            database = self._config.with_name(_DATABASE)
            why += f" Move {database} away to start without the messages that wait in it"
        raise MqttError(f"mosquitto did not start: {why}")

    async def keep_alive(self) -> NoReturn:
        """Tell presence from the log, and start Mosquitto again when it ends; ``MqttError`` when it does too often."""
        clock = asyncio.get_running_loop().time
        falls = 0
        while True:
            began = clock()
            await self._follow()
            await self.stop()
            falls = 1 if clock() - began > _STEADY_TIME else falls + 1
            why = self._why()
            while falls <= len(_PAUSES):
                pause = _PAUSES[falls - 1]
                _log.warning("mosquitto ended, starting it again in %g s: %s", pause, why)
                await asyncio.sleep(pause)
                try:
                    await self.start()
                    break
                except (MqttError, OSError) as error:
                    falls, why = falls + 1, str(error)
            else:
                raise MqttError(f"{falls} times in a row, at last with {why!r}")

    def _why(self) -> str:
        """Why it ended: its last words, unless it had no time for any."""
        if self._kept and (number := self._kept.ended_by):
            return f"it was ended by {number.name}"
        return self._last_lines[-1] if self._last_lines else "it said nothing"

    async def _follow(self) -> None:
        while (line := await self._line()) is not None:
            if found := _CAME.match(line):
                self._presence.report(found[1], connected=True)
            elif found := _WENT.match(line):
                self._presence.report(found[1], connected=False)
            elif found := _DROPS.match(line):
                _log.warning("mosquitto drops messages for %s: too much waits for it already", found[1])
            self._look_at_saving(line)
        self._presence.all_gone()

    def _look_at_saving(self, line: str) -> None:
        """Say it once when what waits cannot be saved; Mosquitto goes on without."""
        if self._saving:  # what it says next tells how it went
            failed = line.startswith("Error")
            if failed and not self._unsaved:
                _log.error("mosquitto cannot save what waits and keeps it in memory alone: %s", line)
            self._unsaved = failed
        self._saving = line.startswith(_SAVING)

    async def _line(self) -> str | None:
        """The next line of the log, ``None`` when there is none any more."""
        line = await self._kept.line() if self._kept else None
        if line and not line.startswith(_SAVING):
            self._last_lines.append(line)
        return line

    async def stop(self) -> None:
        """End the process, gently first."""
        if self._kept:
            await self._kept.end()

    def nobody_listens(self) -> None:
        """Tell presence to nobody any more."""
        self._presence.callbacks.clear()


@asynccontextmanager
async def open_mosquitto(
    folder: Path,
    ca: LocalCa,
    program: Path | None = None,
    *,
    port: int = 0,
    address: str = _LOOPBACK,
    names: Sequence[str] = (),
    on_end: OnEnd | None = None,
) -> AsyncIterator[MosquittoBroker]:
    """Run Mosquitto while the context is entered; when it dies, it is started again.

    Args:
        folder: where its configuration is written.
        ca: the authority of the broker's, the cloud's and the nodes' certificates.
        program: the executable; the installed one when not given.
        port: 0 takes a free one.
        address: where it listens, too; on 127.0.0.1 it always does.
        names: what else its certificate is for.
        on_end: called with one sentence, its own last words in it, when it has died too often.

    Raises:
        MqttError: this is Windows, it is not installed, does not start, or another process runs one in ``folder``; the
            message has its own words.
    """
    if reason := lacks_posix("mosquitto as a child process"):
        raise MqttError(reason)
    program = program or find_mosquitto()
    if program is None:
        raise MqttError("mosquitto is not installed")
    with _owned(folder):
        place = _Place(folder, ca, program, address, names)
        broker = await _start(place, port, attempts=1 if port else _ATTEMPTS)
        keeper = asyncio.create_task(broker.keep_alive(), name="mosquitto")
        watch(keeper, "mosquitto", on_end)
        try:
            yield broker
        finally:
            broker.nobody_listens()
            keeper.cancel()
            await asyncio.wait([keeper])
            await broker.stop()


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Nobody else runs Mosquitto in this folder, so one that is found there was left over."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        owner = FileLock(folder / "mosquitto.owner")
    except LockedError as error:
        raise MqttError(f"process {error.words or 'unknown'} runs a mosquitto in {folder} already") from None
    with owner:
        owner.say(str(os.getpid()))
        yield


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a Mosquitto runs, and as whom it shows itself."""

    folder: Path
    ca: LocalCa
    program: Path
    address: str
    names: Sequence[str]


async def _start(place: _Place, wanted: int, attempts: int) -> MosquittoBroker:
    port = wanted or free_port()
    broker = MosquittoBroker(place.program, _write_config(place, port), port, place.ca)
    try:
        await broker.start()
    except MqttError as error:
        if "already in use" in str(error) and attempts > 1:
            return await _start(place, wanted, attempts - 1)
        raise
    return broker


def _write_config(place: _Place, port: int) -> Path:
    folder = place.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    server = place.ca.server(place.address, place.names)
    acl, config = folder / "mosquitto.acl", folder / "mosquitto.conf"
    acl.write_text(_ACL)
    listeners = "\n".join(
        _LISTENER.format(
            port=port,
            address=address,
            ca=place.ca.ca_file.absolute(),
            cert=server.cert.absolute(),
            key=server.key.absolute(),
            connections=CONNECTION_LIMIT,
        )
        for address in dict.fromkeys([_LOOPBACK, place.address])
    )
    text = _CONFIG.format(
        listeners=listeners,
        acl=acl,
        payload=PAYLOAD_LIMIT,
        packet=PACKET_LIMIT,
        queued=KEPT_LIMIT,
        queued_bytes=KEPT_BYTES,
        inflight=INFLIGHT_LIMIT,
        keep_alive=KEEP_ALIVE_LIMIT,
        folder=folder,
        database=_DATABASE,
        autosave=_AUTOSAVE,
    )
    if os.geteuid() == 0:
        text += "user root\n"  # else it would become another user and could not read its key
    config.write_text(text)
    return config


def free_port() -> int:
    """A TCP port on loopback that nobody uses at this moment."""
    with socket.create_server((_LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
