"""Fold the fragments of ``changes/`` into CHANGELOG.md, under a version and a day: ``make changelog VERSION=0.2.0``.

A version that has its heading already gets what came since, so that a release can be folded again until it is made.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

#: Keep a Changelog's groups, in the order in which a reader asks for them.
KINDS = ("added", "changed", "fixed", "removed")

_FRAGMENT = re.compile(rf"([a-z0-9-]+)\.({'|'.join(KINDS)})\.md", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_RELEASE = re.compile(r"^## ", re.MULTILINE)
_GROUP = re.compile(r"^### (.+)\n+", re.MULTILINE)


def read_fragments(folder: Path) -> dict[Path, tuple[str, str]]:
    """Kind and sentence of each fragment, in the order of their names.

    Raises ``ValueError`` for a name that says no kind, and a file that says nothing.
    """
    found = {}
    for file in sorted(folder.glob("*")):
        if file.name == "README.md":
            continue
        name = _FRAGMENT.fullmatch(file.name)
        if name is None:
            raise ValueError(f"{file}: expected <slug>.<{'|'.join(KINDS)}>.md")
        text = " ".join(file.read_text().split())
        if not text:
            raise ValueError(f"{file} is empty")
        found[file] = (name[2], text)
    return found


def fold(changelog: str, version: str, day: str, fragments: Iterable[tuple[str, str]]) -> str:
    """The changelog with the fragments in the section of ``version``, which is made where there is none.

    Raises ``ValueError`` when ``version`` is no version.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: expected X.Y.Z")
    head, *releases = _RELEASE.split(changelog)
    mine = next((at for at, text in enumerate(releases) if text.split(maxsplit=1)[0] == version), None)
    if mine is None:
        releases.insert(0, "")
        mine = 0
    _, _, body = releases[mine].partition("\n")
    releases[mine] = f"{version} - {day}\n\n{_section(body, fragments)}"
    return head.rstrip() + "\n\n" + "\n\n".join(f"## {text.rstrip()}" for text in releases) + "\n"


def _section(body: str, fragments: Iterable[tuple[str, str]]) -> str:
    intro, *parts = _GROUP.split(body.strip())
    groups = {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}
    for kind, sentence in fragments:
        title = kind.capitalize()
        groups[title] = f"{groups.get(title, '')}\n- {sentence}".strip()
    return "\n\n".join([intro.strip()] * bool(intro.strip()) + _ordered(groups))


def _ordered(groups: Mapping[str, str]) -> list[str]:
    known = [kind.capitalize() for kind in KINDS]
    titles = [title for title in known if title in groups] + [title for title in groups if title not in known]
    return [f"### {title}\n\n{groups[title]}" for title in titles]


def main(words: list[str]) -> int:
    """Fold what lies in the current directory. 0: done; 2: nothing was touched, and why."""
    root = Path.cwd()
    changelog = root / "CHANGELOG.md"
    try:
        fragments = read_fragments(root / "changes")
        text = fold(changelog.read_text(), "".join(words), f"{datetime.now(UTC):%Y-%m-%d}", fragments.values())
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    changelog.write_text(text)
    for file in fragments:
        file.unlink()
    print(f"{len(fragments)} changes folded into {words[0]}; now read it, and make it read well")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
