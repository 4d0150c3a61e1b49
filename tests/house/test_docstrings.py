"""Whatever a reader can name, ``help()`` has a sentence about."""

from __future__ import annotations

import doctest
from dataclasses import fields, is_dataclass
from enum import Enum

import pytest

import py_esp_ota
from py_esp_ota import _core

CLASSES = {name: value for name, value in vars(_core).items() if isinstance(value, type)}
NAMES = {name: getattr(py_esp_ota, name) for name in py_esp_ota.__all__}
#: Whose help is a list, or a few lines about what its neighbours show.
WITHOUT = {"EspErr", "Partition", "every_power_cut", "inspect_image", "verify_image"}
EVERYTHING = {**CLASSES, **NAMES}


def members(thing):
    """The public members a class has of its own, but not the values of an enum nor the fields of a dataclass."""
    if not isinstance(thing, type):
        return {}
    plain = {field.name for field in fields(thing)} if is_dataclass(thing) else set()
    if issubclass(thing, Enum):
        plain |= set(thing.__members__)
    return {name: value for name, value in vars(thing).items() if not name.startswith("_") and name not in plain}


def doc(member):
    """A static or class method of Rust has its docstring inside."""
    return getattr(member, "__func__", member).__doc__


@pytest.mark.parametrize("name", EVERYTHING)
def test_has_a_docstring_and_so_has_each_public_member(name):
    thing = EVERYTHING[name]
    assert (thing.__doc__ or "").strip()
    assert [member for member, value in members(thing).items() if not (doc(value) or "").strip()] == []


@pytest.mark.parametrize("name", [*sorted(NAMES.keys() - WITHOUT), "py_esp_ota"])
def test_its_example_does_what_is_printed(name):
    """``help()`` reads like a book: each class that a reader begins with is shown at work."""
    text = NAMES[name].__doc__ if name in NAMES else py_esp_ota.__doc__
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert example.examples
    told: list[str] = []
    doctest.DocTestRunner().run(example, out=told.append)
    assert told == []


def test_the_package_tells_of_each_of_its_names():
    assert [name for name in py_esp_ota.__all__ if f"``{name}``" not in py_esp_ota.__doc__] == []


def test_the_names_were_found():
    assert {"Flash", "NvsStats", "SignatureBlock"} <= CLASSES.keys()
    assert {"flash_crypt_cnt", "from_json", "copy"} <= members(_core.EFuse).keys()
    assert sum(len(members(thing)) for thing in CLASSES.values()) > 200
