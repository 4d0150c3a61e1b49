"""Physical memory protection of the RISC-V privileged architecture, for what Unicorn gets wrong of it.

Unicorn 2.1.4 asks about all the rest of a page when code in it is fetched: what lies before the end of a region that
ends inside of a page is refused. So it is asked about again here, instruction by instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

#: CSRs: the configurations, four to a word, and the addresses.
PMPCFG, PMPADDR = tuple(range(0x3A0, 0x3A4)), tuple(range(0x3B0, 0x3C0))
_EXECUTE, _LOCKED = 1 << 2, 1 << 7
_OFF, _TOP_OF_RANGE, _FOUR_BYTES = 0, 1, 2


def may_fetch(words: Sequence[int], address: int) -> bool:
    """Whether machine mode may execute what is at ``address``. ``words``: those of ``PMPCFG``, then of ``PMPADDR``."""
    configs = [word >> shift & 0xFF for word in words[: len(PMPCFG)] for shift in (0, 8, 16, 24)]
    tops = [0, *words[len(PMPCFG) :]]
    for config, (before, here) in zip(configs, pairwise(tops), strict=True):
        if address >> 2 in _range(config >> 3 & 3, before, here):
            return not config & _LOCKED or bool(config & _EXECUTE)
    return True


def _range(matching: int, before: int, here: int) -> range:
    """What a region has, in words of four bytes."""
    if matching == _OFF:
        return range(0)
    if matching == _TOP_OF_RANGE:
        return range(before, here)
    size = 1 if matching == _FOUR_BYTES else 2 * ((here ^ here + 1) // 2 + 1)
    return range(here & ~(size - 1), (here & ~(size - 1)) + size)
