"""Who is connected, told to whoever wants to know."""

from __future__ import annotations

import logging
from collections.abc import Callable

from py_esp_ota.adapters.certificates import CLOUD

_log = logging.getLogger(__name__)


class Presence:
    """The nodes that are connected to a broker; the cloud is not reported."""

    def __init__(self) -> None:
        self.connected: set[str] = set()
        self.callbacks: list[Callable[[str, bool], None]] = []

    def report(self, client_id: str, *, connected: bool) -> None:
        """Tell that a client came or went; what is known already is not told again."""
        if client_id == CLOUD or connected == (client_id in self.connected):
            return
        (self.connected.add if connected else self.connected.discard)(client_id)
        for callback in self.callbacks:
            try:
                callback(client_id, connected)
            except Exception:  # noqa: BLE001 - a mistake there must not stop the broker
                _log.exception("a presence callback failed")

    def all_gone(self) -> None:
        """The broker ended, and every connection with it."""
        for client_id in sorted(self.connected):
            self.report(client_id, connected=False)
