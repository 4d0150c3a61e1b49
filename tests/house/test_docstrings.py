"""Whatever a reader can name, ``help()`` has a sentence about."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum

import pytest

import py_esp_ota
from py_esp_ota import _core

CLASSES = {name: value for name, value in vars(_core).items() if isinstance(value, type)}
NAMES = {name: getattr(py_esp_ota, name) for name in py_esp_ota.__all__}
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


def test_the_names_were_found():
    assert {"Flash", "NvsStats", "SignatureBlock"} <= CLASSES.keys()
    assert {"flash_crypt_cnt", "from_json", "copy"} <= members(_core.EFuse).keys()
    assert sum(len(members(thing)) for thing in CLASSES.values()) > 200
