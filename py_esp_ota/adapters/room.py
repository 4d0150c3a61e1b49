"""How much memory there is for us: what the system can still give, and what our group of processes may have."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


def free_memory() -> int | None:
    """Bytes that can be had without anybody being put out; ``None`` where the system does not tell."""
    found = []
    with suppress(OSError):
        available = _AVAILABLE.search(_MEMINFO.read_text(encoding="ascii"))
        if available:
            found.append(int(available[1]) << 10)
    with suppress(OSError, ValueError):  # its limit may be "max"
        limit, used = (int((_GROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        found.append(max(limit - used, 0))
    return min(found, default=None)
