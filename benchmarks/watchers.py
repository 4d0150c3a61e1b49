"""Browsers that only listen: ``python -m benchmarks.watchers URL ADDRESS...`` holds one live stream for each address.

It says ``open`` when each of them shows its page, and at the end of its input how often they were told of a change.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from urllib.parse import urlencode, urlsplit


async def _watch(host: str, port: int, address: str, opened: asyncio.Barrier, told: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    query = urlencode({"view": address})  # from nowhere: everything comes first
    writer.write(f"GET /live?{query} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    await reader.readuntil(b"event: view")
    await opened.wait()
    while True:
        try:
            await reader.readuntil(b"event: view")
            told[address] += 1
        except asyncio.LimitOverrunError as behind:
            await reader.readexactly(behind.consumed)


async def _main(url: str, *addresses: str) -> None:
    server = urlsplit(url)
    opened = asyncio.Barrier(len(addresses) + 1)
    told: Counter[str] = Counter()
    watches = [_watch(server.hostname or "", server.port or 0, address, opened, told) for address in addresses]
    tasks = [asyncio.create_task(watch) for watch in watches]
    await opened.wait()
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(told.total(), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
