"""A cloud with nodes on real sockets, and the official client beside it in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import clients

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.http import serve
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.socket_world import socket_world
from py_esp_ota.world import ADMIN

PASSWORD = "Correct horse 7"  # of every account here
LAMP = Firmware("lamp", "1.0.0").to_bytes()


class Client:
    """One home of the official client: a folder for its profile and its tokens."""

    def __init__(self, home: Path, driver: asyncio.subprocess.Process, ca: Path | None = None) -> None:
        self.home = home
        self._driver = driver
        self.ca = ca

    @classmethod
    async def start(cls, folder: Path, release: str = clients.NEWEST, ca: Path | None = None) -> Client:
        folder.mkdir()  # noqa: ASYNC240 (one folder)
        driver = await asyncio.create_subprocess_exec(
            clients.python(release),
            Path(__file__).with_name("driver.py"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "RM_USER_CONFIG_DIR": f"{folder}/",
                "RMAKER_CLI_LOG_DIR": str(folder / "logs"),
                "ESP_RAINMAKER_PASSWORD": PASSWORD,
                "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
            },
        )
        return cls(folder, driver, ca)

    async def __call__(self, *words: str, typed: str = "") -> str:
        """What one command line says, on both of its outputs."""
        asked = {"words": words, "typed": typed, "ca": str(self.ca) if self.ca else None}
        self._driver.stdin.write(json.dumps(asked).encode() + b"\n")
        answer = json.loads(await self._driver.stdout.readline())
        return answer["said"]

    async def raw(self, method: str, api: str, body: object = None, **query: object) -> tuple[int, object]:
        """``raw-api``: status and JSON."""
        words = ["raw-api", "--method", method, "--api", api]
        if query:
            words += ["--query-params", "&".join(f"{name}={value}" for name, value in query.items())]
        if body is not None:
            words += ["--body", json.dumps(body)]
        said = await self(*words)
        status = re.search(r"Status Code: (\d+)", said)
        assert status, said
        found = re.search(r"^[\[{]$.*^[\]}]|^[\[{][\]}]$", said, re.DOTALL | re.MULTILINE)
        return int(status[1]), json.loads(found[0]) if found else said

    async def log_in(self, url: str, user: str = ADMIN) -> None:
        """A profile for this cloud, and a login."""
        await self("profile", "add", "here", "--base-url", url)
        await self("profile", "switch", "here")
        assert "Login successful" in await self("login", "--user_name", user)

    async def stop(self) -> None:
        self._driver.stdin.close()
        await self._driver.wait()


class World:
    """Entered once for a module; its loop goes on while ``run`` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._numbers = count(1)
        self.codes: dict[str, str] = {}

    def run(self, life):
        async def bounded():
            async with asyncio.timeout(100):
                return await life

        return self.runner.run(bounded())

    async def open(self) -> None:
        doors = socket_world(self.folder / "world", prefer="mosquitto")
        (self.folder / "world").mkdir()
        deliver = self.codes.__setitem__
        self.lab = await self._stack.enter_async_context(Lab(doors, admin_password=PASSWORD, deliver=deliver))
        self.http = await self._stack.enter_async_context(serve(self.lab.app))
        self.https = self.lab.world.public_url
        self.ca = LocalCa(self.folder / "world").ca_file

    async def close(self) -> None:
        await self._stack.aclose()

    async def client(self, release: str = clients.NEWEST, ca: Path | None = None) -> Client:
        """A home of its own, not logged in."""
        client = await Client.start(self.folder / f"home{next(self._numbers)}", release, ca)
        self._stack.push_async_callback(client.stop)
        return client

    async def lamp(self, node_id: str, **options):
        """A node that is switched on and has said all it says at a boot."""
        lamp = self.lab.device("two_ota", firmware=LAMP, node_id=node_id, **options)
        lamp.power_on()
        await self.lab.settled(node_id, seconds=30)
        return lamp

    async def upload(self, client: Client, name: str, firmware: bytes) -> str:
        """Upload an image with ``raw-api``; its id."""
        body = {"image_name": name, "base64_fwimage": base64.b64encode(firmware).decode()}
        file = self.folder / "body.json"
        file.write_text(json.dumps(body))
        said = await client("raw-api", "--method", "POST", "--api", "admin/otaimage", "--body-file", str(file))
        return re.search(r'"ota_image_id": "([^"]+)"', said)[1]
