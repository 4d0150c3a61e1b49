"""JSON as the node's two small C libraries see it.

The node reads JSON with a tokeniser that never unescapes and writes JSON without ever escaping. Both habits show on the
wire, so neither Python's ``json`` reader nor its writer can stand in for them.

Reading is ``json_parser`` 1.0.3 over ``jsmn`` 1.1.0, which RainMaker asks for. The tokeniser keeps one flat list, so
the depth of a message costs nothing: upstream has no limit of depth either. What a chip does run out of is memory, at
20 bytes a token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ctypes import c_float
from dataclasses import dataclass
from typing import Literal

Kind = Literal["object", "array", "string", "primitive"]

#: Tokens that fill 640 KiB: more RAM than a chip with a radio has, and without it ``json_parse_start`` fails.
MAX_TOKENS = 1 << 15

# Possessive, or a text that ends too early would be tried again from every place in it.
_LEXEME = re.compile(
    r"""
    [ \t\r\n]*+ (?:
        (?P<open> [{\[] )
      | (?P<close> [}\]] )
      | " (?P<string> (?: [^"\\]++ | \\ (?: ["\\/bfnrt] | u[0-9A-Fa-f]{4} ) )*+ ) "
      | (?P<primitive> [-0-9tfn] [!-+\--\\^-|~]*+ ) (?= [\ \t\r\n,\]}] )
      | (?P<colon> : )
      | (?P<comma> , )
      | (?P<end> \Z )
    )
    """,
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\r\n]*+")
_UINT32_MAX = 0xFFFFFFFF
_FLOAT_DIGITS = 5


@dataclass(slots=True, eq=False)
class _Token:
    """``jsmntok_t``: a value or a key, from ``start`` to ``end`` of the text (a string without its quotes)."""

    kind: Kind
    start: int
    end: int  # -1 while its bracket is open
    parent: int  # of a value its key, -1 at the top
    root: int
    last: int  # the last token below it, itself if there is none
    size: int = 0  # tokens directly below


@dataclass(frozen=True, slots=True, eq=False)
class JsonValue:
    """One value of a message: ``jparse_ctx_t`` with the cursor on it."""

    _text: str
    _tokens: list[_Token]
    _index: int = 0

    @property
    def kind(self) -> Kind:
        """``jsmntype_t``."""
        return self._tokens[self._index].kind

    @property
    def text(self) -> str:
        """The verbatim text: of a string, what stands between the quotes."""
        token = self._tokens[self._index]
        return self._text[token.start : token.end]

    def _member(self, name: str, kind: Kind) -> JsonValue | None:
        """``json_obj_get_val_tok``: what follows the first key of that name, if it has that type.

        That is the next token, even where the key has no value; behind the last token upstream reads foreign memory.
        """
        here = self._tokens[self._index]
        if here.kind != "object":
            return None
        index = self._index
        for _ in range(here.size):
            index += 1
            key = self._tokens[index]
            if self._text[key.start : key.end] == name:
                found = JsonValue(self._text, self._tokens, index + 1)
                return found if index + 1 < len(self._tokens) and found.kind == kind else None
            index = key.last
        return None

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
        if found is None or "_" in found.text:  # digits grouped as in 1_000 are Python's alone
            return None
        try:
            return c_float(float(found.text)).value
        except ValueError:
            return None

    def get_object(self, name: str) -> JsonValue | None:
        """``json_obj_get_object``."""
        return self._member(name, "object")


def to_int(text: str) -> int | None:
    """``strtoul`` on a 32-bit chip, stored in an ``int``; ``None`` when something other than digits stands there."""
    if not re.fullmatch(r"-?[0-9]+", text):
        return None
    digits = text.removeprefix("-").lstrip("0")
    size = int(digits or "0") if len(digits) <= 10 else _UINT32_MAX + 1
    if size > _UINT32_MAX:  # too much saturates, whatever its sign
        return -1
    if text.startswith("-"):
        size = -size & _UINT32_MAX
    return size - (1 << 32) if size >> 31 else size


def parse(payload: bytes) -> JsonValue:
    """``json_parse_start``: tokens in one pass, each step of it in constant time.

    Text ends at the first NUL. A primitive is any run of characters that begins like a number, ``true``, ``false`` or
    ``null``; what it means is asked only when it is read. Commas are hardly looked at, and nothing forbids a second
    value behind the first.

    Raises:
        ValueError: The text is empty, no JSON, or of more than ``MAX_TOKENS`` tokens; the message names the place.
    """
    text = payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    return JsonValue(text, _Tokeniser(text).read())


class _Tokeniser:
    """``jsmn_parse`` with ``JSMN_STRICT`` and ``JSMN_PARENT_LINKS``.

    ``_above`` is ``toksuper``, the token that the next one belongs to. Upstream looks for the innermost open bracket by
    walking up from the last token; here the open ones are kept as a stack, and each token knows its topmost parent.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[_Token] = []
        self._open: list[int] = []
        self._above = -1

    def read(self) -> list[_Token]:
        pos = 0
        while match := _LEXEME.match(self._text, pos):
            pos = match.end()
            match match.lastgroup:
                case "open":
                    self._begin("object" if match["open"] == "{" else "array", match.start("open"))
                case "close":
                    self._close("object" if match["close"] == "}" else "array", match.start("close"))
                case "string":
                    self._add("string", *match.span("string"))
                case "primitive":
                    self._add_primitive(*match.span("primitive"))
                case "colon":
                    self._above = len(self._tokens) - 1
                case "comma":
                    self._next()
                case _:
                    return self._end()
        blank = _BLANK.match(self._text, pos)
        raise self._fail("a value or a bracket", blank.end() if blank else pos)

    def _begin(self, kind: Kind, start: int) -> None:
        if self._parent_is("object"):
            raise self._fail("a key", start)
        self._add(kind, start, -1)
        self._above = len(self._tokens) - 1
        self._open.append(self._above)

    def _close(self, kind: Kind, pos: int) -> None:
        if not self._open:  # a bracket too many is forgiven behind a colon that has nothing to belong to
            if self._above == -1 or not self._tokens or self._tokens[self._tokens[-1].root].kind != kind:
                raise self._fail("the end", pos)
            return
        token = self._tokens[self._open[-1]]
        if token.kind != kind:
            raise self._fail("the other bracket", pos)
        self._open.pop()
        token.end = pos + 1
        self._above = token.parent

    def _add_primitive(self, start: int, end: int) -> None:
        if self._parent_is("object"):
            raise self._fail("a key", start)
        if self._parent_is("string") and self._tokens[self._above].size:
            raise self._fail("a comma or a closing bracket", start)
        self._add("primitive", start, end)

    def _add(self, kind: Kind, start: int, end: int) -> None:
        index, parent = len(self._tokens), self._above
        if index == MAX_TOKENS:
            raise ValueError(f"more than {MAX_TOKENS} values and keys at character {start}")
        root = index
        if parent != -1:
            self._tokens[parent].size += 1
            root = self._tokens[parent].root
        self._tokens.append(_Token(kind, start, end, parent, root, index))

    def _next(self) -> None:
        """A comma ends what a key or a scalar holds; a bracket goes on holding."""
        if self._parent_is("string") or self._parent_is("primitive"):
            self._above = self._tokens[self._above].parent

    def _end(self) -> list[_Token]:
        if self._open or not self._tokens:
            raise self._fail("a closing bracket" if self._open else "a value", len(self._text))
        for token in reversed(self._tokens):  # children before their parents
            if token.parent != -1:
                parent = self._tokens[token.parent]
                parent.last = max(parent.last, token.last)
        return self._tokens

    def _parent_is(self, kind: Kind) -> bool:
        return self._above != -1 and self._tokens[self._above].kind == kind

    def _fail(self, wanted: str, pos: int) -> ValueError:
        found = repr(self._text[pos]) if pos < len(self._text) else "the end"
        return ValueError(f"{wanted} expected at character {pos}, found {found}")


def generate(value: object, *, well_formed: bool = False) -> str:
    """``json_gen_*``: no blanks, no escaping, floats of 32 bits with five digits; ``well_formed`` escapes."""
    match value:  # what is written most comes first
        case str():
            return json.dumps(shown(value), ensure_ascii=False) if well_formed else f'"{value}"'
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return f"{c_float(value).value:.{_FLOAT_DIGITS}f}"
        case dict() | Mapping():
            members = [
                f"{generate(key, well_formed=well_formed)}:{generate(item, well_formed=well_formed)}"
                for key, item in value.items()
            ]
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join([generate(item, well_formed=well_formed) for item in value]) + "]"
    raise TypeError(f"no JSON for {type(value).__name__}")


def shown(text: str) -> str:
    """Text of a message for the console, which has a mark for what is no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode(errors="replace")


def to_bytes(text: str, limit: int | None = None) -> bytes:
    """The text as it leaves the node: cut, without a word, at ``limit`` bytes."""
    return text.encode("utf-8", "surrogateescape")[:limit]
