"""Which release of ESP-IDF a version means, in every form that images carry."""

from __future__ import annotations

import pytest

from py_esp_ota.releases import RELEASES, nearest, release_of

#: Forms of real descriptors, and the release whose behaviour is nearest.
FORMS = {
    # releases, as tags and as packages write them
    "v5.5.1": (5, 5, 1),
    "v6.1": (6, 1, 0),
    "5.3": (5, 3, 0),
    "4.4.1": (4, 4, 1),
    "v3.3.1": (3, 3, 1),
    "v4.4.7-dirty": (4, 4, 7),
    "v4.4.8-dirty": (4, 4, 8),
    "5.3.4.251226": (5, 3, 4),
    "v5.3.3.250411": (5, 3, 3),
    "esp-idf: v4.4.3 f3e0c8bc41": (4, 4, 3),
    "ESP-IDF v5.5.2": (5, 5, 2),
    # so many commits behind a release: the next one when that is nearer
    "v5.5.1-838-gd66ebb86d2e": (5, 5, 2),
    "v5.5.1-838-gd66ebb86d2e-dirty": (5, 5, 2),
    "v5.4.1-426-g3ad36321ea": (5, 4, 1),
    "v5.1.2-342-gbcf1645e44": (5, 1, 2),
    "v5.1.4-972-g632e0c2a9f-dirty": (5, 1, 5),
    "v5.1.4-10-g632e0c2a9f": (5, 1, 4),
    "v6.0.2-9-g4f3e26cf61-dirty": (6, 0, 2),
    "v6.0.2-5000-g4f3e26cf61": (6, 0, 2),
    "v5.5-100-g0123456789": (5, 5, 0),
    "v5.5-400-g0123456789": (5, 5, 1),
    # before the first release of a line: on the branch that became it, or from where it began on
    "v5.1-beta1-378-gea5e0ff298-dirt": (5, 1, 0),
    "v6.1-beta1": (6, 1, 0),
    "v5.4-rc1": (5, 4, 0),
    "v4.3-rc": (4, 3, 0),
    "v5.5-dev": (5, 4, 0),
    "v5.5-dev-1234-g0123456789": (5, 4, 0),
    "v5.5-dev-2600-g0123456789": (5, 5, 0),
    "v4.4-dev-3569-g6a7d83af19-dirty": (4, 4, 0),
    "v5.0-dev-12-gabc": (4, 4, 0),
    "v5.0-dev-4000-gabc": (5, 0, 0),
    "v6.0-dev-12-gabc": (5, 5, 0),
    "v6.1-dev-1000-g102122904ad": (6, 0, 0),
    "v6.1-dev-4069-gab026ecc019": (6, 1, 0),
    "v6.1-dev-6734-g102122904ad": (6, 2, 0),
    "v6.1-dev-8798-g4d80c1b29ae": (6, 2, 0),
    "v6.2-dev-1014-ge9da155a726": (6, 2, 0),
    "v3.3-beta1-268-g5c88c5996": (3, 3, 0),
    "v3.2-252-g73bf28b": (3, 2, 0),
    "v5.4.2-rc1": (5, 4, 2),
    # packages of PlatformIO
    "3.40001.200521": (4, 0, 1),
    "3.50102.240122": (5, 1, 2),
    # none at all; the last numbers a package of Arduino's core
    "HEAD-HASH-NOTFOUND": None,
    "GIT-NOTFOUND": None,
    "-128-NOTFOUND": None,
    "1a2b3c4": None,
    "d66ebb86d2e-dirty": None,
    "mine": None,
    "1": None,
    "": None,
    "esp-idf: v3.20001.0": None,
    "v99999999999999999999.1": None,
}


@pytest.mark.parametrize(("text", "release"), FORMS.items())
def test_what_release_a_version_means(text, release):
    assert release_of(text) == release


def test_what_is_ported_back_is_not_in_what_will_be_the_next_line():
    """``esp_ota_resume`` came to v5.5 late, and to v5.4.2 from there."""
    from py_esp_ota.idf.features import features

    early, late = release_of("v5.5-dev-100-g01234567"), release_of("v5.5-dev-3500-g01234567")
    assert early is not None
    assert late is not None
    assert (features(early).resume, features(late).resume) == (False, True)


def test_the_nearest_release_of_which_something_is_true():
    line = ((5, 1, 7), (5, 2, 3), (5, 3, 2), (5, 4, 0))

    def since(version):
        return any(version[:2] == first[:2] and version >= first for first in line) or version >= line[-1]

    assert nearest((5, 1, 6), since) == (5, 1, 7)
    assert nearest((5, 1, 7), lambda version: not since(version)) == (5, 1, 6)
    assert nearest((5, 2, 5), since) == (5, 2, 5)
    assert nearest((5, 3, 1), lambda version: version >= (5, 5, 0)) == (5, 5, 0)
    assert nearest((6, 2, 0), lambda version: version < (5, 5, 0)) == (5, 4, 4)
    assert nearest((3, 3, 1), lambda version: version > (3, 3, 1)) == (4, 3, 0)
    assert nearest((5, 3, 1), lambda version: False) == (5, 3, 1)


def test_releases_are_in_order():
    assert list(RELEASES) == sorted(RELEASES)
    assert len({*RELEASES}) == len(RELEASES)
