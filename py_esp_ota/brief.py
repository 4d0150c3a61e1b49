"""How a value with many options says what it is: those that are not as usual."""

from __future__ import annotations

from dataclasses import MISSING, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def brief(value: DataclassInstance) -> str:
    """The ``repr`` of a dataclass without what its defaults say already; it can be evaluated as the whole one can."""
    said: list[str] = []
    for field in fields(value):
        what = getattr(value, field.name)
        if field.repr and (field.default is MISSING or what != field.default):
            said.append(f"{field.name}={what!r}")
    return f"{type(value).__name__}({', '.join(said)})"
