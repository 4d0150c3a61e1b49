"""A cloud with one image in a process of its own: ``python -m benchmarks.download_server FOLDER IMAGE``.

Prints the download links over HTTP and HTTPS, then serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.http import serve
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.web import mount_web


async def _serve(folder: Path, image: bytes) -> None:
    certificate = LocalCa(folder).server()
    clock = SystemClock()
    with Store(f"sqlite:///{folder / 'cloud.sqlite'}") as store:
        accounts = Accounts(store, clock=clock, token_hex=secrets.token_hex, deliver=lambda _user, _code: None)
        service = CloudService(store, clock=clock, public_url="", token_hex=secrets.token_hex)
        app = create_app(service, accounts)
        mount_web(app, service)
        link = service.images.url(service.images.add("bench", image).ota_image_id)
        async with serve(app) as http, serve(app, certfile=certificate.cert, keyfile=certificate.key) as https:
            print(http + link, https + link, flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
