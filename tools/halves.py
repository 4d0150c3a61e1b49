"""Run the tests in two processes, as a machine of two cores wants it: `python tools/halves.py [OPTIONS of pytest]`.

Each collects its own half and tells nobody of each test: pytest-xdist has both collect everything, and what it sends
for a test costs more than many of them take. The other half's report comes when both are done.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
ONE = ("adapters", "cloud", "house", "official", "soak", "strategies", "web")
"""As much work as in all others; what is not named here is in the other half."""


def halves() -> tuple[list[str], list[str]]:
    """Folders and files for each."""
    all_of_them = sorted(path for path in TESTS.iterdir() if path.is_dir() or path.match("test_*.py"))
    return (
        [str(path) for path in all_of_them if path.name in ONE],
        [str(path) for path in all_of_them if path.name not in ONE and path.name != "__pycache__"],
    )


def main() -> int:
    """The worse exit code of both."""
    pytest = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    one, other = halves()
    with tempfile.TemporaryFile() as report:
        with (
            subprocess.Popen([*pytest, *other], stdout=report, stderr=subprocess.STDOUT) as beside,  # noqa: S603
            subprocess.Popen([*pytest, *one]) as shown,  # noqa: S603
        ):
            codes = shown.wait(), beside.wait()
        report.seek(0)
        sys.stdout.buffer.write(report.read())
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
