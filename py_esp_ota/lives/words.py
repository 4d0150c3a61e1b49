"""What goes in and out at the doors of a device, as values that are the same for all devices of a kind.

A text in which a device's own words stand (its name, the token of a link, the time) becomes a ``Template`` with holes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from py_esp_ota.errors import FetchError


class Hole(NamedTuple):
    """A place for the device's own word: its node id, the nth token that it was told, the time of its nth step."""

    what: Literal["node", "token", "time"]
    number: int = 0


class Template(NamedTuple):
    """A text with holes."""

    form: str  # with %s for each hole
    holes: tuple[Hole, ...] = ()
    whole: bytes | None = None  # the text itself when there is no hole


def template(text: str, own: Mapping[str, Hole]) -> Template:
    """A text, with a hole for each of a device's own words."""
    there = [word for word in own if word in text]
    pieces = re.split("(" + "|".join(map(re.escape, there)) + ")", text) if there else [text]
    holes = tuple(own[piece] for piece in pieces if piece in own)
    form = "".join("%s" if piece in own else piece.replace("%", "%%") for piece in pieces)
    return Template(form, holes, None if holes else text.encode("latin-1"))


class Pending(Enum):
    """The answer that comes later."""

    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a GET is answered with, from beginning to end. Equal when the header and the body are."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: FetchError | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fetched) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.status, self.headers))

    def _key(self) -> tuple[object, ...]:
        error = self.error and (self.error.kind, str(self.error))
        return self.status, self.headers, error, self.body


Answer: TypeAlias = str | Pending | Fetched | None
"""``None``: it is done; a text: why not."""


class Said(NamedTuple):
    """Something that a device says to its world, and the number by which a later answer knows it."""

    word: Literal["connect", "leave", "publish", "subscribe", "unsubscribe", "get", "close"]
    texts: tuple[Template, ...]
    number: int


# ------------------------------------------------------------------------------------------------- what happens to it


class On(NamedTuple):
    """Power comes."""

    word: Literal["on"] = "on"


class Off(NamedTuple):
    """Power goes."""

    word: Literal["off"] = "off"


class Heard(NamedTuple):
    """A message arrives."""

    topic: str
    payload: bytes


class Answered(NamedTuple):
    """The answer comes to what was said with this number."""

    number: int
    answer: Answer


class Lost(NamedTuple):
    """The MQTT connection is gone."""

    why: str


class Alarm(NamedTuple):
    """Timers of its own are due: which, of those it waits for."""

    which: tuple[int, ...]


Happening: TypeAlias = On | Off | Heard | Answered | Lost | Alarm

NODE = "\0N"
"""Stands for a node id."""

_LINK = "\0T"  # stands for the token of a link
_TOKEN = re.compile(rb"token=([0-9a-f]+\.[0-9a-f]+)")


class Key(NamedTuple):
    """A message in the words of its kind; a token is told apart by its length alone, which flash can feel."""

    topic: str
    payload: bytes
    token: int


def key_of(heard: Heard, node_id: str) -> tuple[Key, str]:
    """What a message is to the kind, and the token in it."""
    payload, token = heard.payload, ""
    found = _TOKEN.search(payload)
    if found:
        token = found[1].decode()
        payload = payload.replace(found[1], _LINK.encode())
    topic = heard.topic.replace(node_id, NODE)
    return Key(topic, payload.replace(node_id.encode(), NODE.encode()), len(token)), token


def heard_of(key: Key, node_id: str, token: str) -> Heard:
    """The message as the device heard it."""
    payload = key.payload.replace(NODE.encode(), node_id.encode()).replace(_LINK.encode(), token.encode())
    return Heard(key.topic.replace(NODE, node_id), payload)
