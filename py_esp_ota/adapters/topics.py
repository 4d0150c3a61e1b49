"""MQTT topic names and filters as pure functions: what is well-formed, what matches, who may use it."""

from __future__ import annotations

_LONGEST = 65535  # MQTT 3.1.1: a string has a 16-bit length


def check_topic(topic: str) -> None:
    """Refuse what cannot be published to: ``ValueError``."""
    _check_text(topic)
    if "+" in topic or "#" in topic:
        raise ValueError(f"a topic to publish to has no wildcard: {topic!r}")


def check_filter(topic_filter: str) -> None:
    """Refuse what cannot be subscribed to: ``ValueError``."""
    _check_text(topic_filter)
    levels = topic_filter.split("/")
    for number, level in enumerate(levels, 1):
        if ("+" in level and level != "+") or ("#" in level and (level != "#" or number != len(levels))):
            raise ValueError(f"'+' is a whole level and '#' is the whole last level, unlike in {topic_filter!r}")


def _check_text(text: str) -> None:
    if not text or "\0" in text or len(text.encode()) > _LONGEST:
        raise ValueError(f"an MQTT topic has 1 to {_LONGEST} bytes and no NUL: {text[:40]!r}")


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription receives a topic.

    A wildcard at level one does not match a topic that starts with ``$``: whoever wants ``$aws/...`` must say so.
    """
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]  # "a/#" matches "a" itself too
    return len(wanted) == len(levels) and all(want in {"+", level} for want, level in zip(wanted, levels, strict=True))


def check_client_id(client_id: str) -> None:
    """Refuse an id that would be more than one level of a topic: ``ValueError``."""
    if not client_id or set(client_id) & set("/+#\0"):
        raise ValueError(f"a client id is one topic level without wildcards, not {client_id!r}")


def may_use(node_id: str, topic: str) -> bool:
    """Whether a node may publish to a topic or subscribe to a filter: only to what carries its own id."""
    match topic.split("/"):
        case ["node", node, _, *_] | ["$aws", "rules", _, "node", node, _, *_] | ["$aws", "things", node, _, *_]:
            return node == node_id
    return False
