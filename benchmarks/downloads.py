"""How fast firmware is handed out: beside nginx, in the same run, to the same client, on loopback."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from benchmarks.timing import Figure, interleaved
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.mosquitto import free_port

AT_ONCE = 500
_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    server {{ listen 127.0.0.1:{http} backlog=2048; listen 127.0.0.1:{https} ssl backlog=2048; root {folder}/www; }}
}}
"""  # its one process against our one


@dataclass(frozen=True)
class Client:
    """Downloads one link, on a connection of its own each time, as a node does: it ends when it has the last byte."""

    url: SplitResult
    trust: ssl.SSLContext | None
    size: int
    into: memoryview

    def ask(self) -> socket.socket:
        """A connection on which the answer is on its way."""
        line = socket.create_connection((self.url.hostname, self.url.port or 0))
        if self.trust is not None:
            line = self.trust.wrap_socket(line, server_hostname=self.url.hostname)
        line.sendall(f"GET {self.url.path}?{self.url.query} HTTP/1.1\r\nHost: {self.url.netloc}\r\n\r\n".encode())
        return line

    def take(self, line: socket.socket) -> None:
        """The whole answer. Raises ``OSError`` when it is another or breaks off."""
        with line:
            got = line.recv_into(self.into)
            head, end, _ = bytes(self.into[:got]).partition(b"\r\n\r\n")
            if b" 200 " not in head[:16] or not end:
                raise OSError(f"the answer was {head[:80]!r}")
            whole = len(head) + len(end) + self.size
            while got < whole:
                more = line.recv_into(self.into[got:whole], 0, 0 if self.trust else socket.MSG_WAITALL)
                if not more:
                    raise OSError(f"the answer ended after {got} of {whole} bytes")
                got += more

    def one(self) -> None:
        """One download."""
        self.take(self.ask())

    def many(self) -> None:
        """``AT_ONCE``: every one is asked for before the first is read."""
        for line in [self.ask() for _ in range(AT_ONCE)]:
            self.take(line)


def figures(image: bytes) -> list[Figure]:
    """Downloads over HTTP and HTTPS, one after the other, and many at once."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        print("skip downloads: nginx is not installed (on Debian: apt-get install nginx-light)")
        return []
    found = []
    with _servers(image, nginx) as pairs:
        for ours, peer in pairs:
            scheme = ours.url.scheme.upper()
            one = interleaved(ours.one, peer.one, rounds=301 if ours.trust is None else 61)
            found.append(Figure(f"download of 1 MiB over {scheme}", one[0], "nginx", one[1], 2))
            error = ""
            try:
                many = interleaved(ours.many, peer.many, rounds=3 if ours.trust is None else 1)
            except OSError as failed:
                many, error = (1.0, 1.0), f", failed: {failed}"
            name = f"{AT_ONCE} downloads at once over {scheme}"
            found.append(Figure(name, many[0], "nginx", many[1], 3, not error, error))
    return found


@contextmanager
def _servers(image: bytes, nginx: str) -> Iterator[list[tuple[Client, Client]]]:
    """Ours and nginx in processes of their own: a client for each, over HTTP and over HTTPS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "www").mkdir()
        file = folder / "www" / "firmware.bin"
        file.write_bytes(image)
        ca = LocalCa(folder)
        files = ca.server()
        http, https = free_port(), free_port()
        config, log = folder / "nginx.conf", folder / "error.log"
        config.write_text(_NGINX.format(folder=folder, cert=files.cert, key=files.key, http=http, https=https))
        with (
            _child([sys.executable, "-m", "benchmarks.download_server", name, str(file)]) as cloud,
            _child([nginx, "-c", str(config), "-e", str(log)]) as peer,
        ):
            assert cloud.stdout is not None
            ours = cloud.stdout.readline().split()
            _wait_for(peer, https, log)
            theirs = [f"http://127.0.0.1:{http}/firmware.bin", f"https://127.0.0.1:{https}/firmware.bin"]
            into = memoryview(bytearray(len(image) + 4096))
            yield [
                (Client(urlsplit(mine), trust, len(image), into), Client(urlsplit(other), trust, len(image), into))
                for mine, other, trust in zip(
                    ours, theirs, (None, ssl.create_default_context(cafile=ca.ca_file)), strict=True
                )
            ]


@contextmanager
def _child(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.terminate()


def _wait_for(nginx: subprocess.Popen[str], port: int, log: Path) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if nginx.poll() is not None:
                raise RuntimeError(f"nginx did not start: {log.read_text()}") from None
            time.sleep(0.01)
        else:
            return
