"""Tables of a file as somebody wrote them: every word is known and of its kind, or one sentence says which is not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

_SHOWN = 40


def no_word(where: str, word: str, words: Collection[str], what: str = "key") -> ValueError:
    """The sentence about a word that is none of ``words``, with the nearest of them, or all."""
    shown = word[:_SHOWN]
    near = get_close_matches(word, words, n=1)
    hint = f"perhaps {near[0]}" if near else f"there are {', '.join(words)}"
    return ValueError(f"{where}{shown} is no {what}; {hint}")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a document, and where it stands, as a sentence about it begins."""

    values: Mapping[str, Any]
    where: str = ""

    def only(self, *keys: str) -> None:
        """Raise ``ValueError`` for the first key that is none of these."""
        for key in self.values:
            if key not in keys:
                raise no_word(self.where, key, keys)

    def has(self, *keys: str) -> list[str]:
        """Those of the keys that are there."""
        return [key for key in keys if key in self.values]

    def wrong(self, key: str, why: str) -> ValueError:
        """The sentence about a value."""
        return ValueError(f"{self.where}{key}: {why}")

    def text(self, key: str, usual: str = "") -> str:
        """A text that is not empty, ``usual`` where there is none."""
        value = self.values.get(key, usual)
        if not isinstance(value, str) or (key in self.values and not value.strip()):
            raise self.wrong(key, f"expected text, not {_told(value)}")
        return value

    def flag(self, key: str, *, usual: bool) -> bool:
        """``true`` or ``false``."""
        value = self.values.get(key, usual)
        if not isinstance(value, bool):
            raise self.wrong(key, f"expected true or false, not {_told(value)}")
        return value

    def whole(self, key: str, usual: int, *, low: int, high: int) -> int:
        """A whole number in a range."""
        value = self.values.get(key, usual)
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, f"expected a whole number from {low} to {high}, not {_told(value)}")
        return value

    def number(self, key: str, usual: float, *, over: float = 0.0, high: float) -> float:
        """A number above ``over`` and up to ``high``."""
        value = self.values.get(key, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not over < value <= high:
            raise self.wrong(key, f"expected a number above {over:g} and up to {high:g}, not {_told(value)}")
        return float(value)

    def share(self, key: str) -> float:
        """A part of 1, 0 where there is none."""
        value = self.values.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.wrong(key, f"expected a share from 0 to 1, as 0.02, not {_told(value)}")
        return float(value)

    def table(self, key: str) -> Table:
        """A table inside, empty where there is none."""
        value = self.values.get(key, {})
        if not isinstance(value, Mapping):
            raise self.wrong(key, f"expected a table, not {_told(value)}")
        return Table(value, f"{self.where}{key}.")

    def tables(self, key: str) -> Iterator[Table]:
        """Each table of a list, none where there is no list."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise self.wrong(key, f"expected tables, not {_told(value)}")
        for number, each in enumerate(value, 1):
            yield Table(each, f"{self.where}{key} {number}: ")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where there is none."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.wrong(key, f"expected a list of texts, not {_told(value)}")
        return tuple(value)


def _told(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return repr(value[:_SHOWN]) if value else "an empty text"
        case int() | float():
            return str(value)[:_SHOWN]
        case Mapping():
            return "a table"
        case list():
            return "a list"
        case _:
            return f"{value!s}"[:_SHOWN]
