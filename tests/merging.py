"""What every rule that merges reports has to keep, whatever it merges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st


def obeys(merge: Callable[[Any, Any], Any], nothing: Any, reports: st.SearchStrategy[Any]) -> None:
    """Commutative, associative, and the report of no shard changes nothing."""

    @given(reports, reports, reports)
    def law(a: Any, b: Any, c: Any) -> None:
        assert merge(a, b) == merge(b, a)
        assert merge(merge(a, b), c) == merge(a, merge(b, c))
        assert merge(nothing, a) == a == merge(a, nothing)

    law()
