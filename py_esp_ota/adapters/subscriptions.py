"""Who has subscribed to what, as a tree of topic levels: a message finds its receivers without asking everybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Level(Generic[T]):
    """What filters go on with after the same beginning; who has subscribed to just that, and to all below it."""

    below: dict[str, _Level[T]] = field(default_factory=dict)
    here: dict[T, None] = field(default_factory=dict)
    all: dict[T, None] = field(default_factory=dict)


class Subscriptions(Generic[T]):
    """Filters and their subscribers.

    Ten thousand nodes subscribe to plain topics, a handful of filters have wildcards: only these are in the tree.
    """

    def __init__(self) -> None:
        self._plain: dict[str, tuple[T, ...]] = {}
        self._root: _Level[T] = _Level()

    def __bool__(self) -> bool:
        return bool(self._plain or self._root.below or self._root.all)

    def add(self, topic_filter: str, who: T) -> None:
        """Somebody subscribes, who has not subscribed to that filter yet."""
        if "+" not in topic_filter and "#" not in topic_filter:
            self._plain[topic_filter] = (*self._plain.get(topic_filter, ()), who)
            return
        *levels, last = topic_filter.split("/")
        level = self._root
        for name in levels:
            level = level.below.setdefault(name, _Level())
        (level.all if last == "#" else level.below.setdefault(last, _Level()).here)[who] = None

    def remove(self, topic_filter: str, who: T) -> None:
        """Somebody subscribes no more."""
        if topic_filter in self._plain:
            others = tuple(other for other in self._plain.pop(topic_filter) if other is not who)
            if others:
                self._plain[topic_filter] = others
            return
        _prune(self._root, topic_filter.split("/"), who)

    def receivers(self, topic: str) -> dict[T, None]:
        """Those who receive a topic, each once (``topics.matches`` says of one filter what this finds of all)."""
        found = dict.fromkeys(self._plain.get(topic, ()))
        levels = topic.split("/")
        reached = [self._root]
        if topic.startswith("$"):  # which no wildcard at level one matches
            reached = [level for level in [self._root.below.get(levels.pop(0))] if level]
        for name in levels:
            following = []
            for level in reached:
                if level.all:
                    found |= level.all
                below = level.below
                if name in below:
                    following.append(below[name])
                if "+" in below:
                    following.append(below["+"])
            if not following:
                return found
            reached = following
        for level in reached:
            found |= level.here
            found |= level.all  # "a/#" matches "a" itself too
        return found


def _prune(level: _Level[T], levels: list[str], who: T) -> None:
    name, rest = levels[0], levels[1:]
    if name == "#":
        del level.all[who]
        return
    below = level.below[name]
    if rest:
        _prune(below, rest, who)
    else:
        del below.here[who]
    if not (below.below or below.here or below.all):
        del level.below[name]
