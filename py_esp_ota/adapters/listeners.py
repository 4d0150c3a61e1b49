"""Why a TCP port on loopback cannot be had, and who has it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it


def why_not(port: int) -> str | None:
    """Why nobody could listen on ``port`` now, in a few words with the holder's name; ``None`` when it is free."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return f"cannot be used: {error.strerror}"
        who = next(_holders(port), None)
        return "is taken" + (f" by {who}" if who else "")
    return None


def _holders(port: int) -> Iterator[str]:
    """Programs that listen there, as far as this user may see them and the system is Linux."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for handle in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):  # it is gone already, or another user's
            if str(handle.readlink()) in sockets:
                process = handle.parents[1]
                yield f"{(process / 'comm').read_text().strip()} (process {process.name})"


def _inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
