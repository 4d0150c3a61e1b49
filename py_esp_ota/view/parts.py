"""The files beside this one that pages are made of."""

from __future__ import annotations

from importlib.resources import files

_PAGE = files(__package__).joinpath("page")


def part(*names: str) -> str:
    """The texts of these files, one behind the other."""
    return "".join(_PAGE.joinpath(name).read_text(encoding="utf-8") for name in names)
