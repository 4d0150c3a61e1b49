"""What a verb needs that the base install has not: said in one line, and only when the verb is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from py_esp_ota.cli.files import Unusable
from py_esp_ota.extras import missing


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Around imports of what ``extra`` brings. Raises ``Unusable`` with the module's and the extra's name."""
    try:
        yield
    except ModuleNotFoundError as error:
        named = missing(what, extra, error)
        if named is error:
            raise
        raise Unusable(str(named)) from None
