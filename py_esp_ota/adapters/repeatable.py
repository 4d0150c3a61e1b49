"""Ids and keys that are the same in every run. Not for a cloud that strangers can reach."""

from __future__ import annotations

import random


class Repeatable:
    """Stands where ``secrets`` stands.

    Args:
        seed: another seed, other ids.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 (repeatable on purpose)

    def token_hex(self, size: int) -> str:
        """``size`` bytes in hexadecimal."""
        return self._random.randbytes(size).hex()
