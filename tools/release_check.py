"""May this be published? ``make release-check`` says what is in the way: one line each, exit 1.

The workflow that publishes asks first, with the tag that it was started by: ``python tools/release_check.py v0.1.0``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

#: RFC 2606: hosts that belong to nobody. A URL here is one that somebody has still to put in.
_NOBODYS = re.compile(r"(?:.*\.)?(?:invalid|example|test|localhost|example\.(?:com|net|org))")


def placeholders(urls: Mapping[str, str]) -> list[str]:
    """The names of URLs that lead nowhere."""
    hosts = {name: urlsplit(url).hostname or "" for name, url in urls.items()}
    return [name for name, host in hosts.items() if not host or _NOBODYS.fullmatch(host)]


def obstacles(root: Path, tag: str | None = None) -> Iterator[str]:
    """What stands between the files under ``root`` and a registry. ``tag``: of the commit, when there is one."""
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"].get("urls", {})
    if "Source" not in urls:
        yield "pyproject.toml: project.urls has no Source"
    for name in placeholders(urls):
        yield f"pyproject.toml: project.urls.{name} is a placeholder: {urls[name]}"
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if not re.search(
        rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    ):
        yield f"CHANGELOG.md: {version} has no section with its day: make changelog VERSION={version}"
    left = sorted(file.name for file in (root / "changes").glob("*.md") if file.name != "README.md")
    if left:
        yield f"changes/: {left[0]} is not folded yet, of {len(left)}: make changelog VERSION={version}"
    if tag is not None and tag != f"v{version}":
        yield f"the tag is {tag}, and Cargo.toml has version {version}"


def main(words: list[str]) -> int:
    """Ask for the current directory. 0: it may go; 1: it may not, and why."""
    found = list(obstacles(Path.cwd(), words[0] if words else None))
    for line in found or ["nothing is in the way"]:
        print(line, file=sys.stderr if found else sys.stdout)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
