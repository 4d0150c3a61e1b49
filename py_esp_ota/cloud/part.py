"""What the parts of the cloud have in common: store, clock, identifiers, links, notices, outgoing mail, errands."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.cloud.errands import Errands
from py_esp_ota.cloud.events import Events
from py_esp_ota.cloud.jobs import DEFAULT_FETCH_CYCLES
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.tokens import Ids, Links, TokenHex
from py_esp_ota.ports import Clock

CLIENT_ID = "cloud"
"""The MQTT client id of the cloud itself."""


class Part:
    """The common ground of images, jobs, nodes and MQTT; ``service.CloudService`` is all of them together.

    Args:
        store: the database.
        clock: the time.
        public_url: the base of every link that is handed out, such as ``https://127.0.0.1:8443``; a callable when it
            is only known once the server listens.
        token_hex: ``secrets.token_hex``, or something repeatable in a simulation.
        max_fetch_cycles: how many hand-outs of one job may end in ``failed`` before a node is given up.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        public_url: str | Callable[[], str],
        token_hex: TokenHex,
        max_fetch_cycles: int = DEFAULT_FETCH_CYCLES,
    ) -> None:
        self.store = store
        self.clock = clock
        self.ids = Ids(token_hex)
        self.links = Links(store.setting("link_key", self.ids.key))
        self.events = Events()
        self.outbox = Outbox()
        self.errands = Errands()
        self.max_fetch_cycles = max_fetch_cycles
        self._public_url = public_url

    @property
    def public_url(self) -> str:
        """The base of every link, without a slash at its end."""
        url = self._public_url if isinstance(self._public_url, str) else self._public_url()
        return url.rstrip("/")

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return round(self.clock.now() * 1000)
