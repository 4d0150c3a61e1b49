"""JSON as the node's two small C libraries see it.

The node reads JSON with a tokeniser that never unescapes and writes JSON without ever escaping. Both habits show on the
wire, so neither Python's ``json`` reader nor its writer can stand in for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["object", "array", "string", "primitive"]

_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"((?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*)"')
_PRIMITIVE = re.compile(r"[-0-9tfn][!-+\--\\^-|~]*")  # printable, up to a blank, "," "]" or "}"
_UINT32_MAX = 0xFFFFFFFF
_FLOAT_DIGITS = 5


@dataclass(slots=True, eq=False)
class JsonValue:
    """One value and its verbatim text: of a string, what stands between the quotes."""

    kind: Kind
    text: str
    members: list[tuple[str, JsonValue]] = field(default_factory=list)

    def _member(self, name: str, kind: Kind) -> JsonValue | None:
        """``json_obj_get_val_tok``: the first member of that name, if it has that type; no second one is looked for."""
        if self.kind != "object":
            return None
        found = next((value for key, value in self.members if key == name), None)
        return found if found is not None and found.kind == kind else None

    def get_string(self, name: str) -> str | None:
        """``json_obj_get_string``: the characters between the quotes, escapes left as they are."""
        found = self._member(name, "string")
        return None if found is None else found.text

    def get_int(self, name: str) -> int | None:
        """``json_obj_get_int``: an unsigned decimal conversion narrowed to a 32-bit ``int``."""
        found = self._member(name, "primitive")
        return None if found is None else to_int(found.text)

    def get_bool(self, name: str) -> bool | None:
        """``json_obj_get_bool``: ``true`` or ``1``, ``false`` or ``0``."""
        found = self._member(name, "primitive")
        return None if found is None else {"true": True, "1": True, "false": False, "0": False}.get(found.text)

    def get_float(self, name: str) -> float | None:
        """``json_obj_get_float``: any number, or what else ``strtof`` reads to its end."""
        found = self._member(name, "primitive")
        try:
            return None if found is None else float(found.text)
        except ValueError:
            return None

    def get_object(self, name: str) -> JsonValue | None:
        """``json_obj_get_object``."""
        return self._member(name, "object")


def to_int(text: str) -> int | None:
    """``strtoul`` on a 32-bit chip, stored in an ``int``; ``None`` when something other than digits stands there."""
    if not re.fullmatch(r"-?[0-9]+", text):
        return None
    digits = text.removeprefix("-")
    # The magnitude saturates; a sign then wraps around.
    size = _UINT32_MAX if len(digits.lstrip("0")) > 10 else min(int(digits), _UINT32_MAX)
    if text.startswith("-") and size != _UINT32_MAX:
        size = -size & _UINT32_MAX
    return size - (1 << 32) if size >> 31 else size


def parse(payload: bytes) -> JsonValue:
    """``json_parse_start``: a strict tokeniser, without recursion.

    Text ends at the first NUL. A primitive is any run of characters that begins like a number, ``true``, ``false`` or
    ``null``; what it means is asked only when it is read.

    Raises:
        ValueError: The text is empty or no JSON; the message names the place.
    """
    text = payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    reader = _Reader(text)
    root = reader.read()
    reader.skip_blank()
    if reader.pos != len(text):
        raise ValueError(f"surplus text at character {reader.pos}")
    return root


@dataclass(slots=True)
class _Open:
    """A container whose closing bracket has not come yet."""

    value: JsonValue
    start: int
    key: str = ""


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0

    def skip_blank(self) -> str:
        """Move to the next character that is not blank and show it; ``""`` at the end."""
        match = _BLANK.match(self.text, self.pos)
        self.pos = match.end() if match else self.pos
        return self.text[self.pos : self.pos + 1]

    def fail(self, wanted: str) -> ValueError:
        found = repr(self.text[self.pos]) if self.pos < len(self.text) else "the end"
        return ValueError(f"{wanted} expected at character {self.pos}, found {found}")

    def read(self) -> JsonValue:
        stack: list[_Open] = []
        while True:
            value = self._begin(stack)
            if value is None:
                continue  # a container was opened; its first member comes next
            while stack:
                value = self._attach(stack, value)
                if value is None:
                    break  # another member follows
            if value is not None:
                return value

    def _begin(self, stack: list[_Open]) -> JsonValue | None:
        """Read a scalar or an empty container whole; of a full container only the opening bracket (and first key)."""
        char = self.skip_blank()
        if char in {"{", "["} and char:
            opened = _Open(JsonValue("object" if char == "{" else "array", ""), self.pos)
            self.pos += 1
            if self.skip_blank() == ("}" if char == "{" else "]"):
                return self._close(opened)
            if char == "{":
                opened.key = self._key()
            stack.append(opened)
            return None
        if match := _STRING.match(self.text, self.pos):
            self.pos = match.end()
            return JsonValue("string", match.group(1))
        if match := _PRIMITIVE.match(self.text, self.pos):
            self.pos = match.end()
            if self.pos == len(self.text):
                raise self.fail("a delimiter")  # a strict tokeniser cannot know that the number is whole
            return JsonValue("primitive", match.group())
        raise self.fail("a value")

    def _attach(self, stack: list[_Open], value: JsonValue) -> JsonValue | None:
        """Put a finished value into the innermost container; give that container back when it ends here."""
        opened = stack[-1]
        is_object = opened.value.kind == "object"
        if is_object:
            opened.value.members.append((opened.key, value))
        char = self.skip_blank()
        if char == ",":
            self.pos += 1
            self.skip_blank()
            if is_object:
                opened.key = self._key()
            return None
        if char != ("}" if is_object else "]"):
            raise self.fail("a comma or a closing bracket")
        stack.pop()
        return self._close(opened)

    def _key(self) -> str:
        match = _STRING.match(self.text, self.pos)
        if not match:
            raise self.fail("a key")
        self.pos = match.end()
        if self.skip_blank() != ":":
            raise self.fail("a colon")
        self.pos += 1
        return match.group(1)

    def _close(self, opened: _Open) -> JsonValue:
        self.pos += 1
        opened.value.text = self.text[opened.start : self.pos]
        return opened.value


def generate(value: object) -> str:
    """``json_gen_*``: no blanks, no escaping, floats with five digits."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return f"{value:.{_FLOAT_DIGITS}f}"
        case str():
            return f'"{value}"'
        case Mapping():
            return "{" + ",".join(f'"{key}":{generate(item)}' for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(generate, value)) + "]"
    raise TypeError(f"no JSON for {type(value).__name__}")


def to_bytes(text: str, limit: int | None = None) -> bytes:
    """The text as it leaves the node: cut, without a word, at ``limit`` bytes."""
    return text.encode("utf-8", "surrogateescape")[:limit]
