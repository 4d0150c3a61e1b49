"""What the files of the package import and call: each is parsed once, for all tests that ask."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "py_esp_ota"
SOURCES = sorted(PACKAGE.rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Source:
    """A file, without its tree: all trees together would be looked at by the garbage collector for ever."""

    imports: frozenset[str]
    """The first name of each module that is imported."""
    taken: frozenset[tuple[str, str]]
    """Module and name of each ``from module import name``."""
    needed: frozenset[str]
    """All that is imported, lazily or not, but not for a type checker alone; ``module.name`` of what is taken."""
    calls: frozenset[str]
    """What is called, as it is written."""


@cache
def sources() -> dict[str, Source]:
    """Each file of the package by its path there."""
    return {path.relative_to(PACKAGE).as_posix(): source(ast.parse(path.read_text())) for path in SOURCES}


def source(tree: ast.AST) -> Source:
    """What a file imports and calls."""
    imports, taken, needed, calls = set(), set(), set(), set()
    for node, for_types in _walk(tree):
        found = set()
        if isinstance(node, ast.Import):
            found = {alias.name for alias in node.names}
            imports |= {name.split(".")[0] for name in found}
        elif isinstance(node, ast.ImportFrom):
            found = {f"{node.module}.{alias.name}" for alias in node.names}
            taken |= {(node.module or "", alias.name) for alias in node.names}
            if node.module and not node.level:
                imports.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call):
            calls.add(ast.unparse(node.func))
        if not for_types:
            needed |= found
    return Source(frozenset(imports), frozenset(taken), frozenset(needed), frozenset(calls))


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Each node, and whether it is there for a type checker alone."""
    todo = [(tree, False)]
    while todo:
        node, for_types = todo.pop()
        yield node, for_types
        for_types = for_types or (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING")
        todo += [(child, for_types) for child in ast.iter_child_nodes(node)]
