"""Run a command and say at its end how much of the processor it took, with all that it started."""

from __future__ import annotations

import resource
import subprocess
import sys


def main() -> int:
    """The exit code of the command."""
    code = subprocess.call(sys.argv[1:])  # noqa: S603 - what whoever calls it would run anyway
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(f"{seconds:.0f} s of CPU: {used.ru_utime:.0f} user, {used.ru_stime:.0f} system")
    return code


if __name__ == "__main__":
    sys.exit(main())
