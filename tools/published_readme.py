"""The README as a registry shows it: there, a link into the repository needs the repository's address.

The workflow runs this before it builds: ``python tools/published_readme.py`` rewrites README.md where it lies.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from release_check import placeholders

_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


def published(readme: str, source: str, version: str) -> str:
    """Every relative link made absolute: pages to ``blob``, pictures to ``raw``, at the version's tag."""

    def absolute(link: re.Match[str]) -> str:
        bang, text, path = link.groups()
        return f"{bang}{text}({source.rstrip('/')}/{'raw' if bang else 'blob'}/v{version}/{path})"

    return _LINK.sub(absolute, readme)


def main() -> int:
    """Rewrite the current directory's README. 1: the project has no address yet, and nothing was touched."""
    root = Path.cwd()
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if "Source" in placeholders(urls):
        print(f"project.urls.Source is a placeholder: {urls['Source']}", file=sys.stderr)
        return 1
    readme = root / "README.md"
    readme.write_text(published(readme.read_text(), urls["Source"], version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
