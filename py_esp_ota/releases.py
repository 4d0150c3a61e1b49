"""Which release of ESP-IDF a version means, and how far the releases lie apart.

Between two releases a build has part of what the next one brings. What it does is asked for where it can be; else it
counts as the release that is nearest on its branch, in commits. Master between two lines is on the way from the first
release of one to the first of the other: what was ported back to patches of the older line is not in it yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Version = tuple[int, int, int]

#: By line: commits from its tag ``-dev`` to its first release, and from each release of it to the next.
_COMMITS: Mapping[tuple[int, int], tuple[int, tuple[int, ...]]] = {
    (4, 3): (3558, (375, 481, 609, 346, 439, 276, 304)),
    (4, 4): (3974, (387, 594, 389, 358, 449, 406, 511, 281)),
    (5, 0): (5408, (544, 469, 393, 441, 501, 258, 654, 600, 453)),
    (5, 1): (4942, (565, 712, 696, 478, 991, 648, 1609)),
    (5, 2): (4471, (308, 538, 717, 956, 4, 1237, 1177)),
    (5, 3): (4133, (388, 887, 922, 1083, 1251)),
    (5, 4): (4351, (743, 865, 759, 1290)),
    (5, 5): (3995, (483, 986, 756, 258, 1256)),
    (6, 0): (5037, (684, 723)),
    (6, 1): (5383, ()),
}
#: The newest, which no tag names yet: so many commits behind the last tag ``-dev``.
_NEWEST, _NEWEST_AT = (6, 2, 0), ((6, 1), 6734)

#: All of them that are told apart, in order.
RELEASES: tuple[Version, ...] = (
    *((major, minor, patch) for (major, minor), (_, steps) in _COMMITS.items() for patch in range(len(steps) + 1)),
    _NEWEST,
)

#: As tags, ``git describe`` and packages write it. Some put the name before it, some a date behind it.
_DESCRIBED = re.compile(
    r"(?:esp-idf:? )?v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?!\d)(?:-(dev|beta|rc)\d*)?(?:-(\d{1,9})-g[0-9a-f]*)?",
    re.IGNORECASE,
)
#: PlatformIO's packages of ESP-IDF: three parts in one number.
_PACKAGE = re.compile(r"v?3\.([4-9])(\d\d)(\d\d)\.\d+")


def release_of(text: str) -> Version | None:
    """The release that a version of ESP-IDF means, as descriptors have it: ``v5.5.1-838-gd66ebb86d2e``, for instance.

    ``None`` for what is no version, a bare commit for instance.
    """
    package = _PACKAGE.match(text)
    if package is not None:
        return int(package[1]), int(package[2]), int(package[3])
    found = _DESCRIBED.match(text)
    if found is None:
        return None
    version = int(found[1]), int(found[2]), int(found[3] or 0)
    commits = int(found[5] or 0)
    if found[4] is None:
        return _behind(version, commits)
    return _on_master(version[:2], commits) if found[4].lower() == "dev" and not version[2] else version


def _behind(version: Version, commits: int) -> Version:
    """So many commits behind a release: that one or the next."""
    major, minor, patch = version
    steps = _COMMITS.get((major, minor), (0, ()))[1]
    return (major, minor, patch + 1) if patch < len(steps) and 2 * commits > steps[patch] else version


def _on_master(line: tuple[int, int], commits: int) -> Version:
    """So many commits behind the tag ``-dev`` of a line, which stands where the line before it left master."""
    last, newest = _NEWEST_AT
    first = _COMMITS.get(line, (0, ()))[0]
    if line == last and 2 * commits > first + newest:
        return _NEWEST
    before = _line_before(line)
    return (*before, 0) if before is not None and 2 * commits <= first else (*line, 0)


def _line_before(line: tuple[int, int]) -> tuple[int, int] | None:
    """``None`` for the first line that is known, and for those that are not."""
    lines = list(_COMMITS)
    return lines[lines.index(line) - 1] if line in lines[1:] else None


def nearest(version: Version, is_so: Callable[[Version], bool]) -> Version:
    """The release next to ``version`` of which something is true, which a build was seen to have.

    Its own line comes first. What is true of none leaves ``version`` as it is.
    """
    if is_so(version):
        return version
    place = sum(release < version for release in RELEASES)
    return min(
        filter(is_so, RELEASES),
        key=lambda release: (release[:2] != version[:2], abs(RELEASES.index(release) - place)),
        default=version,
    )


def release_text(release: Version) -> str:
    """As ESP-IDF writes it: a first release has no patch, ``v5.5`` and ``v5.5.1``."""
    major, minor, patch = release
    return f"v{major}.{minor}.{patch}" if patch else f"v{major}.{minor}"
