"""No two files need each other: what one takes from the next never leads back to it, in Python and in Rust."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePath

import pytest
from sources import ROOT, sources

CRATES = ["esp-cpu", "esp-ota-core", "py-esp-ota"]


def python_imports() -> dict[str, set[str]]:
    """Each module of the package, and those that it imports, lazily or not, but not for a type checker alone."""
    modules = {
        ".".join(("py_esp_ota", *PurePath(name).with_suffix("").parts)).removesuffix(".__init__"): source
        for name, source in sources().items()
    }
    return {
        name: {used for used in _modules(source.needed, modules) if _apart(name, used, ".")}
        for name, source in modules.items()
    }


def _modules(names: Iterable[str], modules: Container[str]) -> Iterator[str]:
    for name in names:
        found = name if name in modules else name.rpartition(".")[0]
        if found in modules:
            yield found


def rust_uses(crate: str) -> dict[str, set[str]]:
    """Each module of a crate, and those that it uses."""
    source = ROOT / "rust" / crate / "src"
    files = {
        "::".join(file.relative_to(source).with_suffix("").parts).removesuffix("::mod"): file
        for file in source.rglob("*.rs")
    }
    return {
        name: {
            used
            for path in _paths(name, file.read_text())
            if (used := _file_of(path, files)) and _apart(name, used, "::")
        }
        for name, file in files.items()
        if name != "lib"
    }


def _paths(module: str, text: str) -> Iterator[str]:
    """Whatever begins with ``crate::`` or ``super::`` in code, up to where it names more than one thing."""
    parent = module.rpartition("::")[0]
    code = re.sub(r"//.*", "", text.partition("#[cfg(test)]")[0])
    for root, path in re.findall(r"\b(crate|super)::([\w:]+)", code):
        yield path if root == "crate" or not parent else f"{parent}::{path}"


def _file_of(path: str, files: Mapping[str, Path]) -> str | None:
    while path and path not in files:
        path = path.rpartition("::")[0]
    return path or None


def _apart(one: str, other: str, dot: str) -> bool:
    """A folder's own file lists what is in the folder, and lends it constants: these are one family."""
    return one != other and not (one.startswith(other + dot) or other.startswith(one + dot))


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_python_goes_one_way():
    graph = python_imports()
    assert "py_esp_ota.chip" in graph["py_esp_ota.idf.bootloader.start"]
    assert circle(graph) == []


@pytest.mark.parametrize("crate", CRATES)
def test_rust_goes_one_way(crate):
    graph = rust_uses(crate)
    assert any(graph.values())
    assert circle(graph) == []


def test_a_circle_is_seen():
    assert sorted(set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}))) == ["a", "b", "c"]
